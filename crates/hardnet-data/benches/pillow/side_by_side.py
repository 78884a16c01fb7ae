"""Pillow's resize and ours on the same photographs, alternating, on one thread.

    cargo build --release --example resize_worker -p hardnet-data
    python side_by_side.py FOLDER ../../../../target/release/examples/resize_worker

With `--table docs/performance/resize.json`, started at the top of the repository, it writes the table of
docs/performance.md.

For every photograph (decoded beforehand) and filter: the whole picture resized to short side 256, by both; and what a
network is given, the middle 224 x 224 of it, normalized, [3, 224, 224] f32: by Pillow and numpy, by torchvision's
transforms where that is installed, and by ours. The results are compared byte for byte. Prints the median over
photographs of the median over rounds, and the mean of these medians."""

import argparse
import importlib.util
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import numpy as np
import PIL
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "benches"))
import record

SHORT, CROP = 256, 224
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Worker:
    """The example program `resize_worker` on one instruction set."""

    def __init__(self, program, isa):
        self.process = subprocess.Popen([program, isa], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def load(self, image):
        channels = len(image.getbands())
        self.process.stdin.write(f"image {image.width} {image.height} {channels}\n".encode() + image.tobytes())

    def run(self, request):
        self.process.stdin.write(request.encode() + b"\n")
        self.process.stdin.flush()
        nanoseconds, length = map(int, self.process.stdout.readline().split())
        return nanoseconds * 1e-9, self.process.stdout.read(length)


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def target(image):
    long = int(SHORT * max(image.size) / min(image.size))
    return (SHORT, long) if image.width <= image.height else (long, SHORT)


def pillow_tensor(image, resample):
    size = target(image)
    left, top = (int(round((side - CROP) / 2.0)) for side in size)
    image = image.resize(size, resample).crop((left, top, left + CROP, top + CROP)).convert("RGB")
    tensor = (np.asarray(image).astype(np.float32) / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(tensor.transpose(2, 0, 1))


def torchvision_tensor(resample):
    if importlib.util.find_spec("torchvision") is None:
        return None
    import torch
    from torchvision import transforms

    torch.set_num_threads(1)
    mode = {Image.Resampling.BILINEAR: "bilinear", Image.Resampling.BICUBIC: "bicubic"}[resample]
    steps = [transforms.Resize(SHORT, transforms.InterpolationMode(mode)), transforms.CenterCrop(CROP)]
    steps += [transforms.ToTensor(), transforms.Normalize(MEAN.tolist(), STD.tolist())]
    return transforms.Compose(steps)


def measure(images, workers, name, rounds):
    """Seconds, by the way of doing it, then by image."""
    resample, torchvision = FILTERS[name], torchvision_tensor(FILTERS[name])
    medians = {}
    for image in images:
        width, height = target(image)
        for worker in workers.values():
            worker.load(image)
        ways = {"resize, pillow": lambda: timed(lambda: image.resize((width, height), resample))}
        for isa, worker in workers.items():
            ways[f"resize, {isa}"] = lambda worker=worker: worker.run(f"resize {width} {height} {name}")
        ways["tensor, pillow + numpy"] = lambda: timed(lambda: pillow_tensor(image, resample))
        if torchvision is not None:
            rgb = image.convert("RGB")
            ways["tensor, torchvision"] = lambda: timed(lambda: torchvision(rgb))
        for isa, worker in workers.items():
            ways[f"tensor, {isa}"] = lambda worker=worker: worker.run(f"tensor {SHORT} {CROP} {name}")
            ways[f"crop, {isa}"] = lambda worker=worker: worker.run(f"crop {SHORT} {CROP} {name}")
        times = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                seconds, result = run()
                times[way].append(seconds)
                if way == "resize, pillow":
                    expected = result.tobytes()
                elif way.startswith("resize"):
                    assert result == expected, f"{way} {name} of {image.filename}"
                elif way == "tensor, pillow + numpy":
                    expected = result.tobytes()
                elif way.startswith("tensor"):
                    result = result.numpy().tobytes() if way == "tensor, torchvision" else result
                    assert result == expected, f"{way} {name} of {image.filename}"
        for way, seconds in times.items():
            medians.setdefault(way, []).append(statistics.median(seconds))
    return medians


def write_table(file, everything, photographs, rounds):
    """Writes the measurement as a table of docs/performance."""
    versions = {"Pillow": PIL.__version__, "numpy": np.__version__, "Python": platform.python_version()}
    versions["rustc"] = record.output("rustc", "--version").split()[1]
    if importlib.util.find_spec("torchvision") is not None:
        import torchvision

        versions["torchvision"] = torchvision.__version__
    rows = []
    for name, medians in everything.items():
        for way, seconds in medians.items():
            base = medians["resize, pillow" if way.startswith(("resize", "crop")) else "tensor, pillow + numpy"]
            mean = statistics.mean(seconds)
            speedup = f"{statistics.mean(base) / mean:.1f}"
            rows.append([name, way, f"{1e3 * statistics.median(seconds):.3f}", f"{1e3 * mean:.3f}", speedup])
    record.write(
        "resize",
        file=file,
        title="Resize and preprocessing against Pillow",
        text=f"{photographs} photographs, decoded beforehand, on one thread, one way after the other in each of {rounds} "
        "rounds; every result was compared byte for byte. `resize` makes the whole picture with the short side 256, `crop` "
        "the 224 x 224 pixels in its middle, `tensor` their normalized values. Milliseconds are the median and the mean over "
        "photographs of the median over rounds; the last column compares means with Pillow's.",
        command="python crates/hardnet-data/benches/pillow/side_by_side.py --table FILE FOLDER resize_worker",
        commit=record.commit(),
        versions=versions,
        columns=["filter", "what, by", "median ms", "mean ms", "times Pillow"],
        rows=rows,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("worker", type=pathlib.Path, help="the built example `resize_worker`")
    parser.add_argument("--isa", nargs="+", default=["avx2", "portable"])
    parser.add_argument("--filter", nargs="+", default=list(FILTERS), choices=list(FILTERS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=pathlib.Path, help="write all medians to this file")
    parser.add_argument("--table", type=pathlib.Path, help="write the table of docs/performance.md to this file")
    arguments = parser.parse_args()

    images = []
    for path in sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png")):
        image = Image.open(path)
        image.load()
        images.append(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    workers = {isa: Worker(arguments.worker, isa) for isa in arguments.isa}
    print(f"Pillow {PIL.__version__}, {len(images)} photographs, {arguments.rounds} rounds; ms, median and mean of photographs")
    everything = {}
    for name in arguments.filter:
        medians = measure(images, workers, name, arguments.rounds)
        everything[name] = medians
        for way, seconds in medians.items():
            base = medians["resize, pillow" if way.startswith(("resize", "crop")) else "tensor, pillow + numpy"]
            ratio = statistics.mean(base) / statistics.mean(seconds)
            median, mean = statistics.median(seconds) * 1e3, statistics.mean(seconds) * 1e3
            print(f"{name:9} {way:24} {median:7.3f} {mean:7.3f}   {ratio:5.1f}x")
    if arguments.table:
        write_table(arguments.table, everything, len(images), arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
