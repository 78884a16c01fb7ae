"""Files of both segmentation networks as torch and paddle write them, and the logits that belong to them.

    pip install torch numpy            # python make_files.py torch FOLDER
    pip install paddlepaddle==3.3.1 paddleseg==2.8.0      # python make_files.py paddle FOLDER
    hardnet export FOLDER/upstream.pkl FOLDER/upstream.onnx --size 97x131
    hardnet export FOLDER/model.pdparams FOLDER/paddleseg.onnx --size 97x131
    pip install onnxruntime openvino   # python make_files.py compare FOLDER

`torch` writes upstream.pkl, the dictionary that FCHarDNet's train.py saves; `paddle` writes model.pdparams. Weights and
images by ../golden/formula.py. `compare` runs every exported file that is there, for images of 97x131 and, where the
file takes any size, of other sizes too, in ONNX Runtime and OpenVINO, and prints the largest differences from float64.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "golden"))
import formula  # noqa: E402

SIZES = ((97, 131), (64, 96), (130, 75))


def image(size):
    return formula.tensor("x", (1, 3, *size))


def write_torch(folder):
    import fc_hardnet
    import torch

    net = fc_hardnet.with_formula(fc_hardnet.FcHarDNet()).eval()
    for size in SIZES:
        with torch.no_grad():
            np.save(folder / f"upstream.{size[0]}x{size[1]}.npy", net(fc_hardnet.image(1, *size)).numpy())
    net = net.float()
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    best = {"epoch": 90000, "model_state": state, "optimizer_state": optimizer.state_dict(), "best_iou": 0.5}
    torch.save(best, folder / "upstream.pkl")
    torch.save(best, folder / "upstream.legacy.pkl", _use_new_zipfile_serialization=False)
    base = {name[12:]: value for name, value in state.items() if name.startswith("module.base.")}
    torch.save(base, folder / "petite_base.pth")


def write_paddle(folder):
    import importlib.util

    import paddle

    # A script of the same name as the package.
    spec = importlib.util.spec_from_file_location("reference", HERE / "paddleseg.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    HarDNet = reference.HarDNet

    paddle.set_default_dtype("float64")
    net = HarDNet(19)
    state = net.state_dict()
    for name, value in state.items():
        value.set_value(formula.tensor(reference.canonical(name), tuple(value.shape)).astype(np.float64))
    net.eval()
    for size in SIZES:
        with paddle.no_grad():
            logits = net(paddle.to_tensor(image(size).astype(np.float64)))[0].numpy()
        np.save(folder / f"paddleseg.{size[0]}x{size[1]}.npy", logits)
    single = {name: paddle.to_tensor(value.numpy().astype(np.float32)) for name, value in state.items()}
    paddle.save(single, str(folder / "model.pdparams"))


def compare(folder):
    import onnxruntime
    import openvino

    for path in sorted(folder.glob("*.onnx")):
        network = path.name.split(".")[0]
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        free = not isinstance(session.get_inputs()[0].shape[2], int)
        core = openvino.Core()
        compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for size in SIZES if free else SIZES[:1]:
            expected = np.load(folder / f"{network}.{size[0]}x{size[1]}.npy")
            for program, logits in (
                ("ONNX Runtime", session.run(None, {"input": image(size)})[0]),
                ("OpenVINO", compiled(image(size))[0]),
            ):
                print(f"{path.name} {size} {program}: {np.abs(logits - expected).max():.2e} of {np.abs(expected).max():.1f}")


if __name__ == "__main__":
    {"torch": write_torch, "paddle": write_paddle, "compare": compare}[sys.argv[1]](pathlib.Path(sys.argv[2]))
