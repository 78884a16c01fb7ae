"""Every stage of one image in Pillow, torchvision and PyTorch, as `hardnet trace` prints them.

    python tests/parity/trace.py [--weights FILE] IMAGE | diff ours.txt -
    python tests/parity/trace.py [--weights FILE] --compare FOLDER IMAGE

The second form reads what `hardnet trace --save FOLDER` wrote and says, stage by stage, how far apart the two are and
where the first difference is. FILE is a safetensors file with PyTorch's names, or a state dict of PyTorch.
Needs Pillow, torchvision, numpy, torch and safetensors.
"""

import argparse
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from hardnet_torch import PUBLISHED, HarDNet, published  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Two float32 implementations agree to about 1e-5 of the largest value.
TOLERANCE = 1e-4


def load(path):
    """The network whose parameters a file holds."""
    if Path(path).suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    classes = state[next(name for name in state if name.endswith(".3.bias"))].shape[0]
    shapes = {name: value.shape for name, value in state.items() if not name.endswith("num_batches_tracked")}
    for name in PUBLISHED:
        net = HarDNet(published(name, classes))
        found = {name: value.shape for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
        if found == shapes:
            net.load_state_dict(state, strict=False)
            return net.eval()
    sys.exit(f"{path} holds none of {', '.join(PUBLISHED)} under PyTorch's names")


def stages(arguments):
    """Name, array and whether its bits are to be the same, of every stage."""
    mode = transforms.InterpolationMode(arguments.interpolation)
    image = Image.open(arguments.image).convert("RGB")
    yield "decoded", np.asarray(image), True
    image = transforms.Resize(arguments.resize, mode)(image)
    yield "resized", np.asarray(image), True
    image = transforms.CenterCrop(arguments.crop)(image)
    yield "cropped", np.asarray(image), True
    tensor = transforms.Normalize(MEAN, STD)(transforms.ToTensor()(image))
    yield "tensor", tensor.numpy(), True
    if arguments.weights is None:
        return
    x = tensor[None]
    with torch.inference_mode():
        for at, module in enumerate(load(arguments.weights).base):
            x = module(x)
            yield f"base.{at}", x[0].numpy(), False
    yield "logits", x[0].numpy(), False


def line(name, array, exact):
    digits = 0 if array.dtype == np.uint8 else 5 if exact else 3
    number = lambda value: f"{float(value) + 0.0:.{digits}f}"  # noqa: E731
    values = np.ascontiguousarray(array).astype(np.float64).ravel()
    shape = "x".join(map(str, array.shape))
    # One value after the other, as `hardnet trace` adds them.
    mean = np.add.accumulate(values)[-1] / values.size + 0.0
    text = f"{name:<8} {shape:<11} min {number(values.min())} max {number(values.max())} mean {mean:.{max(digits, 3)}f}"
    text += " first " + " ".join(number(value) for value in values[:6])
    return text + f" crc32 {zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}" if exact else text


def compare(name, array, exact, folder):
    path = folder / f"{name}.npy"
    if not path.exists():
        return f"{name:<8} not in {folder}"
    theirs = np.load(path)
    if theirs.shape != array.shape:
        return f"{name:<8} shape {theirs.shape}, here {array.shape}"
    distance = np.abs(theirs.astype(np.float64) - array.astype(np.float64))
    bound = 0 if exact else TOLERANCE * max(1.0, float(np.abs(array).max()))
    if distance.max() <= bound:
        return f"{name:<8} {'the same bits' if exact else f'within {distance.max():.1e}'}"
    at = tuple(int(index) for index in np.argwhere(distance > bound)[0])
    count = int((distance > bound).sum())
    return (
        f"{name:<8} DIFFERS by up to {distance.max():.6g}, {distance.mean():.3g} on average, in {count} of "
        f"{distance.size} values; first at {at}: {theirs[at]} is not {array[at]}"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--compare", type=Path, metavar="FOLDER", help="what `hardnet trace --save FOLDER` wrote")
    parser.add_argument("--interpolation", default="bilinear", choices=("bilinear", "bicubic"))
    parser.add_argument("--resize", type=int, default=256, help="short side in pixels")
    parser.add_argument("--crop", type=int, default=224, help="side in pixels")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, array, exact in stages(arguments):
        print(compare(name, array, exact, arguments.compare) if arguments.compare else line(name, array, exact))


if __name__ == "__main__":
    main()
