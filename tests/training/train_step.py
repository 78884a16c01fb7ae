"""What PyTorch makes of one training step of the four networks, in float64: writes train_step.json or smooth_step.json.

    python train_step.py > train_step.json
    python train_step.py --smooth > smooth_step.json

Weights and images by ../golden/formula.py, four images of 64x64 and the labels 0, 1, 2, 3 of ten classes; dropout is off. Stored per
network: logits, cross entropy, the norm of its gradient by every parameter, and the running statistics afterwards of every
normalization (sum over the channels). Made with torch 2.15.0.

Where a value lies near a bound of ReLU6, rounding decides whether its gradient is passed on, and one such value moves norms by up to
a percent. With --smooth, weights of normalizations are 3/8 of the formula's and biases 3 more than that, so that no value is within
0.001 of a bound and the step shows how exactly sums are computed.
"""

import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))

import formula
from hardnet_torch import PUBLISHED, Conv, HarDNet, published

CLASSES, BATCH, SIDE = 10, 4, 64


def far_from_bounds(module, inputs, output):
    assert min(output.abs().min(), (output - 6).abs().min()) > 1e-3


def run(variant, smooth):
    net = HarDNet(published(variant, CLASSES, dropout=False)).double()
    for name, value in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        values = torch.from_numpy(formula.tensor(name, tuple(value.shape)))
        if smooth and name.endswith(("norm.weight", "norm.bias")):
            values = values * 0.375 + (3 if name.endswith("bias") else 0)
        value.copy_(values.double())
    for module in net.modules():
        if smooth and isinstance(module, Conv) and not module.depthwise:
            module.norm.register_forward_hook(far_from_bounds)
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


smooth = "--smooth" in sys.argv[1:]
print(json.dumps({variant: run(variant, smooth) for variant in PUBLISHED}, indent=0))
