"""What PyTorch makes of one training step of the four networks, in float64: writes train_step.json.

    python train_step.py > train_step.json

Weights and images by ../golden/formula.py, four images of 64x64 and the labels 0, 1, 2, 3 of ten classes; dropout is off. Stored per
network: logits, cross entropy, the norm of its gradient by every parameter, and the running statistics afterwards of every
normalisation (sum over the channels). Made with torch 2.15.0.
"""

import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))

import formula
from hardnet_torch import PUBLISHED, HarDNet, published

CLASSES, BATCH, SIDE = 10, 4, 64


def run(variant):
    net = HarDNet(published(variant, CLASSES, dropout=False)).double()
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(formula.tensor(name, tuple(value.shape))).double())
    x = torch.from_numpy(formula.tensor("x", (BATCH, 3, SIDE, SIDE))).double()
    logits = net.train()(x)
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(BATCH))
    loss.backward()
    return {
        "logits": logits.detach().numpy().tolist(),
        "loss": loss.item(),
        "gradient_norms": {name: float(f"{p.grad.norm().item():.9g}") for name, p in net.named_parameters()},
        "running_sums": {name: float(f"{b.sum().item():.9g}") for name, b in net.named_buffers() if "running" in name},
    }


print(json.dumps({variant: run(variant) for variant in PUBLISHED}, indent=0))
