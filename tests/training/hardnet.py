"""HarDNet in PyTorch as upstream builds it, for what the tests of training compare with.

Parameter names are those of upstream's weights files. Written from the tables of the paper and of upstream's README.
"""

import torch
from torch import nn

# Stem, whether depthwise separable, and of every block: layers, k, m, transition, whether a downsampling follows, and the
# dropout between the block and its transition.
VARIANTS = {
    "hardnet39ds": (
        (24, 48), True, 0.05,
        ((4, 16, 1.6, 96, True), (16, 20, 1.6, 320, True), (8, 64, 1.6, 640, True), (4, 160, 1.6, 1024, False)),
    ),
    "hardnet68ds": (
        (32, 64), True, 0.05,
        ((8, 14, 1.7, 128, True), (16, 16, 1.7, 256, False), (16, 20, 1.7, 320, True), (16, 40, 1.7, 640, True),
         (4, 160, 1.7, 1024, False)),
    ),
    "hardnet68": (
        (32, 64), False, 0.1,
        ((8, 14, 1.7, 128, True), (16, 16, 1.7, 256, False), (16, 20, 1.7, 320, True), (16, 40, 1.7, 640, True),
         (4, 160, 1.7, 1024, False)),
    ),
    "hardnet85": (
        (48, 96), False, 0.2,
        ((8, 24, 1.7, 192, True), (16, 24, 1.7, 256, False), (16, 28, 1.7, 320, True), (16, 36, 1.7, 480, False),
         (16, 48, 1.7, 720, True), (4, 256, 1.7, 1280, False, 0.1)),
    ),
}


class Conv(nn.Module):
    """A convolution, its batch normalisation and, unless depthwise, ReLU6."""

    def __init__(self, cin, cout, kernel, stride=1, depthwise=False):
        super().__init__()
        conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=cin if depthwise else 1, bias=False)
        setattr(self, "dwconv" if depthwise else "conv", conv)
        self.norm = nn.BatchNorm2d(cout)
        self.depthwise = depthwise
        if not depthwise:
            self.relu = nn.ReLU6(inplace=True)

    def forward(self, x):
        if self.depthwise:
            return self.norm(self.dwconv(x))
        return self.relu(self.norm(self.conv(x)))


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
            outs.append(layer(torch.cat([outs[s] for s in sources], 1) if len(sources) > 1 else outs[sources[0]]))
        return torch.cat([outs[i] for i in self.keep], 1)


class HarDNet(nn.Module):
    def __init__(self, variant, classes=1000, dropout=True):
        super().__init__()
        stem, depthwise, head_dropout, blocks = VARIANTS[variant]
        base = [Conv(3, stem[0], 3, 2), Conv(stem[0], stem[1], 1 if depthwise else 3)]
        base.append(Conv(stem[1], stem[1], 3, 2, True) if depthwise else nn.MaxPool2d(3, 2, 1))
        channels = stem[1]
        for layers, k, m, transition, down, *drop in blocks:
            block = Block(channels, layers, k, m, depthwise)
            base.append(block)
            if drop:
                base.append(nn.Dropout(drop[0] if dropout else 0.0))
            base.append(Conv(block.channels, transition, 1))
            channels = transition
            if down:
                base.append(Conv(channels, channels, 3, 2, True) if depthwise else nn.MaxPool2d(2))
        drop = nn.Dropout(head_dropout if dropout else 0.0)
        base.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), drop, nn.Linear(channels, classes)))
        self.base = nn.Sequential(*base)

    def forward(self, x):
        return self.base(x)
