"""FC-HarDNet in PyTorch, written from the description of the network, and what it gives in float64: upstream.json.

    python fc_hardnet.py > upstream.json

Weights and images by ../golden/formula.py. Stored for each size of image: shape, mean, mean magnitude and maximum of
each part's output, and the logits of every class at some pixels of the image. Made with torch 2.15.0.
"""

import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import formula  # noqa: E402

STEM = (16, 24, 32, 48)
# Layers, k and transition channels of each block.
BLOCKS = ((4, 10, 64), (4, 16, 96), (8, 18, 160), (8, 24, 224), (8, 32, 320))
MULTIPLIER = 1.7
# Sizes of images: one that every stride divides, and two that none does.
SIZES = ((64, 128), (97, 75), (130, 161))
# The pixels whose logits are stored: rows and columns.
PIXELS = tuple((row, column) for row in range(4) for column in range(4))


def conv(inputs, outputs, kernel, stride=1):
    layer = nn.Sequential()
    layer.add_module("conv", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False))
    layer.add_module("norm", nn.BatchNorm2d(outputs))
    layer.add_module("relu", nn.ReLU())
    return layer


class Block(nn.Module):
    """Layer l reads the layers l - 2^n for every 2^n that divides l, the nearest first."""

    def __init__(self, inputs, layers, k):
        super().__init__()
        widths = [inputs]
        self.sources, self.layers = [], nn.ModuleList()
        for layer in range(1, layers + 1):
            powers = [n for n in range(10) if layer % 2**n == 0]
            width = float(k)
            for _ in powers[1:]:
                width *= MULTIPLIER
            widths.append(int(int(width + 1) / 2) * 2)
            self.sources.append([layer - 2**n for n in powers])
            self.layers.append(conv(sum(widths[s] for s in self.sources[-1]), widths[-1], 3))
        self.kept = [layer for layer in range(1, layers + 1) if layer % 2 == 1 or layer == layers]
        self.channels = sum(widths[layer] for layer in self.kept)

    def forward(self, x):
        maps = [x]
        for sources, layer in zip(self.sources, self.layers):
            maps.append(layer(torch.cat([maps[s] for s in sources], 1)))
        return torch.cat([maps[layer] for layer in self.kept], 1)


class FcHarDNet(nn.Module):
    def __init__(self, classes=19, stem=STEM, blocks=BLOCKS):
        super().__init__()
        channels, skips = 3, []
        self.base = nn.ModuleList()
        for at, outputs in enumerate(stem):
            self.base.append(conv(channels, outputs, 3, 2 if at % 2 == 0 else 1))
            channels = outputs
        self.taps = []
        for at, (layers, k, transition) in enumerate(blocks):
            self.base.append(Block(channels, layers, k))
            channels = self.base[-1].channels
            if at + 1 < len(blocks):
                self.taps.append(len(self.base) - 1)
                skips.append(channels)
            self.base.append(conv(channels, transition, 1))
            channels = transition
            if at + 1 < len(blocks):
                self.base.append(nn.AvgPool2d(2, 2))
        self.conv1x1_up, self.denseBlocksUp = nn.ModuleList(), nn.ModuleList()
        for at in reversed(range(len(skips))):
            channels += skips[at]
            self.conv1x1_up.append(conv(channels, channels // 2, 1))
            self.denseBlocksUp.append(Block(channels // 2, *blocks[at][:2]))
            channels = self.denseBlocksUp[-1].channels
        self.finalConv = nn.Conv2d(channels, classes, 1)

    def forward(self, x, seen=lambda name, map: None):
        size, skips = x.shape[2:], []
        for at, module in enumerate(self.base):
            x = module(x)
            seen(f"base.{at}", x)
            if at in self.taps:
                skips.append(x)
        for at, (fuse, block) in enumerate(zip(self.conv1x1_up, self.denseBlocksUp)):
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=True)
            seen(f"transUpBlocks.{at}", x)
            x = fuse(torch.cat([x, skip], 1))
            seen(f"conv1x1_up.{at}", x)
            x = block(x)
            seen(f"denseBlocksUp.{at}", x)
        x = self.finalConv(x)
        seen("finalConv", x)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def with_formula(net):
    net = net.double()
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(formula.tensor(name, tuple(value.shape))).double())
    return net


def image(count, height, width):
    return torch.from_numpy(formula.tensor("x", (count, 3, height, width))).double()


def pixels(logits):
    """The logits of all classes at pixels spread over the image, the last row and column among them."""
    height, width = logits.shape[2:]
    at = [(row * (height - 1) // 3, column * (width - 1) // 3) for row, column in PIXELS]
    return [[round(float(v), 7) for v in logits[0, :, row, column]] for row, column in at]


def statistics(name, map):
    return {
        "module": name,
        "shape": list(map.shape),
        "mean": float(map.mean()),
        "abs_mean": float(map.abs().mean()),
        "max": float(map.max()),
    }


def main():
    net = with_formula(FcHarDNet()).eval()
    runs = []
    for height, width in SIZES:
        modules = []
        with torch.no_grad():
            logits = net(image(1, height, width), lambda name, map: modules.append(statistics(name, map)))
        runs.append({"size": [height, width], "modules": modules, "pixels": pixels(logits)})
    parameters = sum(p.numel() for p in net.parameters())
    # Digest of all names and shapes, sorted.
    state = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    names = "".join(sorted(f"{name} {'x'.join(map(str, value.shape))}\n" for name, value in state.items()))
    report = {"parameters": parameters, "names": f"{formula.fnv1a64(names):016x}", "runs": runs}
    print(json.dumps(report).replace('{"module"', '\n{"module"'))


if __name__ == "__main__":
    main()
