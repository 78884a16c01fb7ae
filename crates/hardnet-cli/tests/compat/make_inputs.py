"""Tiny weights and images that the fixtures are made from; needs only Python."""
import json, random, struct, sys, zlib
from pathlib import Path

out = Path(sys.argv[1])
CONFIG = {"activation": "relu6", "depthwise": True, "downsample": "depthwise", "in_channels": 3,
          "stem": {"convs": [{"channels": 4, "kernel": 3, "stride": 2}, {"channels": 8, "kernel": 1, "stride": 1}], "padding": "symmetric"},
          "blocks": [{"layers": 4, "growth": 4, "multiplier": 1.6, "transition": 16, "dropout": None, "downsample": False}],
          "head": {"classes": 3, "dropout": 0.05}}
random.seed(18)

def norm(name, channels):
    yield f"{name}.weight", [channels], [random.uniform(0.8, 1.2) for _ in range(channels)]
    yield f"{name}.bias", [channels], [random.uniform(-0.1, 0.1) for _ in range(channels)]
    yield f"{name}.running_mean", [channels], [random.uniform(-0.1, 0.1) for _ in range(channels)]
    yield f"{name}.running_var", [channels], [random.uniform(0.8, 1.2) for _ in range(channels)]

def tensor(name, *shape):
    count = 1
    for extent in shape:
        count *= extent
    bound = (3 / (count / shape[0])) ** 0.5
    yield name, list(shape), [random.uniform(-bound, bound) for _ in range(count)]

def conv(name, out_channels, in_channels, kernel):
    yield from tensor(f"{name}.conv.weight", out_channels, in_channels, kernel, kernel)
    yield from norm(f"{name}.norm", out_channels)

def depthwise(name, channels):
    yield from tensor(f"{name}.dwconv.weight", channels, 1, 3, 3)
    yield from norm(f"{name}.norm", channels)

def network():
    yield from conv("base.0", 4, 3, 3)
    yield from conv("base.1", 8, 4, 1)
    yield from depthwise("base.2", 8)
    # in and out channels of the block's layers by the link rule for k = 4, m = 1.6
    for layer, (inputs, outputs) in enumerate(LAYERS):
        yield from conv(f"base.3.layers.{layer}.layer1", outputs, inputs, 1)
        yield from depthwise(f"base.3.layers.{layer}.layer2", outputs)
    yield from conv("base.4", 16, TRANSITION_IN, 1)
    yield from tensor("base.5.3.weight", 3, 16)
    yield from tensor("base.5.3.bias", 3)

def link(layer, base, growth, m):
    if layer == 0:
        return base, 0, []
    out = float(growth)
    links = []
    for i in range(10):
        step = 2 ** i
        if layer % step == 0:
            links.append(layer - step)
            if i > 0:
                out *= m
    out = int(int(out + 1) / 2) * 2
    inputs = sum(link(i, base, growth, m)[0] for i in links)
    return out, inputs, links

LAYERS = [link(i + 1, 8, 4, 1.6)[1::-1] for i in range(4)]
TRANSITION_IN = sum(outputs for i, (_, outputs) in enumerate(LAYERS) if i % 2 == 0 or i == 3)

header, data = {}, b""
metadata = {"schema": 1, "config": CONFIG, "labels": ["shirt", "shoe", "bag"], "tool": "compatibility fixture", "scheme": "pytorch",
            "pipeline": {"resize": 16, "crop": 16, "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}
header["__metadata__"] = {"hardnet": json.dumps(metadata, separators=(",", ":"))}
for name, shape, values in network():
    start = len(data)
    data += struct.pack(f"<{len(values)}f", *values)
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
(out / "tiny.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)

pixels = bytes((at // 144 % 3) * 90 + at * at % 60 for at in range(24 * 144))
(out / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 24, 12, 12) + pixels)
(out / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 24) + bytes([0, 1, 2]) * 8)
