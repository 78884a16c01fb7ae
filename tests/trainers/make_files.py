"""Trains a very small HarDNet for a few steps and saves it through the code of widespread training programs.

Writes files/ and expected.json, which holds for each file its format, the dictionary that is read, its dictionaries,
the counters, every tensor (name, type, shape and the FNV-1a 64 hash of its bytes in C order, little-endian), and the
logits of the network for one image. The image is made by `picture`, as the test makes it.

What each file is saved by:
  timm            `CheckpointSaver` with `ModelEmaV3` and the arguments of the program, an `argparse.Namespace`
  torchvision     `references/classification/train.py`: an `AveragedModel` that averages buffers too, the arguments
  lightning       `Trainer.save_checkpoint` of a module with `save_hyperparameters`
  compiled        the state dictionary of `torch.compile(model)`
  whole           `torch.save(model)`, in both formats, in an `AveragedModel` of `DataParallel`, in a dictionary
  objects         `torch.save` by several protocols and in the format before PyTorch 1.6, with objects of many kinds

usage: python make_files.py   (writes beside itself)
Made with Python 3.11, torch 2.15.0, timm 1.0.29, torchvision 0.29.2, lightning 2.6.6, omegaconf 2.3.1, numpy 2.4.6.
"""

import argparse
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import json
import logging
import pathlib
import random
import shutil
import tempfile
import uuid
import warnings
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
FILES = HERE / "files"
CLASSES, SIDE = 3, 32
EXPECTED = {}
TYPES = {torch.float32: "f32", torch.float16: "f16", torch.int64: "i64"}


# ---------------------------------------------------------------- the network, named as the published ones
class ConvLayer(nn.Sequential):
    def __init__(self, inputs, outputs, kernel=3, stride=1):
        super().__init__()
        self.add_module("conv", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False))
        self.add_module("norm", nn.BatchNorm2d(outputs))
        self.add_module("relu", nn.ReLU6(True))


class HarDBlock(nn.Module):
    """Two layers: the second is linked to the first and to the input; the output has both layers."""

    def __init__(self, inputs, first, second):
        super().__init__()
        self.layers = nn.ModuleList([ConvLayer(inputs, first), ConvLayer(first + inputs, second)])

    def forward(self, x):
        first = self.layers[0](x)
        return torch.cat([first, self.layers[1](torch.cat([first, x], 1))], 1)


class HarDNet(nn.Module):
    def __init__(self):
        super().__init__()
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(8, CLASSES))
        stem = [ConvLayer(3, 4, stride=2), ConvLayer(4, 6), nn.MaxPool2d(3, 2, 1)]
        self.base = nn.ModuleList([*stem, HarDBlock(6, 4, 6), ConvLayer(10, 8, 1), head])

    def forward(self, x):
        for layer in self.base:
            x = layer(x)
        return x


def picture():
    """Multiples of 1/64 below 1, [1, 3, SIDE, SIDE]: exact in every type."""
    values = torch.arange(3 * SIDE * SIDE, dtype=torch.int64)
    return ((values * 37 + values // 7) % 64).float().reshape(1, 3, SIDE, SIDE) / 64 - 0.5


def train(model, optimizer, steps=4, after=lambda: None):
    model.train()
    for step in range(steps):
        images = torch.randn(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(model(images), torch.arange(8) % CLASSES)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after()


def trained(after=lambda model: lambda: None):
    torch.manual_seed(0)
    model = HarDNet()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    train(model, optimizer, after=after(model))
    return model, optimizer


# ---------------------------------------------------------------- what is in a file
def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return f"{value:016x}"


def describe(name, tensor):
    plain = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
    raw = bytes(plain.reshape(-1).view(torch.uint8).numpy())
    return {"name": name, "dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "fnv": fnv1a(raw)}


def expect(file, model, state=None, wrapper=None, format="TorchZip", dictionaries=None, counters=(), passed_over=()):
    """What opening `file` gives: the tensors `state`, by default all of `model`, and the logits of `model`."""
    state = model.state_dict() if state is None else state
    network = HarDNet()
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in model.state_dict().items()})
    with torch.no_grad():
        logits = network.eval()(picture())[0]
    EXPECTED[file] = {
        "format": format,
        "wrapper": wrapper,
        "dictionaries": dictionaries or {wrapper or ".": len(state)},
        "counters": list(counters),
        "passed_over": list(passed_over),
        "logits": [float(logit) for logit in logits],
        "tensors": [describe(name, tensor) for name, tensor in state.items()],
    }
    size = (FILES / file).stat().st_size
    assert size < 60_000, f"{file} has {size} bytes"


def without_counter(average):
    """The state of an `AveragedModel` but the count of averaged weights."""
    return {name: tensor for name, tensor in average.state_dict().items() if name != "n_averaged"}


# ---------------------------------------------------------------- the programs
def timm_file():
    from timm.utils import CheckpointSaver, ModelEmaV3

    class Ema:
        model = None

    def after(model):
        Ema.model = ModelEmaV3(model, decay=0.5)
        return lambda: Ema.model.update(model)

    model, optimizer = trained(after)
    args = argparse.Namespace(model="hardnet", lr=0.05, output=pathlib.Path("/tmp/out"), mean=(0.5, 0.5), sched=None)
    with tempfile.TemporaryDirectory() as folder:
        folders = {"checkpoint_dir": folder, "recovery_dir": folder}
        saver = CheckpointSaver(model, optimizer, args=args, model_ema=Ema.model, **folders)
        saver.save_checkpoint(0, metric=33.3)
        shutil.copy(pathlib.Path(folder) / "last.pth.tar", FILES / "timm.pth.tar")
    names = {"state_dict": 32, "state_dict_ema": 32}
    expect("timm.pth.tar", Ema.model.module, wrapper="state_dict_ema", dictionaries=names)
    # The other dictionary of the same file.
    tensors = [describe(name, tensor) for name, tensor in model.state_dict().items()]
    EXPECTED["timm.pth.tar"]["entry"] = {"path": "state_dict", "tensors": tensors}


class ExponentialMovingAverage(torch.optim.swa_utils.AveragedModel):
    """As in torchvision's references/classification/utils.py."""

    def __init__(self, model, decay, device="cpu"):
        def ema_avg(avg_model_param, model_param, num_averaged):
            return decay * avg_model_param + (1 - decay) * model_param

        super().__init__(model, device, ema_avg, use_buffers=True)


def torchvision_file():
    class Ema:
        model = None

    def after(model):
        Ema.model = ExponentialMovingAverage(model, 0.5)
        return lambda: Ema.model.update_parameters(model)

    model, optimizer = trained(after)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], milestones=[2])
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "epoch": 1,
        "args": argparse.Namespace(model="hardnet", device="cuda", output_dir=".", ra_magnitude=9),
        "model_ema": Ema.model.state_dict(),
    }
    torch.save(checkpoint, FILES / "torchvision.pth")
    average = Ema.model.module
    names = {"model": 32, "model_ema": 32}
    state = without_counter(Ema.model)
    expect("torchvision.pth", average, state, wrapper="model_ema", dictionaries=names, counters=["n_averaged"])


class Mode(enum.Enum):
    FAST = "fast"


@dataclasses.dataclass
class Settings:
    rate: float = 0.1
    mode: Mode = Mode.FAST


def lightning_file():
    import lightning
    from omegaconf import OmegaConf

    class Module(lightning.LightningModule):
        def __init__(self, lr, config, when, path, settings, dtype, scale):
            super().__init__()
            self.save_hyperparameters()
            torch.manual_seed(0)
            self.model = HarDNet()

        def training_step(self, batch, _):
            images, labels = batch
            return nn.functional.cross_entropy(self.model(images), labels)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), self.hparams.lr, momentum=0.9)

    torch.manual_seed(1)
    data = torch.utils.data.TensorDataset(torch.randn(16, 3, SIDE, SIDE), torch.arange(16) % CLASSES)
    module = Module(
        0.1,
        OmegaConf.create({"lr": 0.1, "blocks": [1, 2]}),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        pathlib.Path("/data"),
        Settings(),
        torch.float16,
        np.float64(0.5),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=folder, enable_checkpointing=False,
        )
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=8))
        trainer.save_checkpoint(FILES / "lightning.ckpt")
    expect("lightning.ckpt", module.model, module.state_dict(), wrapper="state_dict")


# ---------------------------------------------------------------- plain PyTorch
def training_objects(optimizer):
    """What belongs to the state of training: objects of PyTorch, and random states."""
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, functools.partial(max, 0.5))
    return {
        "optimizer object": optimizer,
        "schedule object": schedule,
        "numpy state": np.random.get_state(),
        "random state": random.getstate(),
        "torch state": torch.get_rng_state()[:64].clone(),
    }


def objects():
    """Objects of many kinds, as people put them beside their networks."""
    circle = argparse.Namespace(name="circle")
    circle.me = [circle]
    counts = collections.defaultdict(list, {"a": [1]})
    return {
        "args": argparse.Namespace(lr=0.1, when=datetime.date(2026, 1, 2), nested=argparse.Namespace(a=1)),
        "circle": circle,
        "path": pathlib.Path("/data"),
        "delta": datetime.timedelta(days=1),
        "enum": Mode.FAST,
        "dataclass": Settings(),
        "class": HarDBlock,
        "function": trained,
        "numpy scalars": [np.float32(1.5), np.float64(2.5), np.int64(3), np.bool_(True), np.str_("a")],
        "numpy date": np.datetime64("2026-01-02"),
        "numpy complex": np.complex128(1 + 2j),
        "numpy arrays": [np.arange(3), np.array(["a", "b"]), np.array([{}, None], dtype=object), np.zeros(2, "c8")],
        "numpy record": np.zeros(1, [("a", "f4"), ("b", "i2")]),
        "generator": np.random.default_rng(0),
        "set": {1, "a"}, "frozenset": frozenset({2}), "deque": collections.deque([1], maxlen=3),
        "counter": collections.Counter("aab"), "counts": counts, "ordered": OrderedDict(a=1),
        "complex": 1 + 2j, "bytes": b"\x00\xff", "bytearray": bytearray(b"ab"), "big": 1 << 80, "huge": 1 << 3000,
        "decimal": decimal.Decimal("1.5"), "fraction": fractions.Fraction(1, 3), "uuid": uuid.UUID(int=1),
        "range": range(3), "slice": slice(1, 2), "ellipsis": ..., "none": type(None), "float": float("nan"),
        "dtype": torch.float16, "device": torch.device("cpu"), "size": torch.Size([1, 2]), "layout": torch.strided,
        "complex tensor": torch.zeros(2, dtype=torch.complex64),
        "float8": torch.zeros(2).to(torch.float8_e4m3fn),
        "sparse": torch.eye(3).to_sparse(),
        "attribute": tagged(torch.ones(2)), "parameter": tagged(nn.Parameter(torch.ones(2))),
        "logger": logging.getLogger("a"), "regex": __import__("re").compile("a+"),
    }


def tagged(tensor):
    tensor.note = "an attribute of Python"
    return tensor


def plain_files():
    model, optimizer = trained()
    state = model.state_dict()
    names = {"state_dict": 32}

    # The state dictionary is last: what comes before it must be parsed to get there.
    torch.save({**training_objects(optimizer), "state_dict": state}, FILES / "training_objects.pth")
    expect("training_objects.pth", model, wrapper="state_dict", dictionaries=names)
    for protocol in (1, 2, 4):
        file = f"objects.protocol{protocol}.pth"
        torch.save({**objects(), "state_dict": state}, FILES / file, pickle_protocol=protocol)
        expect(file, model, wrapper="state_dict", dictionaries=names)
    file = "objects.legacy.pth"
    torch.save({**objects(), "state_dict": state}, FILES / file, _use_new_zipfile_serialization=False)
    expect(file, model, wrapper="state_dict", dictionaries=names, format="TorchLegacy")

    model.eval()
    torch.save(model, FILES / "whole.pth")
    expect("whole.pth", model)
    # This format stores the source of each module's class beside it: a line in place of PyTorch's own.
    torch.serialization.get_source_lines_and_file = lambda *_: (["class Module: ...\n"], 0, "module.py")
    torch.save(model, FILES / "whole.legacy.pth", _use_new_zipfile_serialization=False)
    expect("whole.legacy.pth", model, format="TorchLegacy")
    half = copy.deepcopy(model).half()
    torch.save({"epoch": 3, "model": model, "ema": half, "updates": 5}, FILES / "whole_half.pth")
    expect("whole_half.pth", half, wrapper="ema", dictionaries={"model": 32, "ema": 32})
    average = ExponentialMovingAverage(nn.DataParallel(model), 0.5)
    average.avg_fn = None
    torch.save(average, FILES / "whole_averaged.pth", pickle_protocol=4)
    expect("whole_averaged.pth", model, without_counter(average), counters=["n_averaged"])

    compiled = torch.compile(model)
    torch.save(compiled.state_dict(), FILES / "compiled.pth")
    expect("compiled.pth", model, compiled.state_dict())


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    for old in FILES.iterdir():
        old.unlink()
    warnings.simplefilter("ignore")
    timm_file()
    torchvision_file()
    lightning_file()
    plain_files()
    lines = [f"{json.dumps(file)}: {json.dumps(what)}" for file, what in sorted(EXPECTED.items())]
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(sum(path.stat().st_size for path in FILES.iterdir()), "bytes in", len(EXPECTED), "files")
