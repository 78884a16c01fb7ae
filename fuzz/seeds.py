"""Makes `corpus-stored/`: the inputs from which fuzzing starts, and which every test run replays.

Python 3.12 or later, standard library only: python fuzz/seeds.py
Inputs that fuzzing found, `found-*`, are kept.
"""

import argparse
import collections
import datetime
import enum
import gzip
import io
import json
import math
import pathlib
import pickle
import struct
import sys
import tarfile
import types
import zlib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
STORED = HERE / "corpus-stored"
# The largest input of the runs: fewer bytes, more executions.
LIMIT = 4096


def store(target, name, content):
    path = STORED / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def archive(format, entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            info.linkname = "a.jpg" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(info, io.BytesIO(content))
    # The end marker without the filling up to 10 KiB.
    end = len(buffer.getvalue().rstrip(b"\0"))
    return buffer.getvalue()[: (end + 511) // 512 * 512 + 1024]


NETWORK = """\
in_channels = 3
activation = "relu6"
downsample = "max_pool"
depthwise = false
blocks = [{ layers = 4, growth = 4, multiplier = 1.7, dropout = 0.5, transition = 8, downsample = true }]
[stem]
convs = [{ channels = 4, kernel = 3, stride = 2 }]
padding = "symmetric"
"""


def varint(number):
    """ONNX's encoding of a number."""
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number, content):
    """A field of a protobuf message: a number, text, bytes, or fields."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content % 2**64)
    content = content.encode() if isinstance(content, str) else b"".join(content) if isinstance(content, list) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx_node(op, inputs, output, **attributes):
    parts = [field(1, name) for name in inputs] + [field(2, output), field(4, op)]
    for name, value in attributes.items():
        kind = [field(8, number) for number in value] + [field(20, 7)] if isinstance(value, list) else [field(3, value), field(20, 2)]
        parts.append(field(5, [field(1, name), *kind]))
    return field(1, parts)


def onnx_tensor(name, *dims, data=None):
    count = math.prod(dims)
    values = struct.pack(f"<{count}f", *(0.25 * (at % 7) - 0.5 for at in range(count)))
    return field(5, [*(field(1, dim) for dim in dims), field(2, 1), field(8, name), data or field(9, values)])


def onnx_bytes(name, kind, dims, values):
    """A tensor of bytes, of ONNX's type `kind`."""
    return field(5, [*(field(1, dim) for dim in dims), field(2, kind), field(8, name), field(9, bytes(values))])


def onnx_models():
    """Models of the networks of `ONNX_NETWORKS` in src/lib.rs, whole and broken."""
    conv = onnx_node("Conv", ["x", "w", "b"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    clip = onnx_node("Clip", ["conv", "zero", "six"], "clip")
    pool = onnx_node("MaxPool", ["clip"], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    mean, flat = onnx_node("GlobalAveragePool", ["pool"], "mean"), onnx_node("Flatten", ["mean"], "flat", axis=1)
    head = onnx_node("Gemm", ["flat", "v", "c"], "y", transB=1)
    bounds = onnx_tensor("zero", data=field(9, bytes(4))) + onnx_tensor("six", data=field(9, struct.pack("<f", 6)))
    weights = [onnx_tensor("w", 2, 3, 3, 3), onnx_tensor("b", 2), onnx_tensor("v", 2, 2), onnx_tensor("c", 2), bounds]
    dims = [field(1, field(1, dim)) for dim in (1, 3, 8, 8)]
    values = field(11, [field(1, "x"), field(2, field(1, [field(1, 1), field(2, dims)]))]) + field(12, field(1, "y"))
    # An output has a type too.
    values = values[: -len(field(12, field(1, "y")))] + field(12, [field(1, "y"), field(2, field(1, field(1, 1)))])

    def model(nodes, tensors=weights):
        return field(1, 8) + field(7, [*nodes, *tensors, values]) + field(8, field(2, 17))

    nodes = [conv, clip, pool, mean, flat, head]
    norm = onnx_node("BatchNormalization", ["conv0", "b", "b", "b", "e"], "conv")
    bare = onnx_node("Conv", ["x", "w"], "conv0", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    matmul = onnx_node("MatMul", ["flat", "v"], "product") + onnx_node("Add", ["product", "c"], "y")
    external = field(13, [field(1, "location"), field(2, "../weights.bin")]) + field(14, 1)
    # A second convolution, of integers.
    step, zero = onnx_tensor("s", data=field(9, struct.pack("<f", 6 / 255))), onnx_bytes("z", 2, [], [0])
    read = lambda name, output, zero="z": onnx_node("DequantizeLinear", [f"{name}.q", "s", zero], output)
    pair = lambda name, zero="z": onnx_node("QuantizeLinear", [f"{name}.f", "s", zero], f"{name}.q") + read(name, name, zero)
    small = onnx_tensor("e", 2, data=field(9, struct.pack("<2f", 0.01, 0.02)))
    zeros = onnx_bytes("o", 3, [2], [0, 0])
    integers = [onnx_bytes("k", 3, [2, 2, 1, 1], [1, 127, 129, 3]), zeros, small, step, zero]
    first = [conv, onnx_node("Clip", ["conv", "zero", "six"], "a.f") + pair("a")]
    pooled = onnx_node("MaxPool", ["d"], "pool.f", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]) + pair("pool")
    quantized = [
        *first,
        onnx_node("DequantizeLinear", ["k", "e", "o"], "k.f", axis=0),
        onnx_node("Conv", ["a", "k.f", "b"], "second", kernel_shape=[1, 1], strides=[1, 1]),
        onnx_node("Clip", ["second", "zero", "six"], "d.f") + pair("d"),
        pooled,
    ]
    # A block of two layers, whose maps have two zero points: the convolution after it reads both with one.
    biases = onnx_bytes("m", 6, [2], struct.pack("<2i", -300, 7)), onnx_bytes("i", 6, [2], bytes(8))
    units_of_sums = onnx_tensor("n", 2, data=field(9, struct.pack("<2f", 2e-4, 5e-4)))
    block_integers = [zeros, small, step, zero, onnx_bytes("h", 2, [], [128]), *biases, units_of_sums]

    def layer(source, output, inputs, kernel, zero="z"):
        """A convolution of integers, with its bias in integers, and the pair of its map."""
        weight = f"{output}.w"
        values = [1 + at % 127 for at in range(2 * inputs * kernel**2)]
        block_integers.append(onnx_bytes(weight, 3, [2, inputs, kernel, kernel], values))
        pads = [kernel // 2] * 4
        reads = [source, f"{weight}.f", f"{output}.b"]
        return [
            onnx_node("DequantizeLinear", [weight, "e", "o"], reads[1], axis=0),
            onnx_node("DequantizeLinear", ["m", "n", "i"], reads[2], axis=0),
            onnx_node("Conv", reads, f"{output}.c", kernel_shape=[kernel, kernel], pads=pads),
            onnx_node("Clip", [f"{output}.c", "zero", "six"], f"{output}.f"),
            pair(output, zero),
        ]

    block = [
        *first,
        onnx_node("MaxPool", ["a"], "d.f", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]) + pair("d"),
        *layer("d", "p", 2, 3),
        onnx_node("Concat", ["p", "d"], "pd.f", axis=1) + pair("pd"),
        *layer("pd", "r", 4, 3, "h"),
        read("p", "p.shifted", "h") + onnx_node("Concat", ["p.shifted", "r"], "pr.f", axis=1) + pair("pr", "h"),
        *layer("pr", "pool", 4, 1),
    ]
    # The first zero point of each node is another one.
    unequal = [part.replace(field(1, "h"), field(1, "z"), 1) for part in block]
    units = field(14, [field(1, "int8.units"), field(2, '{"base.2.layers.0":[[1.0,0.5],[0.0,1.0]]}')])
    joined = model([*block, mean, flat, head], [*weights, *block_integers])
    return {
        "quantized": model([*quantized, mean, flat, head], [*weights, *integers]),
        "quantized-block": joined,
        "quantized-units": joined + units,
        "quantized-zero-points": model([*unequal, mean, flat, head], [*weights, *block_integers]),
        "folded": model(nodes),
        "normalized": model([bare, norm, *nodes[1:]], [*weights, small]),
        "matmul": model([*nodes[:-1], matmul]),
        "packed": model(nodes, [*weights[:-2], onnx_tensor("c", 2, data=field(4, bytes(8))), bounds]),
        "cycle": model([*nodes[:1], onnx_node("Clip", ["y", "zero", "six"], "clip"), *nodes[2:]]),
        "external": model(nodes, [onnx_tensor("w", 2, 3, 3, 3, data=external), *weights[1:]]),
        "huge": model(nodes, [onnx_tensor("w", 2, 3, 3, 3), onnx_tensor("b", 2, data=field(1, 2**40) + field(9, bytes(8))), *weights[2:]]),
        "short": model(nodes, [onnx_tensor("w", 2, 3, 3, 3, data=field(9, bytes(100))), *weights[1:]]),
        "cut": model(nodes)[:-9],
    }


def tensors():
    """Names and shapes of a network of one block of two layers, a line each."""
    lines = []

    def conv(name, outputs, inputs, kernel):
        lines.append(f"{name}.conv.weight {outputs} {inputs} {kernel} {kernel}")
        lines.extend(f"{name}.norm.{leaf} {outputs}" for leaf in ("weight", "bias", "running_mean", "running_var"))
        lines.append(f"{name}.norm.num_batches_tracked")

    conv("base.0", 4, 3, 3)
    conv("base.2.layers.0", 4, 4, 3)
    conv("base.2.layers.1", 6, 8, 3)
    conv("base.3", 8, 10, 1)
    return [*lines, "base.5.3.weight 3 8", "base.5.3.bias 3"]


def idx(*dimensions):
    """An IDX file of the values 0, 1, .."""
    header = bytes([0, 0, 8, len(dimensions)]) + b"".join(extent.to_bytes(4, "big") for extent in dimensions)
    return header + bytes(range(math.prod(dimensions)))


def unchecked(content):
    """A zip file without checksums, so that what fuzzing changes in it is read; other files as they are."""
    end = content.rfind(b"PK\5\6")
    if not content.startswith(b"PK\3\4") or end < 0:
        return content
    content, at = bytearray(content), int.from_bytes(content[end + 16 : end + 20], "little")
    while content[at : at + 4] == b"PK\1\2":
        content[at + 16 : at + 20] = bytes(4)
        at += 46 + sum(int.from_bytes(content[at + field : at + field + 2], "little") for field in (28, 30, 32))
    return bytes(content)


class Module:
    """Stands for a class of `torch.nn`, with the attributes of one."""

    def __init__(self, **modules):
        self._parameters = {"weight": Stored([1.0, 2.0]), "bias": None}
        self._buffers = {"mean": Stored([3.0]), "cache": Stored([4.0])}
        self._non_persistent_buffers_set = {"cache"}
        self._modules = modules


class Kind(enum.Enum):
    ONE = 1


class Stored:
    """A tensor of floats, written as torch writes one."""

    def __init__(self, values, rebuild="_rebuild_tensor_v2"):
        self.values, self.rebuild = values, rebuild

    def __reduce__(self):
        utils = sys.modules["torch._utils"]
        arguments = Storage(self.values), 0, (len(self.values),), (1,), False, collections.OrderedDict()
        return getattr(utils, self.rebuild), arguments


class Storage:
    def __init__(self, values):
        self.values = values


def torch_stand_ins():
    """Modules with the names that pickles of torch have."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    sys.modules.update({"torch": torch, "torch._utils": utils})
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch", "__qualname__": "FloatStorage"})
    for name in ("_rebuild_tensor_v2", "_rebuild_sparse_tensor"):
        function = eval("lambda *_: None")
        function.__module__, function.__qualname__, function.__name__ = "torch._utils", name, name
        setattr(utils, name, function)


def legacy(value, protocol=2):
    """A file of `torch.save` before PyTorch 1.6."""
    keys, out = {}, io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                key = keys.setdefault(id(value), (str(len(keys)), value))[0]
                return "storage", sys.modules["torch"].FloatStorage, key, "cpu", len(value.values), None

    for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        out.write(pickle.dumps(head, 2))
    Pickler(out, protocol).dump(value)
    out.write(pickle.dumps([key for key, _ in keys.values()], 2))
    for _, storage in keys.values():
        out.write(struct.pack("<q", len(storage.values)) + struct.pack(f"<{len(storage.values)}f", *storage.values))
    return out.getvalue()


def checkpoints():
    """Files with objects beside the tensors, with several dictionaries, and of whole modules."""
    torch_stand_ins()
    circle = argparse.Namespace()
    circle.me = [circle]
    objects = {
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("/data"), kind=Kind.ONE),
        "when": datetime.datetime(2026, 1, 2),
        "kinds": [{1}, {"a"}, frozenset({2}), collections.deque([1]), collections.Counter("ab"), 1j, bytearray(b"a")],
        "big": 1 << 99,
        "counts": collections.defaultdict(list, a=[1]),
        "circle": circle,
        "class": Module,
    }
    state = {"w": Stored([1.0, 2.0])}
    average = {"n_averaged": Stored([7.0]), "module.w": Stored([3.0, 4.0])}
    seeds = {f"objects_p{protocol}": legacy({**objects, "state_dict": state}, protocol) for protocol in (1, 2, 4, 5)}
    seeds["averaged"] = legacy({"model": state, "model_ema": average, "epoch": 3})
    seeds["unusual"] = legacy({"student": state, "teacher": average})
    seeds["module"] = legacy(Module(inner=Module(), other=None))
    seeds["modules"] = legacy({"model": Module(inner=Module()), "ema": Module(module=Module())}, 4)
    seeds["sparse"] = legacy({"w": Stored([1.0], "_rebuild_sparse_tensor"), "v": Stored([1.0])})
    seeds["refused"] = legacy({"state_dict_ema": circle, "state_dict": state})
    return seeds


def png(width, height, depth, color, rows, palette=b""):
    """A PNG of one image part; `rows` has the packed samples of each row."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    image = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    parts = [(b"IHDR", header), *([(b"PLTE", palette)] if palette else []), (b"IDAT", image), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def masks():
    """Masks of 5 columns and 3 rows, and what is wrong with some of them."""
    gray, colors, gray_alpha, rgba = 0, 2, 4, 6
    rows = [bytes((x + y) % 5 for x in range(5)) for y in range(3)]
    # The first classes of PASCAL VOC.
    voc = [b"\0\0\0", b"\x80\0\0", b"\0\x80\0", b"\x80\x80\0", b"\0\0\x80"]
    painted = [b"".join(voc[label] for label in row) for row in rows]
    opaque = [b"".join(voc[label] + b"\xff" for label in row) for row in rows]
    return {
        "gray": png(5, 3, 8, gray, rows),
        "gray4": png(5, 3, 4, gray, [b"\x01\x23\x40"] * 3),
        "gray2": png(5, 3, 2, gray, [b"\x1b\x00"] * 3),
        "gray1": png(5, 3, 1, gray, [b"\xa8"] * 3),
        "ignored": png(5, 3, 8, gray, [b"\0\xff\1\2\3"] * 3),
        "palette": png(5, 3, 8, 3, rows, b"".join(voc)),
        "colors": png(5, 3, 8, colors, painted),
        "opaque": png(5, 3, 8, rgba, opaque),
        "gray_alpha": png(5, 3, 8, gray_alpha, [b"".join(bytes([label, 255]) for label in row) for row in rows]),
        "transparent": png(5, 3, 8, gray_alpha, [b"\0\xff\1\0\2\xff\3\xff\4\xff"] * 3),
        "no_class": png(5, 3, 8, gray, [b"\0\1\2\3\x09"] * 3),
        "no_color": png(5, 3, 8, colors, [b"\1\2\3" * 5] * 3),
        "gray16": png(5, 3, 16, gray, [b"\0\1" * 5] * 3),
        "cut": png(5, 3, 8, gray, rows)[:-20],
        "large": png(65536, 65536, 8, gray, rows),
    }


def requests():
    """Requests to a server, by the kinds of `fuzz/src/serve.rs`."""
    form = b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\nhi\r\n"
    form += b"--b\r\nContent-Disposition: form-data; name=topk\r\n\r\n2\r\n--b--\r\n"
    tensor = struct.pack("<192f", *(i / 192 for i in range(192)))
    strings = struct.pack("<I", 2) + b"hi" + struct.pack("<I", 1) + b"a"

    def infer(binary, **fields):
        inputs = [{"name": "input", "shape": [1, 3, 8, 8], "datatype": "FP32", **fields}]
        text = json.dumps({"id": "7", "inputs": inputs, "outputs": [{"name": "logits"}]}).encode()
        return b"v" + (str(len(text)).encode() if binary else b"") + b"\n" + text + binary

    def call(datatype, shape, raw=None, contents=None, more=b""):
        tensor = field(1, b"input") + field(2, datatype) + field(3, shape)
        tensor += field(5, contents) if contents is not None else b""
        return b"g" + field(1, b"model") + field(3, b"7") + field(5, tensor) + more + (field(7, raw) if raw else b"")

    number = field(4, field(1, b"timeout") + field(2, b"\x10\x90\x4e"))
    output = field(6, field(1, b"logits") + field(2, field(1, b"classification") + field(2, b"\x10\x02")))
    return {
        "raw": b"iimage/png\nhi",
        "form": b"imultipart/form-data; boundary=b\n" + form,
        "form_cut": b"imultipart/form-data; boundary=b\n" + form[:-20],
        "json": b'iapplication/json\n{"image": "aGk=", "topk": 2, "logits": true, "more": [1]}',
        "json_images": b'iapplication/json\n{"images": ["aGk", "data:image/png;base64,aGk="], "timeout_ms": 9.0}',
        "json_wrong": b'iapplication/json\n{"images": ["?"]}',
        "text": b"itext/plain\nhi",
        "url": b"u/classify?topk=3&logits=true&model=a%20b",
        "url_model": b"u/v2/models/a%2Fb/versions/1/infer",
        "url_wrong": b"u/v2/models/%ff/infer?topk=-1",
        "infer_json": infer(b"", data=[[[[0.5] * 8] * 8] * 3]),
        "infer_binary": infer(tensor, parameters={"binary_data_size": len(tensor)}),
        "infer_bytes": infer(strings, shape=[2], datatype="BYTES", parameters={"binary_data_size": len(strings)}),
        "infer_base64": infer(b"", shape=[1], datatype="BYTES", data=["aGk="]),
        "infer_quotes": infer(b"", name="a\n" * 40, data=[1]),
        "infer_shape": infer(tensor, shape=[2, 3, 8, 8], parameters={"binary_data_size": len(tensor)}),
        "call_raw": call(b"FP32", b"\1\3\x08\x08", raw=tensor, more=number + output),
        "call_typed": call(b"BYTES", b"\2", contents=field(8, b"hi") + field(8, b"a")),
        "call_floats": call(b"FP32", b"\1\3\x08\x08", contents=field(6, tensor)),
        "call_both": call(b"FP32", b"\1\3\x08\x08", raw=tensor, contents=field(6, tensor)),
        "call_other": call(b"INT64", b"\1", contents=field(3, b"\1")),
        "call_cut": call(b"FP32", b"\1\3\x08\x08", raw=tensor)[:-9],
    }


def main():
    for old in STORED.glob("*/*"):
        if not old.name.startswith("found-"):
            old.unlink()

    for path in sorted((ROOT / "crates/hardnet-checkpoint/tests/fixtures").iterdir()):
        if path.suffix in (".pth", ".pdparams", ".safetensors") and path.stat().st_size <= LIMIT:
            store("checkpoint", path.name, unchecked(path.read_bytes()))

    for name, content in checkpoints().items():
        store("checkpoint", name, content)

    endings = (".jpg", ".png", ".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".tif", ".webp")
    for path in sorted((ROOT / "crates/hardnet-data/tests/pillow/files").iterdir()):
        if path.suffix in endings and path.stat().st_size <= LIMIT:
            store("image", path.name, path.read_bytes())

    lists = {
        "plain": "a.jpg 1\nb.JPEG 2\nval/c.JPEG 999\n",
        "blanks": "\ufeff  ./a.jpg \t 0001 \r\n\n \t\r\nval//c.JPEG\t3",
        "unicode": "w\u00f6lf\u00a01.jpg 3\na.jpg 1\n",
        "missing": "z.jpg 1\n",
        "one_based": "a.jpg 1000\n",
        "twice": "a.jpg 1\n./a.jpg 2\n",
        "upwards": "../a.jpg 1\n",
        "backslash": "val\\c.JPEG 3\r\n.\\a.jpg 1\r\n",
        "wordnet": "a.jpg n01440764\nb.JPEG\tn15075141\n",
        "tabs": "a.jpg\ttench, Tinca tinca\n",
        "numbers": "490\n361\n",
        "kaggle": "ImageId,PredictionString\nb,n01440764 1 2 3 4\n",
    }
    for name, text in lists.items():
        store("list", name, text.encode())
    for encoding in ("utf-16-le", "utf-16-be"):
        store("list", encoding, "\ufeffa.jpg 1\r\nval\\c.JPEG 2\r\n".encode(encoding))

    for path in sorted((ROOT / "crates/hardnet-data/tests/devkit").glob("*.mat")):
        if path.stat().st_size <= LIMIT:
            store("meta_mat", path.name, path.read_bytes())

    tables = {
        "rows": "b,n01440764 111 108 441 343\na.jpg,n15075141 1.5 -2 3 4\n",
        "boxes": "b,n01440764 1 2 3 4 n01440764 5 6 7 8 \r\n",
        "quotes": '"b","n01440764 1 2 3 4"\n',
        "two_classes": "b,n01440764 1 2 3 4 n01443537 1 2 3 4\n",
        "unknown": "b,n00000001 1 2 3 4\n",
        "folder": "val/c,n01443537 1 2 3 4\n",
    }
    for name, text in tables.items():
        store("kaggle", name, text.encode())

    for name, content in masks().items():
        store("mask", name, content)
    texts = {
        "table": "1 2 3 road\n4,5,6 sky\n7\t8\t9 a b\n0 0 0 ignored\n",
        "in_order": "1 2 3\n4 5 6\n7 8 9\n",
        "twice": "1 2 3 0\n1 2 3 1\n7 8 9 2\n",
        "levels": "256 0 0 road\n",
        "blanks": "a.png b.png\n\nc.jpg d.png\n",
        "tabs": "a b.png\tc d.png\r\n",
        "three": "a.png b.png c.png\n",
    }
    for name, text in texts.items():
        store("mask_text", name, text.encode())

    def prediction(name, label, index, **others):
        top = [{"index": index, "name": f"class {index}", "probability": 0.5}]
        return json.dumps({"path": name, "label": label, "correct": label == index, "top": top, **others}) + "\n"

    five = [{"index": index, "name": str(index), "probability": 0.2} for index in range(5)]
    # What all lines of the present version say of their run.
    run = {
        "tool": {"version": "0.1.0", "commit": "c0ffee0"}, "model": "custom", "decoder": "d",
        "weights": {"path": "w", "sha256": "00"}, "pipeline": None, "data": {"images": 2},
    }
    first, second = prediction("a", 0, 0) + prediction("b", 1, 1), prediction("b", 1, 2) + prediction("a", 0, 0)
    predictions = {
        "old": first + "\0" + second,
        "sizes": prediction("a", 0, 0, width=500, height=375, run=run) + "\0" + prediction("a", 0, 1, width=1, height=9),
        "five": prediction("a", 0, 0, top=five) + "\0" + prediction("a", 0, 0, top=five[:4]),
        "unlabeled": '{"path":"a","top":[{"index":0,"name":"","probability":1}]}\0' + first,
        "more": first + prediction("c", 2, 2) + "\0" + second,
        "others": first + "\0" + prediction("c", 2, 2),
        "labels": first + "\0" + prediction("a", 1, 1),
        "twice": first + first + "\0" + second,
        "cut": first[:-20] + "\0" + second,
        "one": first,
        "contradiction": first.replace("true", "false") + "\0" + second,
    }
    for name, text in predictions.items():
        store("predictions", name, text.encode())

    file, folder = tarfile.REGTYPE, tarfile.DIRTYPE
    plain = [("a.jpg", file, b"A"), ("val/c.JPEG", file, b"CC")]
    classes = [("n01440764/", folder, b""), ("n01440764/a.jpg", file, b"A")]
    long = "/".join(["x" * 90] * 3) + "/a.jpg"
    archives = {
        "ustar": archive(tarfile.USTAR_FORMAT, plain),
        "classes": archive(tarfile.USTAR_FORMAT, classes),
        "numbers": archive(tarfile.USTAR_FORMAT, [("0/a.jpg", file, b"A"), ("1/b.jpg", file, b"B")]),
        "links": archive(tarfile.USTAR_FORMAT, [*plain[:1], ("b.jpg", tarfile.SYMTYPE, b""), ("c.jpg", tarfile.LNKTYPE, b"")]),
        "gnu_long": archive(tarfile.GNU_FORMAT, [(long, file, b"A")]),
        "pax_long": archive(tarfile.PAX_FORMAT, [(long, file, b"A")]),
        "pax_unicode": archive(tarfile.PAX_FORMAT, [("w\u00f6lf.jpg", file, b"A"), *plain]),
        "sparse": archive(tarfile.GNU_FORMAT, [("a.jpg", tarfile.GNUTYPE_SPARSE, b"A" * 8)]),
    }
    for name, content in archives.items():
        store("tar_index", name, content)

    regular, link = tarfile.REGTYPE, tarfile.SYMTYPE
    pair = [("a.jpg", regular, b"A"), ("a.cls", regular, b"3")]
    streamed = {
        "pairs": [*pair, ("a.json", regular, b"{}"), ("b.cls", regular, b" 999\n"), ("b.PNG", regular, b"BB")],
        "folders": [("x.y/a.jpg", regular, b"A"), ("x.y/a.cls", regular, b"0"), ("x.y", tarfile.DIRTYPE, b"")],
        "long_name": [("f" * 150 + ".jpeg", regular, b"A"), ("f" * 150 + ".cls", regular, b"1")],
        "several": [*pair, ("a.png", regular, b"B"), ("a.cls", regular, b"4")],
        "halves": [("a.jpg", regular, b"A"), ("b.cls", regular, b"1"), *pair],
        "not_classes": [("a.jpg", regular, b"A"), ("a.cls", regular, b"cat"), ("b.jpg", regular, b"B"),
                        ("b.cls", regular, b"1000")],
        "link": [("a.jpg", link, b""), ("a.cls", regular, b"3")],
    }
    for name, entries in streamed.items():
        store("webdataset", name, archive(tarfile.GNU_FORMAT, entries))
    whole = archive(tarfile.GNU_FORMAT, streamed["pairs"])
    store("webdataset", "cut", whole[: 7 * 512 + 9])
    store("webdataset", "compressed", gzip.compress(whole, mtime=0))

    # Name, offset, length and kind of the two images of `ustar`.
    images = '["a.jpg",512,1,null],["val/c.JPEG",1536,2,null]'
    indices = {
        "whole": f"[{images}]",
        "escapes": r'[["a\u002ejpg",512,1,null],["val/c.JPEG",1536,2,null]]',
        "folder": f'[["val",512,0,"folder"],{images}]',
        "links": '[["a.jpg",512,0,"link"],["val/c.JPEG",1536,2,null]]',
        "beyond": '[["a.jpg",512,99999,null],["val/c.JPEG",18446744073709551615,2,null]]',
        "no_header": '[["a.jpg",0,1,null],["val/c.JPEG",513,2,null]]',
        "classes": '[["n01440764/a.jpg",512,1,null],["n01443537/c.JPEG",1536,2,null]]',
        "cut": f"[{images}",
        "other": '[["a.jpg",512,1]]',
    }
    for name, text in indices.items():
        store("index_cache", name, text.encode())

    networks = {
        "whole": NETWORK + "[head]\nclasses = 3\ndropout = 0.1\n",
        "backbone": NETWORK.replace("relu6", "relu"),
        "pooled": NETWORK.replace("symmetric", "top_left").replace("dropout = 0.5, ", "") + "downsample = false\n",
        "unknown": NETWORK + "depth = 3\n",
        "missing": NETWORK.replace("growth = 4, ", ""),
        "beyond": NETWORK.replace("layers = 4", "layers = 1024"),
        "cut": NETWORK[:-9],
    }
    for name, text in networks.items():
        store("network", name, text.encode())

    lines = tensors()
    several = {
        "plain": lines,
        "compiled": [f"module._orig_mod.{line}" for line in lines],
        "more": [f"model.{line}" for line in lines] + ["criterion.weight 3", "n_averaged"],
        "within": [line.replace("base.", "net.base._orig_mod.", 1) for line in lines],
        "bare": [line.removeprefix("base.") for line in lines if not line.startswith("base.5.")],
        "twice": [prefix + line for prefix in ("a.", "b.") for line in lines] + ["c 7 1 1 1"],
        "flawed": [f"net.{line}" for line in lines[1:]],
        "other": ["x.0.conv.weight 4 3 3 3", "x.0.0.conv.weight 4 3 3 3"],
    }
    for name, text in several.items():
        store("tensors", name, "".join(f"{line}\n" for line in text).encode())

    for name, content in onnx_models().items():
        store("onnx", name, content)

    for name, content in requests().items():
        store("serve", name, content)

    images, labels = idx(2, 3, 4), idx(2)
    packed = gzip.compress(images, mtime=0)
    pairs = {
        "plain": (labels, images),
        "gzip": (gzip.compress(labels, mtime=0), packed),
        "members": (labels, gzip.compress(images[:20], mtime=0) + gzip.compress(images[20:], mtime=0)),
        "cut": (labels, packed[:-3]),
        "damaged": (labels, packed[:-8] + b"0000" + packed[-4:]),
        "counts": (idx(3), images),
        "huge": (labels, images[:4] + bytes([0, 0, 0, 2, 0, 0, 16, 0, 0, 0, 16, 0]) + images[16:]),
    }
    for name, (labels, images) in pairs.items():
        store("idx", name, len(labels).to_bytes(2, "big") + labels + images)


if __name__ == "__main__":
    main()
