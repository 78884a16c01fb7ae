"""What separates the pipelines of torchvision and PaddleClas, in levels of pixels and in logits.

    pip install opencv-python-headless==4.14.0.94 numpy pillow==13.0.0
    cargo run --release -p hardnet-tests --bin formula-weights -- hardnet68 weights.safetensors
    python tests/parity/pipelines.py --hardnet target/release/hardnet --weights weights.safetensors FOLDER

changes one step of torchvision's pipeline at a time, and compares 224x224 pixels and logits with those of the unchanged
pipeline, over the JPEGs of FOLDER. Then it enlarges the 1,000 images of the demonstration four times by repeating pixels, and
counts how many of them the demonstration's network classifies correctly by each resize. Writes `pipelines.json` beside
itself, which has numbers only, and prints its tables in Markdown.
"""

import argparse
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np
import PIL
from PIL import Image

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "weights" / "demo" / "fashion_mnist"
BATCH = 50


def truncated(width, height):
    short = min(width, height)
    return tuple(256 if side == short else int(256 * side / short) for side in (width, height))


def rounded(width, height):
    ratio = 256.0 / min(width, height)
    return tuple(int(round(side * ratio)) for side in (width, height))


def even(side):
    return int(round((side - 224) / 2.0))


def down(side):
    return (side - 224) // 2


def pillow(filter):
    return lambda image, size: np.asarray(Image.fromarray(image).resize(size, filter))


def opencv(method):
    return lambda image, size: cv2.resize(image, size, interpolation=method)


BILINEAR, BICUBIC = pillow(Image.Resampling.BILINEAR), pillow(Image.Resampling.BICUBIC)
# Name, resize, rule of the long side, rule of the crop, order of channels.
STEPS = [
    ("torchvision", BILINEAR, truncated, even, 1),
    ("long side rounded", BILINEAR, rounded, even, 1),
    ("crop rounded down", BILINEAR, truncated, down, 1),
    ("OpenCV's linear", opencv(cv2.INTER_LINEAR), truncated, even, 1),
    ("paddleclas", opencv(cv2.INTER_LINEAR), rounded, down, 1),
    ("pil-bicubic", BICUBIC, truncated, even, 1),
    ("OpenCV's area", opencv(cv2.INTER_AREA), truncated, even, 1),
    ("OpenCV's cubic", opencv(cv2.INTER_CUBIC), truncated, even, 1),
    ("channels swapped", BILINEAR, truncated, even, -1),
    ("paddle-cv2", opencv(cv2.INTER_CUBIC), truncated, even, -1),
]


def pixels(image, resize, size, crop, order):
    height, width = image.shape[:2]
    resized = resize(image, size(width, height))
    top, left = (crop(side) for side in resized.shape[:2])
    return np.ascontiguousarray(resized[top : top + 224, left : left + 224, ::order])


def run(arguments, *command):
    done = subprocess.run([arguments.hardnet, "-q", *map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


def predict(arguments, images, *options):
    """The logits of images, which are given as PNG."""
    logits = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(images), BATCH):
            paths = []
            for number, image in enumerate(images[first : first + BATCH]):
                paths.append(Path(folder) / f"{number:05}.png")
                Image.fromarray(image).save(paths[-1], compress_level=1)
            lines = run(arguments, "predict", "--logits", *options, *paths).splitlines()
            logits += [json.loads(line)["logits"] for line in lines]
    return np.array(logits)


def decoded(arguments, path):
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, "trace", "--save", folder, path)
        image = np.load(Path(folder) / "decoded.npy").astype(np.uint8)
    return image if image.shape[-1] == 3 else np.repeat(image.reshape(*image.shape[:2], 1), 3, 2)


def photographs(arguments):
    files = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    cropped = {name: [pixels(image, *step) for image in images] for name, *step in STEPS}
    cropped["another JPEG decoder"] = [pixels(decoded(arguments, path), *STEPS[0][1:]) for path in files]
    # The images as they would be if a camera had been turned and the orientation in the file were ignored.
    cropped["turned by 90 degrees"] = [np.ascontiguousarray(np.rot90(image)) for image in cropped["torchvision"]]
    options = ["--weights", arguments.weights, "--pipeline", "pil-bilinear", "--crop-pct", 1]
    logits = {name: predict(arguments, crops, *options) for name, crops in cropped.items()}
    expected, reference = np.array(cropped["torchvision"]).astype(int), logits["torchvision"]
    rows = []
    for name, crops in cropped.items():
        distance = np.abs(np.array(crops).astype(int) - expected)
        change = np.abs(logits[name] - reference)
        rows.append({
            "step": name,
            "images": int((distance.reshape(len(files), -1).max(1) > 0).sum()),
            "samples": round(100 * float((distance > 0).mean()), 2),
            "mean": round(float(distance.mean()), 3),
            "most": int(distance.max()),
            "logit_mean": round(float(change.mean()), 4),
            "logit_most": round(float(change.max()), 3),
            "top1": int((logits[name].argmax(1) != reference.argmax(1)).sum()),
            "of_each": [round(float(mean), 3) for mean in distance.reshape(len(files), -1).mean(1)],
        })  # fmt: skip
    shapes = [image.shape[1::-1] for image in images]
    return {
        "photographs": len(files),
        "scales": [round(min(shape) / 256, 4) for shape in shapes],
        "other_size": sum(truncated(*shape) != rounded(*shape) for shape in shapes),
        "other_crop": sum(any(even(side) != down(side) for side in truncated(*shape)) for shape in shapes),
        "logit_range": round(float(np.ptp(reference, 1).mean()), 2),
        "steps": rows,
    }


def demonstration(arguments):
    lines = [line.rsplit(maxsplit=1) for line in (DEMO / "val_list.txt").read_text().splitlines()]
    with tarfile.open(DEMO / "sample.tar") as tar:
        files = {Path(member.name).name: tar.extractfile(member).read() for member in tar if member.isfile()}
    small = [np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB")) for name, _ in lines]
    labels = np.array([int(label) for _, label in lines])
    rows = []
    for times in (1, 4):
        images = [image.repeat(times, 0).repeat(times, 1) for image in small]
        expected = None
        for name in ("bilinear", "bicubic", "cv2-linear", "cv2-cubic", "cv2-area", "cv2-nearest"):
            options = ["--weights", "hardnet39ds.fashion_mnist", "--interpolation", name]
            found = predict(arguments, images, *options).argmax(1)
            expected = found if expected is None else expected
            right = found == labels
            rows.append({
                "side": 28 * times,
                "resize": name,
                "correct": int(right.sum()),
                "changed": int((found != expected).sum()),
                "lost": int(((expected == labels) & ~right).sum()),
                "won": int(((expected != labels) & right).sum()),
            })  # fmt: skip
    return {"images": len(lines), "resizes": rows}


def table(rows, columns):
    print("| " + " | ".join(title for _, title in columns) + " |\n" + "|---" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(str(row[key]) for key, _ in columns) + " |")
    print()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hardnet", required=True, help="the program")
    parser.add_argument("--weights", required=True, help="of a network for 224x224 pixels")
    arguments = parser.parse_args()
    versions = {"opencv-python-headless": cv2.__version__, "pillow": PIL.__version__, "numpy": np.__version__}
    result = {"versions": versions, **photographs(arguments), "demonstration": demonstration(arguments)}
    (HERE / "pipelines.json").write_text(json.dumps(result, indent=1) + "\n")
    print({key: value for key, value in result.items() if key not in ("steps", "scales", "demonstration")}, "\n")
    titles = [("step", "what changes"), ("images", "photographs"), ("samples", "samples, %"), ("mean", "levels, mean")]
    titles += [("most", "most"), ("logit_mean", "logits, mean"), ("logit_most", "most"), ("top1", "another class")]
    table(result["steps"], titles)
    titles = [("side", "side"), ("resize", "resize"), ("correct", "correct"), ("changed", "another class")]
    table(result["demonstration"]["resizes"], titles + [("lost", "lost"), ("won", "won")])


if __name__ == "__main__":
    main()
