"""What another JPEG decoder than Pillow's changes: levels of pixels, and logits.

    python tests/parity/decoders.py --hardnet target/release/hardnet --weights FILE FOLDER

decodes every JPEG of FOLDER with `hardnet trace` and with Pillow and compares the pixels; then gives both to the same
network, once the JPEGs and once Pillow's pixels as PNG, which no decoder changes, and compares the logits. Everything that
differs is the decoder's. Needs Pillow and numpy.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features


def run(arguments, *command):
    done = subprocess.run([arguments.hardnet, *map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


def logits(arguments, paths):
    """The logits of all images, in order, and the decoder's name."""
    weights = ["--weights", arguments.weights, "--pipeline", arguments.pipeline]
    lines = [json.loads(line) for line in run(arguments, "predict", *weights, "--logits", *paths).splitlines()]
    return np.array([line["logits"] for line in lines]), lines[0]["decoder"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hardnet", required=True, help="the program")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--pipeline", default="pil-bilinear")
    arguments = parser.parse_args()
    photographs = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    means, most, different = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        pngs = []
        for number, path in enumerate(photographs):
            picture = Image.open(path).convert("RGB")
            run(arguments, "-q", "trace", "--save", folder, path)
            ours = np.load(Path(folder) / "decoded.npy").astype(int)
            distance = np.abs(ours - np.asarray(picture).astype(int))
            means.append(distance.mean())
            most.append(distance.max())
            different.append((distance > 0).mean())
            pngs.append(Path(folder) / f"{number:05}.png")
            picture.save(pngs[-1], compress_level=1)
        ours, decoder = logits(arguments, photographs)
        pillows, _ = logits(arguments, pngs)
    distance = np.abs(ours - pillows)
    changed = (ours.argmax(1) != pillows.argmax(1)).sum()
    turbo = features.version("libjpeg_turbo")
    print(f"{len(photographs)} photographs, {decoder} against Pillow {PIL.__version__} with libjpeg-turbo {turbo}")
    print(f"levels  mean {np.mean(means):.4f}, largest mean of a photograph {max(means):.4f}, maximum {max(most)}; "
          f"{100 * np.mean(different):.2f} % of the samples differ")  # fmt: skip
    print(f"logits  mean {distance.mean():.5f}, maximum {distance.max():.5f}; they range over {np.ptp(pillows, 1).mean():.2f}")
    print(f"top-1   another class in {changed} of {len(photographs)}")


if __name__ == "__main__":
    main()
