"""What PyTorch makes of two small HarDNets in training mode, in float64: writes train_mode.json.

    python train_mode.py > train_mode.json

Weights and input by formula.py. Stored per network: logits of a batch, cross entropy against the labels 0, 1, 2, 3,
the norm of its gradient by every parameter, and the running statistics afterwards of every normalization
(sum over the channels). Dropout is off. Made with torch 2.15.0.
"""

import json
import pathlib
import sys

import formula
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "training"))
from hardnet_torch import HarDNet, blocks  # noqa: E402

CLASSES, BATCH, SIDE = 5, 4, 32
STEM = (8, 16)
# Layers, k, m, transition, downsampling behind it.
BLOCKS = ((4, 6, 1.7, 24, True), (5, 8, 1.6, 32, False))


def config(depthwise):
    convs = [
        {"channels": STEM[0], "kernel": 3, "stride": 2},
        {"channels": STEM[1], "kernel": 1 if depthwise else 3, "stride": 1},
    ]
    return {
        "in_channels": 3,
        "stem": {"convs": convs, "padding": "symmetric"},
        "blocks": blocks(*BLOCKS),
        "depthwise": depthwise,
        "downsample": "depthwise" if depthwise else "max_pool",
        "activation": "relu6",
        "head": {"classes": CLASSES, "dropout": 0.0},
    }


def run(depthwise):
    net = HarDNet(config(depthwise)).double()
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(formula.tensor(name, tuple(value.shape))).double())
    x = torch.from_numpy(formula.tensor("x", (BATCH, 3, SIDE, SIDE))).double()
    logits = net.train()(x)
    loss = nn.functional.cross_entropy(logits, torch.arange(BATCH))
    loss.backward()
    return {
        "logits": logits.detach().numpy().tolist(),
        "loss": loss.item(),
        "gradient_norms": {name: p.grad.norm().item() for name, p in net.named_parameters()},
        "running_sums": {name: b.sum().item() for name, b in net.named_buffers() if "running" in name},
    }


print(json.dumps({"dense": run(False), "depthwise": run(True)}, indent=1))
