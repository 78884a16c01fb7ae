"""Time HarDNet in 8-bit integers in other engines, quantized by their own tools, and record it in
docs/performance/int8-peers.json.

    python3 -m venv .venv-peers && . .venv-peers/bin/activate
    pip install -r benches/peers/requirements.txt nncf pillow
    cargo build --release -p hardnet-cli
    cargo build --release -p hardnet-engine --example int8_alone
    python benches/peers/int8.py --images PHOTOGRAPHS

runs four networks in batches of 1 and 8 on 1 and 2 threads, as `compare.py` does in f32, with the same weights. Each engine
quantizes the ONNX file of `hardnet export` once, with crops of the images in the folder `--images`:

* OpenVINO: NNCF's `quantize` with its defaults and 300 crops.
* ONNX Runtime: `quantize_static`, QDQ, u8 maps and i8 weights per channel, 60 crops.
* MNN: `mnnconvert --weightQuantBits 8`, and maps that are quantized as the network runs (`memory` at `low`).
  `mnnquant` of its Python package ends with an error on every network.
* ncnn: the tools that quantize are in its repository alone, neither in the wheel nor in the source package of PyPI, and
  Debian has no package of it.

Our plans are those of `crates/hardnet-engine/examples/int8_alone.rs`: the same networks, whose weights and maps are rounded
without images, since times do not depend on them. `--peers` names the other engines to run.

`--agreement` does so with two trained networks instead, the demonstration's and `tests/quantize/narrow.safetensors`, on the
10,000 test images of Debian's package `dataset-fashion-mnist`: it prints the accuracy of each engine, and how often the
first class is that of f32. OpenVINO and ONNX Runtime are calibrated with 1,000 training images. Where other programs share
the processor, `--prefix "chrt -f 50"` gives the engines precedence.
"""

import argparse
import importlib.metadata
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import compare
from compare import record

PEERS = {"openvino": "openvino", "onnxruntime": "onnxruntime", "mnn": "MNN"}
OURS = str(record.ROOT / "target" / "release" / "examples" / "int8_alone")
FASHION = Path("/usr/share/datasets/fashion-mnist")
TRAINED = {
    "hardnet39ds": record.ROOT / "weights" / "demo" / "fashion_mnist" / "hardnet39ds.safetensors",
    "narrow": record.ROOT / "tests" / "quantize" / "narrow.safetensors",
}
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def crops(arguments, name, count):
    """Normalized crops of the photographs; `name` is a seed."""
    file = arguments.cache / f"crops-{name}-{count}.npy"
    if not file.exists():
        from PIL import Image

        random = np.random.default_rng(name)
        files = sorted(path for path in arguments.images.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        images = [Image.open(path).convert("RGB") for path in files]
        out = np.empty((count, 224, 224, 3), np.uint8)
        for at in range(count):
            image = images[at % len(images)]
            side = min(image.size) * random.uniform(0.4, 1.0)
            left, top = (random.uniform(0, extent - side) for extent in image.size)
            out[at] = np.asarray(image.resize((224, 224), Image.BILINEAR, box=(left, top, left + side, top + side)))
        np.save(file, out)
    return np.load(file, mmap_mode="r")


def planes(crop):
    return np.ascontiguousarray(((crop.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2))


def fashion(part, side, preprocessing):
    """Normalized images of Fashion-MNIST and their labels."""
    import gzip

    from PIL import Image

    name = {"train": "train", "test": "t10k"}[part]
    pixels = np.frombuffer(gzip.open(FASHION / f"{name}-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
    labels = np.frombuffer(gzip.open(FASHION / f"{name}-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
    pixels = pixels.reshape(-1, 28, 28)
    if part == "train":
        pixels, labels = pixels[::60], labels[::60]
    mean, std = (np.float32(preprocessing[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    resized = [np.asarray(Image.fromarray(image).resize((side, side), Image.BILINEAR)) for image in pixels]
    return (np.stack(resized)[:, np.newaxis].astype(np.float32) / 255 - mean) / std, labels


def agreement(name, arguments):
    """Prints accuracies of a trained network in integers, and how often classes are those of f32."""
    import onnx

    source = arguments.cache / f"trained-{name}.onnx"
    export = [arguments.ours, "export", "-q", "--force", TRAINED[name], source, "--batch", "dynamic"]
    subprocess.run([*map(str, export)], check=True, stdout=subprocess.DEVNULL)
    model = onnx.load(source)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    preprocessing = {key: json.loads(texts[f"preprocessing.{key}"]) for key in ("mean", "std")}
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    images, labels = fashion("test", side, preprocessing)
    calibration, _ = fashion("train", side, preprocessing)
    ours = arguments.cache / f"trained-{name}.ours"
    export = [arguments.ours, "export", "-q", "--force", TRAINED[name], f"{ours}.onnx", "--int8", "qdq", "--batch", "dynamic"]
    subprocess.run([*map(str, export)], check=True, stdout=subprocess.DEVNULL)
    classes = {"f32": ("onnxruntime", source.with_suffix("")), "ours in onnxruntime": ("onnxruntime", ours)}
    for peer in arguments.peers:
        quantize(source.stem, peer, arguments, calibration)
        classes[peer] = (peer, arguments.cache / f"{source.stem}.int8")
    found = {}
    for engine, (peer, file) in classes.items():
        run = network(peer, file, 100, 1, side)
        batches = [run(np.ascontiguousarray(images[at : at + 100])) for at in range(0, len(images), 100)]
        found[engine] = np.concatenate([batch.reshape(100, -1).argmax(1) for batch in batches])
    share = lambda same: round(100 * float(same.mean()), 2)
    for engine, first in found.items():
        print(name, json.dumps({"engine": engine, "top-1": share(first == labels), "as f32": share(first == found["f32"])}))


def quantize(model, peer, arguments, images=None):
    """Writes the quantized network of a peer, if it is missing, calibrated with `images`, or else with crops."""
    source, target = arguments.cache / f"{model}.onnx", arguments.cache / f"{model}.int8.{peer}"
    target = target.with_suffix({"openvino": ".xml", "onnxruntime": ".onnx", "mnn": ".mnn"}[peer])
    if target.exists():
        return
    if peer == "openvino":
        import nncf
        import openvino

        if images is None:
            photographs = crops(arguments, 1, 300)
            dataset = nncf.Dataset(range(300), lambda at: planes(photographs[at : at + 1]))
        else:
            dataset = nncf.Dataset(range(len(images)), lambda at: images[at : at + 1])
        count = 300 if images is None else len(images)
        quantized = nncf.quantize(openvino.Core().read_model(source), dataset, subset_size=count)
        openvino.save_model(quantized, target, compress_to_fp16=False)
    elif peer == "onnxruntime":
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        if images is None:
            inputs = (planes(photograph[np.newaxis]) for photograph in crops(arguments, 1, 300)[:60])
        else:
            inputs = (image[np.newaxis] for image in images)

        class Reader(CalibrationDataReader):
            def get_next(self):
                image = next(inputs, None)
                return None if image is None else {"input": image}

        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(source, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, **types)
    else:
        files = ["--modelFile", source, "--MNNModel", target, "--weightQuantBits", "8"]
        subprocess.run(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "x"], check=True, stdout=subprocess.DEVNULL)


def network(peer, file, batch, threads, side=224):
    if peer == "openvino":
        import openvino

        network = openvino.Core().read_model(f"{file}.xml" if file.suffix else f"{file}.onnx")
        network.reshape([batch, 3, side, side])
        hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        request = openvino.Core().compile_model(network, "CPU", hints).create_infer_request()
        return lambda x: request.infer({0: x})[0]
    if peer == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(f"{file}.onnx", options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"input": x})[0]
    import MNN.expr
    import MNN.nn

    settings = {"backend": "CPU", "numThread": threads, "precision": "high", "memory": "low"}
    runtime = MNN.nn.create_runtime_manager((settings,))
    module = MNN.nn.load_module_from_file(f"{file}.mnn", ["input"], ["logits"], runtime_manager=runtime)
    return lambda x: np.array(module.forward([MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)])[0].read())


def worker(peer, model, batch, threads, arguments):
    """Measures one engine in this process."""
    run = network(peer, arguments.cache / f"{model}.int8", batch, threads)
    x = planes(crops(arguments, 2, 1000)[:batch])
    for _ in range(compare.WARM_UP):
        run(x)
    times, end = [], time.perf_counter() + arguments.seconds
    while len(times) < compare.LEAST or time.perf_counter() < end:
        started = time.perf_counter()
        run(x)
        times.append(1e3 * (time.perf_counter() - started))
    print(json.dumps({"ms": statistics.median(times), "mib": compare.peak_rss_mib()}))


def ask(peer, model, batch, threads, arguments):
    """The figures of one engine, measured in a process of its own."""
    if peer == "hardnet":
        return record.report(*shlex.split(arguments.prefix), arguments.alone, model, batch, threads, arguments.seconds)
    common = ["--models", model, "--batches", batch, "--threads", threads, "--seconds", arguments.seconds]
    common += ["--images", arguments.images, "--cache", arguments.cache]
    command = [*shlex.split(arguments.prefix), sys.executable, __file__, *common, "--worker", peer]
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS=str(threads))
    return record.report(*command, env=environment)


def versions(packages):
    """Those of the packages that are installed: networks that were quantized earlier need no NNCF."""
    found = {package.lower() for packages in importlib.metadata.packages_distributions().values() for package in packages}
    return {name: importlib.metadata.version(package) for name, package in packages.items() if package.lower() in found}


def write(model, batch, threads, seen, peers):
    engines = ["hardnet", *peers]
    times = {engine: statistics.median(result["ms"] for result in seen[engine]) for engine in engines}
    memory = [round(min(result["mib"] for result in seen[engine])) for engine in engines]
    quotient = round(times["hardnet"] / min(times[peer] for peer in peers), 2)
    rows = {tuple(old[:3]): old for old in record.rows("int8-peers")}
    rows[model, batch, threads] = [model, batch, threads, *(round(times[engine], 2) for engine in engines), quotient, *memory]
    print(rows[model, batch, threads], flush=True)
    order = lambda key: (record.MODELS.index(key[0]), key[2], key[1])
    packages = {**{peer: PEERS[peer] for peer in peers}, "nncf": "nncf"}
    record.write(
        "int8-peers",
        title="Engines in 8-bit integers",
        text="Median milliseconds for a batch of images of 224x224 pixels; other engines' networks are quantized by their own "
        "tools with crops of photographs. All engines are interleaved in the same minutes, the median over rounds. `ours / best` "
        "divides by the fastest other engine. Memory is the peak resident set of the process in MiB, of other engines with "
        "Python and NumPy.",
        command="python benches/peers/int8.py --images PHOTOGRAPHS",
        commit=record.commit(),
        versions=versions(packages),
        columns=["model", "batch", "threads", *engines, "ours / best", *(f"{engine} MiB" for engine in engines)],
        rows=[rows[key] for key in sorted(rows, key=order)],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--models", nargs="+", choices=record.MODELS, default=record.MODELS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of an engine's runs in a round")
    parser.add_argument("--prefix", default="", help="command that runs an engine")
    parser.add_argument("--ours", default=record.PROGRAM, help="our program, which exports the networks")
    parser.add_argument("--alone", default=OURS, help="our program, which is measured")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="other engines")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hardnet-peers" / "exported")
    parser.add_argument("--agreement", action="store_true", help="print accuracies of trained networks")
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        [model], [batch], [threads] = arguments.models, arguments.batches, arguments.threads
        return worker(arguments.worker, model, batch, threads, arguments)
    if arguments.agreement:
        return [agreement(name, arguments) for name in TRAINED]
    for model in arguments.models:
        compare.prepare(model, arguments)
        for peer in arguments.peers:
            quantize(model, peer, arguments)
        for threads in arguments.threads:
            for batch in arguments.batches:
                seen = {engine: [] for engine in ["hardnet", *arguments.peers]}
                for _ in range(arguments.rounds):
                    for engine, results in seen.items():
                        results.append(ask(engine, model, batch, threads, arguments))
                write(model, batch, threads, seen, arguments.peers)


if __name__ == "__main__":
    main()
