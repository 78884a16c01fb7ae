"""What PyTorch makes of class activation maps of the four networks, in float64: writes activation_maps.json.

    python activation_maps.py > activation_maps.json

Weights and one image of 96x96 by formula.py, ten classes, running statistics. The map of a class is computed by autograd, from the
definition of a share: the gradient of the logit by each value of the last map, times the value, summed over the channels, times the
number of pixels, and the logit's bias. Stored per network: the maps of classes 0, 3 and 9, and all logits. Made with torch 2.15.0.
"""

import json
import pathlib
import sys

import formula
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "training"))
from hardnet_torch import PUBLISHED, HarDNet, published  # noqa: E402

CLASSES, SIDE, SHOWN = 10, 96, (0, 3, 9)


def run(variant):
    net = HarDNet(published(variant, CLASSES, dropout=False)).double().eval()
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(formula.tensor(name, tuple(value.shape))).double())
    x = torch.from_numpy(formula.tensor("x", (1, 3, SIDE, SIDE))).double()
    maps = []
    pool = next(module for module in net.modules() if isinstance(module, torch.nn.AdaptiveAvgPool2d))
    pool.register_forward_hook(lambda module, inputs, output: maps.append(inputs[0]))
    logits = net(x)[0]
    linear = next(module for module in net.modules() if isinstance(module, torch.nn.Linear))
    pixels = maps[0].shape[2] * maps[0].shape[3]
    shares = {}
    for label in SHOWN:
        (gradient,) = torch.autograd.grad(logits[label], maps[0], retain_graph=True)
        shares[label] = ((gradient * maps[0]).sum(1)[0] * pixels + linear.bias[label]).tolist()
        assert abs(sum(map(sum, shares[label])) / pixels - logits[label].item()) < 1e-9
    return {"logits": logits.tolist(), "maps": shares}


print(json.dumps({variant: run(variant) for variant in PUBLISHED}, indent=0))
