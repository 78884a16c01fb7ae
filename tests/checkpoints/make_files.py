"""Model files written by the real torch and paddlepaddle packages, with the weights of ../golden/formula.py.

    pip install numpy onnx onnxruntime pillow torch paddlepaddle
    python make_files.py small                # writes small/, which tests/tests/convert.rs reads
    python make_files.py full path/to/hardnet # the four networks: converts each file, compares logits, writes full.json

Every network is saved as a legacy file, a zip file and a training checkpoint of torch, and with protocols 2, 3 and 4 of
paddle under the names of PaddleClas and of the notebook. `full` keeps nothing but full.json: format, length and SHA-256 of
each file, SHA-256 of what `hardnet convert` makes of it, and the largest difference of its 1,000 logits (`hardnet predict`
on the picture of ../golden/picture_logits.py, from the converted file and from the file itself) from ONNX Runtime's.

Names and shapes come from ../golden/build_onnx.py, which shares no code with ours.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx.numpy_helper
import paddle
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))
import build_onnx  # noqa: E402
import formula  # noqa: E402

# Networks of other sizes, for three classes: stem, second kernel, m, k, layers, transition, downsample, depthwise.
SMALL = {
    "dense": ((4, 8), 3, 1.7, (4, 4), (4, 4), (8, 8), (1, 0), False),
    "depthwise": ((4, 8), 1, 1.6, (4, 6), (4, 8), (12, 16), (1, 0), True),
}


def arrays(name):
    """The network's parameters under PyTorch's names, in the order of its state dict."""
    initializers = build_onnx.build(name).graph.initializer
    weights = OrderedDict((w.name, onnx.numpy_helper.to_array(w)) for w in initializers if w.name.startswith("base."))
    if name in SMALL:
        for leaf, shape in ((".3.weight", lambda s: (3, s[1])), (".3.bias", lambda s: (3,))):
            key = next(key for key in weights if key.endswith(leaf))
            weights[key] = formula.tensor(key, shape(weights[key].shape))
    return weights


def torch_state(weights, prefix=""):
    state = OrderedDict()
    for name, array in weights.items():
        state[prefix + name] = torch.from_numpy(array.copy())
        if name.endswith("running_var"):
            state[prefix + name.replace("running_var", "num_batches_tracked")] = torch.tensor(1501, dtype=torch.int64)
    return state


def training(weights, arch):
    """What the authors' main.py saves, with an optimizer that has taken a step of length 0."""
    state = torch_state(weights, "module.")
    trained = [torch.nn.Parameter(t) for k, t in state.items() if t.is_floating_point() and "running" not in k]
    optimizer = torch.optim.SGD(trained, lr=0.0, momentum=0.9, weight_decay=6e-5, nesterov=True)
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {"epoch": 150, "arch": arch, "state_dict": state, "best_acc1": torch.tensor(71.5), "optimizer": optimizer.state_dict()}


def paddle_state(weights, scheme):
    state = OrderedDict()
    for name, array in weights.items():
        head = name.split(".")[2] == "3" and len(name.split(".")) == 4
        name = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        if scheme == "notebook":
            if head:
                base, index, _, leaf = name.split(".")
                name = f"{base}.{int(index) + 3}.{leaf}"
            name = name.replace(".norm.", ".conv_bn.1.").replace(".dwconv.", ".conv.").replace(".conv.", ".conv_bn.0.")
        state[name] = paddle.to_tensor(array.T.copy() if head and array.ndim == 2 else array)
    return state


def files(name, folder):
    """Saves a network in every way; yields the paths."""
    weights = arrays(name)
    state = torch_state(weights)
    torch.save(state, folder / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    yield folder / f"{name}.legacy.pth"
    torch.save(state, folder / f"{name}.zip.pth")
    yield folder / f"{name}.zip.pth"
    torch.save(training(weights, name), folder / f"{name}.checkpoint.pth.tar", _use_new_zipfile_serialization=False)
    yield folder / f"{name}.checkpoint.pth.tar"
    for scheme in ("paddleclas", "notebook"):
        for protocol in (2, 3, 4):
            path = folder / f"{name}.{scheme}.p{protocol}.pdparams"
            paddle.save(paddle_state(weights, scheme), str(path), protocol=protocol)
            yield path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def picture(path):
    """The picture of ../golden/picture_logits.py."""
    y, x, c = np.mgrid[0:281, 0:331, 0:3]
    Image.fromarray(((3 * x * x + 5 * y * y + 7 * x * y * c) // 64 % 256).astype(np.uint8)).save(path)


def full(program):
    expected = json.loads((HERE.parent / "golden" / "picture_logits.json").read_text())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        image = folder / "picture.png"
        picture(image)
        for name in expected:
            for path in files(name, folder):
                out = folder / "out.safetensors"
                made = subprocess.run(
                    [program, "convert", "-q", "--json", "--force", path, out], check=True, capture_output=True, text=True
                )
                report = json.loads(made.stdout)
                assert report["source"]["sha256"] == sha256(path) and report["model"] == name, report
                worst = {}
                for key, weights in (("converted", out), ("direct", path)):
                    command = [program, "predict", "-q", "--logits", "--pipeline", "pil-bilinear", "--weights", weights, image]
                    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    logits = np.array(json.loads(said)["logits"])
                    worst[key] = float(np.abs(logits - np.array(expected[name])).max())
                rows.append({
                    "file": path.name, "format": report["source"]["format"], "scheme": report["source"]["scheme"],
                    "bytes": path.stat().st_size, "sha256": report["source"]["sha256"],
                    "converted_bytes": report["bytes"], "converted_sha256": sha256(out),
                    "logits_off_by": {key: float(f"{value:.2e}") for key, value in worst.items()},
                })
                print(rows[-1], file=sys.stderr)
                path.unlink()
                assert max(worst.values()) < 1e-4, rows[-1]
    versions = {"torch": torch.__version__, "paddlepaddle": paddle.__version__, "numpy": np.__version__}
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    (HERE / "full.json").write_text(f'{{\n"written_by": {json.dumps(versions)},\n"files": [\n{lines}\n]\n}}\n')


def small():
    build_onnx.VARIANTS.update(SMALL)
    folder = HERE / "small"
    folder.mkdir(exist_ok=True)
    for name in SMALL:
        for path in files(name, folder):
            print(path.name, path.stat().st_size)


if __name__ == "__main__":
    small() if sys.argv[1] == "small" else full(sys.argv[2])
