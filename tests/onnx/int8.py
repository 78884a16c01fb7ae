"""Whether other programs compute the models of `hardnet export --int8 qdq` as our reference does.

    pip install -r tests/onnx/requirements.txt    # in a venv, as for readers.py
    cargo build --release -p hardnet-cli && cargo build --release -p hardnet-engine --example synthetic_logits
    cargo build --release -p hardnet-quantize --example quantized_maps
    python tests/onnx/int8.py

exports the six networks with synthetic weights, and computes each layer by ONNX Runtime and OpenVINO from equal inputs:
the maps of bytes that the reference, plain loops of Rust, computes of one image. Each layer must be within one step
of the map that it writes; the shares of values that differ at all are printed. First classes of random weights say
little, so the whole networks are two trained ones, the bundled one and `tests/quantize/narrow`, for the 1,000 bundled
images: at least 99 % of the first classes must be those of our engine.

Results depend on the processor: without VNNI, ONNX Runtime's sums of u8 times i8 saturate. `--record NAME` stores the
results in `int8.json` under this name in place of failing. Those without VNNI are of an emulated processor:

    qemu-x86_64 -cpu Haswell python tests/onnx/int8.py --record avx2     # the venv's packages by PYTHONPATH
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).resolve().with_suffix(".json")
CLASSIFIERS = ["hardnet39ds", "hardnet68ds", "hardnet68", "hardnet85"]
NETWORKS = [*CLASSIFIERS, "fc-hardnet70", "fc-hardnet70-paddleseg"]
DEMO = ROOT / "weights" / "demo" / "fashion_mnist"
TRAINED = {"demo": DEMO / "hardnet39ds.safetensors", "narrow": ROOT / "tests" / "quantize" / "narrow.safetensors"}


def onnxruntime_run(model, inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def openvino_run(model, inputs):
    import openvino

    network = openvino.Core().read_model(model.SerializeToString())
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return openvino.Core().compile_model(network, "CPU", hints)(inputs)[0]


PROGRAMS = {"onnxruntime": onnxruntime_run, "openvino": openvino_run}


def layers(model):
    """The nodes that write each map of bytes from others, as models of their own, by the name of the map."""
    import onnx

    producers = {output: node for node in model.graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    values = {value.name: value for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]}
    # A concatenation is not a layer.
    maps = {
        node.output[0]: node
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and producers[node.input[0]].op_type != "Concat"
    }
    for last in maps.values():
        nodes, inputs, constants, todo = {}, {}, {}, [last]
        while todo:
            node = todo.pop()
            nodes[node.name] = node
            for name in filter(None, node.input):
                before = producers.get(name)
                if name in tensors:
                    constants[name] = tensors[name]
                elif before is None or name in maps:
                    inputs[name] = values[name]
                elif before.name not in nodes:
                    todo.append(before)
        ordered = [node for node in model.graph.node if node.name in nodes]
        graph = onnx.helper.make_graph(
            ordered, "layer", list(inputs.values()), [values[last.output[0]]], list(constants.values())
        )
        yield last.output[0].removesuffix(".quantized"), onnx.helper.make_model(
            graph, opset_imports=model.opset_import, ir_version=model.ir_version
        )


def compare_layers(model, maps, image, program):
    """The largest difference of a layer in steps, by which layer, and the share of values that differ."""
    worst, where, unequal, count = 0, "", 0, 0
    for name, layer in layers(model):
        shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in layer.graph.input}
        read = lambda value: image if value == "input" else np.fromfile(maps / value.removesuffix(".quantized"), np.uint8)
        inputs = {value: read(value).reshape(shape) for value, shape in shapes.items()}
        found = PROGRAMS[program](layer, inputs).reshape(-1).astype(int)
        expected = np.fromfile(maps / name, np.uint8).astype(int)
        difference = np.abs(found - expected)
        if difference.max() > worst:
            worst, where = int(difference.max()), name
        unequal, count = unequal + int((difference > 0).sum()), count + difference.size
    return {"steps": worst, "layer": where, "unequal": float(f"{unequal / count:.1e}"), "values": count}


def whole(arguments, folder, name, weights):
    """A trained network on the demo's thousand images."""
    import onnx
    from PIL import Image

    file, maps = folder / f"{name}.onnx", folder / f"{name}.maps"
    export = [arguments.hardnet, "export", "-q", weights, file, "--int8", "qdq"]
    subprocess.run([*map(str, export), "--batch", "dynamic"], check=True, stdout=subprocess.DEVNULL)
    model = onnx.load(file)
    texts = {entry.key: entry.value for entry in model.metadata_props}
    mean, std = (np.array(json.loads(texts[f"preprocessing.{name}"]), np.float32) for name in ("mean", "std"))
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    images = []
    with tarfile.open(DEMO / "sample.tar") as archive:
        members = [member for member in archive if member.name.endswith(".png")]
        for member in sorted(members, key=lambda member: member.name):
            image = Image.open(archive.extractfile(member)).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            images.append(((np.asarray(image, np.float32) / 255 - mean) / std).transpose(2, 0, 1))
    images = np.ascontiguousarray(images)
    images.tofile(folder / "images.f32")
    reference = [arguments.reference, weights, folder / "images.f32", side, maps]
    subprocess.run([str(part) for part in reference], check=True)
    expected = np.fromfile(maps / "logits", np.float32).reshape(len(images), -1)
    for program in arguments.programs:
        found = PROGRAMS[program](model, {"input": images}).reshape(expected.shape)
        agree = float((found.argmax(1) == expected.argmax(1)).mean())
        worst = float(np.abs(found - expected).max())
        result = {"images": len(images), "top-1": agree, "logits": round(worst, 3)}
        print(name, program, json.dumps(result), flush=True)
        record(arguments, name, program, result)
        assert arguments.record or agree >= 0.99, f"{program} has the first class of {100 * agree} %"


def record(arguments, network, program, result):
    """Stores a result, if results are stored."""
    if not arguments.record:
        return
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    results = recorded.setdefault(arguments.record, {})
    results.setdefault("versions", {})[program] = importlib.metadata.version(program)
    results.setdefault("results", {}).setdefault(network, {})[program] = result
    RECORD.write_text(json.dumps(recorded, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    parser.add_argument("--hardnet", default=target / "hardnet", help="our program")
    parser.add_argument("--weights", default=target / "examples" / "synthetic_logits", help="our engine's logits")
    parser.add_argument("--reference", default=target / "examples" / "quantized_maps", help="the reference")
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--side", type=int, default=96, help="of the image")
    parser.add_argument("--record", metavar="NAME", help="store the results, whatever they are")
    parser.add_argument("--scratch", help="folder for files")
    arguments = parser.parse_args()
    import onnx

    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = Path(scratch)
        subprocess.run([arguments.weights, folder], check=True)
        side = arguments.side
        image = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
        image.tofile(folder / "image.f32")
        for network in arguments.networks:
            weights, file, maps = folder / f"{network}.safetensors", folder / f"{network}.onnx", folder / f"{network}.maps"
            size = ["--img-size", side] if network in CLASSIFIERS else ["--size", f"{side}x{side}"]
            export = [arguments.hardnet, "export", "-q", weights, file, "--int8", "qdq", *size]
            subprocess.run([str(part) for part in export], check=True, stdout=subprocess.DEVNULL)
            reference = [arguments.reference, weights, folder / "image.f32", side, maps]
            subprocess.run([str(part) for part in reference], check=True)
            model = onnx.load(file)
            onnx.checker.check_model(model, full_check=True)
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
            for program in arguments.programs:
                result = compare_layers(model, maps, image, program)
                print(network, program, json.dumps(result), flush=True)
                record(arguments, network, program, result)
                same = arguments.record or result["steps"] <= 1
                assert same, f"{program} computes {result['layer']} of {network} in another way"
        for name, weights in TRAINED.items():
            whole(arguments, folder, name, weights)


if __name__ == "__main__":
    sys.exit(main())
