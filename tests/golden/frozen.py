"""What PyTorch makes of two small HarDNets whose first modules are frozen, in float64: writes frozen.json.

    python frozen.py > frozen.json

The networks of train_mode.py. The first modules of `base` are in evaluation mode and require no gradient, the others
are in training mode. Stored per network and number of frozen modules: as by train_mode.py. Made with torch 2.15.0.
"""

import contextlib
import io
import json

import formula
import torch
from torch import nn

with contextlib.redirect_stdout(io.StringIO()):
    from train_mode import BATCH, SIDE, HarDNet, config


def run(depthwise, frozen):
    net = HarDNet(config(depthwise)).double()
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(formula.tensor(name, tuple(value.shape))).double())
    net.train()
    for module in net.base[:frozen]:
        module.eval().requires_grad_(False)
    x = torch.from_numpy(formula.tensor("x", (BATCH, 3, SIDE, SIDE))).double()
    logits = net(x)
    loss = nn.functional.cross_entropy(logits, torch.arange(BATCH))
    loss.backward()
    return {
        "frozen": frozen,
        "depthwise": depthwise,
        "logits": logits.detach().flatten().tolist(),
        "loss": loss.item(),
        "gradient_norms": {name: p.grad.norm().item() for name, p in net.named_parameters() if p.grad is not None},
        "running_sums": {name: b.sum().item() for name, b in net.named_buffers() if "running" in name},
    }


modules = len(HarDNet(config(False)).base)
print(json.dumps([run(depthwise, frozen) for depthwise in (False, True) for frozen in (1, 3, 4, modules - 1)], indent=1))
