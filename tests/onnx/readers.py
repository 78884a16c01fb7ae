"""Which programs read the ONNX files of `hardnet export`, in which forms, and whether their logits are ours.

    python3 -m venv .venv-onnx && . .venv-onnx/bin/activate
    pip install -r tests/onnx/requirements.txt
    cargo build --release -p hardnet-cli && cargo build --release -p hardnet-engine --example synthetic_logits
    cargo build --release --manifest-path tests/onnx/rten/Cargo.toml --target-dir target/rten  # Rust 1.94
    RTEN_READER=target/rten/release/rten-reader python tests/onnx/readers.py

exports five networks with synthetic weights in each form, checks the files with ONNX's full checker and strict shape
inference and with onnxslim, and has every program compute logits, which are compared with those of our engine. Each
cell of the result, `readers.json` next to this file, is a largest difference or the reason why there is none;
`docs/onnx.md` is written from it (`--page` writes only the page). Cells that are stored are not computed again, so
that a run that was interrupted goes on; `--again` replaces those that `--networks`, `--forms` and `--readers` choose.
ONNX Runtime and OpenVINO must read every form of every network. Of models of integers, nodes and initializers are
counted before and after onnxslim; `int8.py` next to this file compares what they compute.

A program runs in a process of its own: a crash is a result.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULT = Path(__file__).resolve().parent / "readers.json"
PAGE = ROOT / "docs" / "onnx.md"
NETWORKS = ["hardnet39ds", "hardnet68ds", "hardnet68", "hardnet85", "notebook"]
READERS = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "mnn": "MNN",
    "ncnn": "ncnn (pnnx)",
    "tract": "tract",
    "rten": "rten",
}
PACKAGES = ["onnx", "onnxruntime", "openvino", "MNN", "ncnn", "pnnx", "onnxslim", "tract"]
# Read by programs that must read everything.
COMPLETE = {"onnxruntime", "openvino"}
# Options of `hardnet export`, and the images that each form is computed for. Differences are of logits up to 15.
FORMS = {
    **{f"opset {opset}": (["--opset", str(opset)], "fixed", 1e-4) for opset in range(13, 22)},
    "norm kept": (["--keep-norm"], "fixed", 1e-4),
    "dynamic": (["--batch", "dynamic", "--dynamic-size"], "free", 1e-4),
    "u8 image": (["--with-preprocessing"], "pixels", 1e-4),
    "u8 image, dynamic": (["--with-preprocessing", "--batch", "dynamic"], "pixels", 1e-4),
    "f16": (["--dtype", "f16"], "fixed", 0.1),
    "f16, u8 image": (["--dtype", "f16", "--with-preprocessing"], "pixels", 0.1),
}
DEFAULT = "opset 17"


def image(folder, name):
    import numpy as np

    if name == "pixels":
        return np.fromfile(folder / "pixels.u8", np.uint8).reshape(1, 224, 224, 3)
    shape = {"fixed": (1, 3, 224, 224), "free": (2, 3, 193, 225)}[name]
    return np.fromfile(folder / f"{name}.f32", np.float32).reshape(shape)


def onnxruntime_logits(file, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": x})[0]


def openvino_logits(file, x):
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(openvino.Core().read_model(file), "CPU", hints)
    return network({"input": x})["logits"]


def mnn_logits(file, x):
    import MNN.expr
    import MNN.nn
    import numpy as np

    converted = file.with_suffix(".mnn")
    run(["mnnconvert", "-f", "ONNX", "--modelFile", file, "--MNNModel", converted, "--bizCode", "x"])
    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": 1, "precision": "high"},))
    runtime.set_hint(3, 0)  # WINOGRAD_MEMORY_LEVEL; 3, the default, has larger blocks, which round more
    network = MNN.nn.load_module_from_file(str(converted), ["input"], ["logits"], runtime_manager=runtime)
    # It takes f16 as f32, and every input of an ONNX file as NCHW, an image as well.
    x, kind = (x, MNN.expr.uint8) if x.dtype == np.uint8 else (x.astype(np.float32), MNN.expr.float)
    source = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW, kind)
    [logits] = network.forward([source])
    return np.array(logits.read())  # a copy: what it reads is the memory of `logits`


def ncnn_logits(file, x):
    import ncnn
    import numpy as np

    shape = "[" + ",".join(map(str, x.shape)) + "]" + {"uint8": "u8", "float16": "f16"}.get(str(x.dtype), "")
    run(["pnnx", file.name, f"inputshape={shape}", "fp16=0"], cwd=file.parent)
    network = ncnn.Net()
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    assert network.load_param(str(file.with_suffix(".ncnn.param"))) == 0, "the converted network is not readable"
    assert network.load_model(str(file.with_suffix(".ncnn.bin"))) == 0, "the converted weights are not readable"
    logits = []
    for one in x:  # ncnn has no batches.
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(one)))
        status, output = extractor.extract("out0")
        assert status == 0, f"extract gives {status}"
        logits.append(np.array(output))
    return np.stack(logits)


def tract_logits(file, x):
    import tract

    network = tract.onnx().load(file)  # the file's own shapes: a number for a free one is refused after `Cast`
    return network.into_model().into_runnable().run([x])[0].to_numpy()


def rten_logits(file, x):
    import numpy as np

    x = x.astype(np.float32) if x.dtype == np.float16 else x  # as it takes f16
    source, output = file.with_suffix(".input"), file.with_suffix(".output")
    source.write_bytes(x.tobytes())
    program = os.environ["RTEN_READER"]
    run([program, file, x.dtype.name, ",".join(map(str, x.shape)), source, output])
    return np.fromfile(output, np.float32).reshape(len(x), -1)


def run(command, **options):
    """Runs a converter; what it says last is the reason of its failure."""
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", **options)
    if result.returncode:
        said = [line.strip() for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        raise RuntimeError(said[-1] if said else f"{command[0]} ended with {result.returncode}")


def reason(stderr):
    """The exception that ended a process, with its cause where it has a chain of them, without the backtrace."""
    said = [line.rstrip() for line in stderr.partition("Stack backtrace:")[0].splitlines() if line.strip()]
    starts = [at for at, line in enumerate(said) if re.match(r"[\w.]+: ", line)]
    if not starts:
        return said[-1] if said else ""
    parts = [said[starts[-1]]]
    if "Caused by:" in said[starts[-1] :]:
        parts.append(re.sub(r"^\s*(\d+: )?", "", said[-1]))
    missing = re.search(r"^layer (\S+) not exists", stderr, re.MULTILINE)  # ncnn
    parts += [f"it has no layer {missing[1]}"] if missing else []
    return ": ".join(parts)


def worker(reader, file, folder, network, name):
    """Computes logits in this process and prints their largest difference from ours."""
    import numpy as np

    x = image(folder, name)
    form_f16 = "f16" in file.stem and x.dtype == np.float32
    expected = np.fromfile(folder / f"{network}.{name}.f32", np.float32).reshape(len(x), -1)
    logits = np.asarray(globals()[f"{reader}_logits"](file, x.astype(np.float16) if form_f16 else x)).astype(np.float64)
    assert logits.size == expected.size, f"{logits.size} logits, expected {expected.size}"
    print("difference", float(np.abs(logits.reshape(expected.shape) - expected).max()))


def read(reader, file, folder, network, name):
    """The largest difference of a reader's logits from ours, or why there is none."""
    command = [sys.executable, __file__, "--worker", reader, file, folder, network, name]
    try:
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", timeout=300)
    except subprocess.TimeoutExpired:
        return "no answer within 5 minutes"
    lines = [line.strip() for line in result.stdout.splitlines() if line.startswith("difference ")]
    if result.returncode == 0 and lines:
        return float(f"{float(lines[-1].split()[1]):.1e}")
    if result.returncode < 0:
        return f"crashes (signal {-result.returncode})"
    text = reason(result.stderr) or f"ends with {result.returncode}"
    return re.sub(r"\S*/(\S+\.onnx)", r"\1", text)[:240]


def check(file, folded):
    """What ONNX's own checks and onnxslim find wrong; nothing is right."""
    import onnx
    import onnxslim

    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(file)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    if not folded:
        return
    before = [node.op_type for node in model.graph.node]
    slim = onnxslim.slim(model)
    after = [node.op_type for node in slim.graph.node]
    initializers = len(model.graph.initializer), len(slim.graph.initializer)
    assert sorted(before) == sorted(after), f"onnxslim leaves {len(after)} of {len(before)} nodes"
    assert initializers[1] >= initializers[0], f"onnxslim leaves {initializers[1]} of {initializers[0]} initializers"


def slim_integers(file):
    """Nodes and initializers of a model of integers, before and after onnxslim."""
    import onnx
    import onnxslim

    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(file)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    before = len(model.graph.node), len(model.graph.initializer)
    slim = onnxslim.slim(model)
    return {
        "nodes": [before[0], len(slim.graph.node)],
        "initializers": [before[1], len(slim.graph.initializer)],
    }


def measure(arguments):
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = Path(scratch)
        subprocess.run([arguments.reference, folder], check=True)
        stored = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        cells, integers = stored.get("cells", {}), stored.get("integers", {})
        for network in arguments.networks:
            for form in arguments.forms:
                options, name, limit = FORMS[form]
                row = cells.setdefault(network, {}).setdefault(form, {})
                missing = [reader for reader in arguments.readers if arguments.again or reader not in row]
                if not missing:
                    continue
                file = folder / f"{network}_{re.sub('[^a-z0-9]+', '_', form)}.onnx"
                source = folder / f"{network}.safetensors"
                command = [arguments.hardnet, "export", "-q", source, file, "--pipeline", "pil-bilinear", *options]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                check(file, "--keep-norm" not in options)
                for reader in missing:
                    row[reader] = read(reader, file, folder, network, name)
                    good = isinstance(row[reader], float) and row[reader] <= limit
                    print(network, form, reader, row[reader], "" if good else "<-", flush=True)
                    if reader in COMPLETE and not good:
                        raise SystemExit(f"{reader} must read {network} as {form}: {row[reader]}")
                for rest in folder.glob(f"{file.stem}*"):
                    rest.unlink()
                write(cells, integers)
            if arguments.again or network not in integers:
                file = folder / f"{network}_int8.onnx"
                command = [arguments.hardnet, "export", "-q", folder / f"{network}.safetensors", file, "--int8", "qdq"]
                subprocess.run([*command, "--pipeline", "pil-bilinear"], check=True, stdout=subprocess.DEVNULL)
                integers[network] = slim_integers(file)
                file.unlink()
                write(cells, integers)


def write(cells, integers):
    """Stores what has been measured so far."""
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    locked = (Path(__file__).resolve().parent / "rten" / "Cargo.lock").read_text()
    versions["rten"] = re.search(r'name = "rten"\nversion = "(.+)"', locked)[1]
    result = {"command": "python tests/onnx/readers.py", "machine": platform.machine(), "versions": versions}
    RESULT.write_text(json.dumps(result | {"cells": cells, "integers": integers}, indent=1) + "\n")


def cell(value, limit):
    """A cell of the page's table."""
    if isinstance(value, float):
        return f"{value:.0e}" if value <= limit else f"**{value:.0e}**"
    return "no" if value else ""


def page():
    """The tables of docs/onnx.md, between its marks."""
    result = json.loads(RESULT.read_text())
    cells = result["cells"]
    readers = [reader for reader in READERS if reader in cells[NETWORKS[0]][DEFAULT]]
    titles = " | ".join(READERS[reader] for reader in readers)
    lines, notes = [f"| form | {titles} |", "|---|" + "---|" * len(readers)], []
    for form, (_, _, limit) in FORMS.items():
        row = []
        for reader in readers:
            # The largest difference of all networks, or why one is not read.
            values = [cells[network][form].get(reader, "") for network in NETWORKS if form in cells.get(network, {})]
            refusals = [value for value in values if isinstance(value, str) and value]
            value = refusals[0] if refusals else max((value for value in values if value != ""), default="")
            if isinstance(value, str):
                value = re.sub(r"^[\w.]*\.(?=\w+: )| #\d+", "", value)  # modules and numbers of nodes
            if isinstance(value, str) and value:
                notes += [value] if value not in notes else []
                row.append(f"no ({notes.index(value) + 1})")
            else:
                row.append(cell(value, limit))
        lines.append(f"| {form} | {' | '.join(row)} |")
    listed = (f"{number}. `{note.replace('`', '')}`" for number, note in enumerate(notes, 1))
    lines += ["", *(line for note in listed for line in textwrap.wrap(note, 118, subsequent_indent="   ")), ""]
    lines += [f"| network, {DEFAULT} | {titles} |", "|---|" + "---|" * len(readers)]
    for network in (network for network in NETWORKS if network in cells):
        row = [cell(cells[network][DEFAULT].get(reader, ""), FORMS[DEFAULT][2]) for reader in readers]
        lines.append(f"| {network} | {' | '.join(row)} |")
    missing = {}
    for network in NETWORKS:
        for form in FORMS:
            absent = [reader for reader in readers if reader not in cells.get(network, {}).get(form, {})]
            if absent:
                missing.setdefault(network, []).append(form)
    if missing:
        listed = "; ".join(f"{network}: {', '.join(forms)}" for network, forms in missing.items())
        lines += ["", *textwrap.wrap(f"Not measured with every program: {listed}.", 118)]
    if result.get("integers"):
        titles = "| network, `--int8 qdq` | nodes | after onnxslim | initializers | after onnxslim |"
        lines += ["", titles, "|---|---|---|---|---|"]
        for network, counts in result["integers"].items():
            lines.append(f"| {network} | {' | '.join(map(str, [*counts['nodes'], *counts['initializers']]))} |")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines += ["", *textwrap.wrap(f"Versions: {versions}.", 118)]
    text = PAGE.read_text()
    start, end = "<!-- generated by tests/onnx/readers.py -->\n", "<!-- end -->"
    before, rest = text.split(start)
    PAGE.write_text(before + start + "\n" + "\n".join(lines) + "\n\n" + end + rest.split(end, 1)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    parser.add_argument("--hardnet", default=target / "hardnet", help="our program")
    parser.add_argument("--reference", default=target / "examples" / "synthetic_logits", help="our engine's logits")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--again", action="store_true", help="replace stored cells")
    parser.add_argument("--scratch", help="folder for a gigabyte of files")
    parser.add_argument("--page", action="store_true", help="write docs/onnx.md from the stored result")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        reader, file, folder, network, name = arguments.worker
        return worker(reader, Path(file), Path(folder), network, name)
    if not arguments.page:
        measure(arguments)
    page()


if __name__ == "__main__":
    main()
