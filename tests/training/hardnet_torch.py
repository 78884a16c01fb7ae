"""HarDNet in PyTorch from a configuration as weights files hold it, with their parameter names, and such files."""

import gzip
import json
import math

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn


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
        # In place, as upstream's.
        return nn.functional.relu6(self.norm(self.conv(x)), inplace=True)


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
    def __init__(self, config):
        super().__init__()
        depthwise, base, ch = config["depthwise"], [], config["in_channels"]
        assert config["stem"]["padding"] == "symmetric" and config["activation"] == "relu6"

        def down(first):
            if config["downsample"] == "depthwise":
                return Conv(ch, ch, 3, 2, True)
            return nn.MaxPool2d(3, 2, 1) if first else nn.MaxPool2d(2)

        for conv in config["stem"]["convs"]:
            base.append(Conv(ch, conv["channels"], conv["kernel"], conv["stride"]))
            ch = conv["channels"]
        base.append(down(True))
        for block in config["blocks"]:
            base.append(Block(ch, block["layers"], block["growth"], block["multiplier"], depthwise))
            if block["dropout"] is not None:
                base.append(nn.Dropout(block["dropout"]))
            base.append(Conv(base[-1 if block["dropout"] is None else -2].channels, block["transition"], 1))
            ch = block["transition"]
            if block["downsample"]:
                base.append(down(False))
        head = config["head"]
        base.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(head["dropout"]), nn.Linear(ch, head["classes"])))
        self.base = nn.Sequential(*base)

    def forward(self, x):
        return self.base(x)


def blocks(*rows, dropout=False):
    keys = ["layers", "growth", "multiplier", "transition", "downsample"]
    of_row = lambda row: (row[5] if dropout else 0.0) if len(row) > 5 else None
    return [{**dict(zip(keys, row)), "dropout": of_row(row)} for row in rows]


# Stem, whether depthwise separable, dropout before the head, and of every block: layers, k, m, transition, whether a
# downsampling follows, and the dropout between the block and its transition.
PUBLISHED = {
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


def published(name, classes=1000, dropout=True):
    """The configuration of a network of upstream's README; without dropout, which two programs do not draw alike, on request."""
    stem, depthwise, before_head, rows = PUBLISHED[name]
    convs = [
        {"channels": stem[0], "kernel": 3, "stride": 2},
        {"channels": stem[1], "kernel": 1 if depthwise else 3, "stride": 1},
    ]
    return {
        "in_channels": 3,
        "stem": {"convs": convs, "padding": "symmetric"},
        "blocks": blocks(*rows, dropout=dropout),
        "depthwise": depthwise,
        "downsample": "depthwise" if depthwise else "max_pool",
        "activation": "relu6",
        "head": {"classes": classes, "dropout": before_head if dropout else 0.0},
    }


def small_config(classes):
    """Every operation of the depthwise networks, and dropout."""
    config = published("hardnet39ds", classes, dropout=False)
    config["stem"]["convs"] = [{"channels": 8, "kernel": 3, "stride": 2}, {"channels": 16, "kernel": 1, "stride": 1}]
    config["blocks"] = blocks((4, 6, 1.7, 24, True), (5, 8, 1.6, 32, False))
    config["head"]["dropout"] = 0.2
    return config


def initial(config, seed):
    """A network with the authors' initial weights."""
    torch.manual_seed(seed)
    net = HarDNet(config)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
    return net


def save(net, config, path):
    tensors = {name: value.contiguous() for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    save_file(tensors, path, metadata={"hardnet": json.dumps({"schema": 1, "config": config})})


def read_idx(path):
    with gzip.open(path) as file:
        content = file.read()
    dimensions = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(content[3])]
    assert math.prod(dimensions) == len(content) - 4 - 4 * len(dimensions)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(dimensions)).reshape(dimensions)


def write_idx(path, array):
    with open(path, "wb") as file:
        file.write(bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.astype(np.uint8).tobytes())
