"""What PyTorch makes of two small HarDNets in training mode, in float64: writes train_mode.json.

    python train_mode.py > train_mode.json

Weights and input by formula.py. Stored per network: logits of a batch, cross entropy against the labels 0, 1, 2, 3,
the norm of its gradient by every parameter, and the running statistics afterwards of every normalisation
(sum over the channels). Dropout is off. Made with torch 2.15.0.
"""

import json

import formula
import torch
from torch import nn

CLASSES, BATCH, SIDE = 5, 4, 32
STEM = (8, 16)
# Layers, k, m, transition, downsampling behind it.
BLOCKS = ((4, 6, 1.7, 24, True), (5, 8, 1.6, 32, False))


class Conv(nn.Module):
    def __init__(self, cin, cout, kernel, stride=1, depthwise=False):
        super().__init__()
        conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=cin if depthwise else 1, bias=False)
        setattr(self, "dwconv" if depthwise else "conv", conv)
        self.norm = nn.BatchNorm2d(cout)
        self.depthwise = depthwise

    def forward(self, x):
        if self.depthwise:
            return self.norm(self.dwconv(x))
        return nn.functional.relu6(self.norm(self.conv(x)))


class Separable(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.layer1, self.layer2 = Conv(cin, cout, 1), Conv(cout, cout, 3, depthwise=True)

    def forward(self, x):
        return self.layer2(self.layer1(x))


class Block(nn.Module):
    def __init__(self, cin, layers, k, m, depthwise):
        super().__init__()
        self.links, widths, built = [], [cin], []
        for layer in range(1, layers + 1):
            powers = [p for p in range(10) if layer % 2**p == 0]
            sources, width = [layer - 2**p for p in powers], float(k)
            for _ in powers[1:]:
                width *= m
            width = int(int(width + 1) / 2) * 2
            read = sum(widths[s] for s in sources)
            built.append(Separable(read, width) if depthwise else Conv(read, width, 3))
            self.links.append(sources)
            widths.append(width)
        self.layers = nn.ModuleList(built)
        self.keep = [i for i in range(1, layers + 1) if i % 2 == 1 or i == layers]
        self.channels = sum(widths[i] for i in self.keep)

    def forward(self, x):
        outs = [x]
        for layer, sources in zip(self.layers, self.links):
            outs.append(layer(torch.cat([outs[s] for s in sources], 1)))
        return torch.cat([outs[i] for i in self.keep], 1)


class Net(nn.Module):
    def __init__(self, depthwise):
        super().__init__()
        second = 1 if depthwise else 3
        base = [Conv(3, STEM[0], 3, 2), Conv(STEM[0], STEM[1], second)]
        base.append(Conv(STEM[1], STEM[1], 3, 2, True) if depthwise else nn.MaxPool2d(3, 2, 1))
        ch = STEM[1]
        for layers, k, m, transition, down in BLOCKS:
            base.append(Block(ch, layers, k, m, depthwise))
            base.append(Conv(base[-1].channels, transition, 1))
            ch = transition
            if down:
                base.append(Conv(ch, ch, 3, 2, True) if depthwise else nn.MaxPool2d(2))
        base.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(ch, CLASSES)))
        self.base = nn.Sequential(*base)

    def forward(self, x):
        return self.base(x)


def run(depthwise):
    net = Net(depthwise).double()
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
