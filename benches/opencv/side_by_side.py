"""Times resizes here and in OpenCV on one thread, interleaved, and writes docs/performance/opencv.json.

    pip install opencv-python-headless==4.14.0.94 numpy
    cargo build --release -p hardnet-data --example opencv_worker
    chrt -f 10 python benches/opencv/side_by_side.py TARGET/release/examples/opencv_worker

`chrt`, which needs root, keeps other programs from taking the processor in the middle of a resize. Every result is compared
as well: all methods give OpenCV's bytes, except that `cubic-ipp` may differ by one level in three of 100,000 samples. Intel's
IPP is held to the instruction set that is measured; OpenCV's own loops use the best one.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import cv2
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import record

METHODS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "linear-exact": cv2.INTER_LINEAR_EXACT,
    "cubic": cv2.INTER_CUBIC,
    "cubic-ipp": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
# From and to, width by height.
SIZES = (((500, 375), (341, 256)), ((512, 384), (256, 192)), ((500, 375), (683, 512)), ((2048, 1536), (341, 256)))
TURNS = 101


class Worker:
    def __init__(self, program, isa):
        self.process = subprocess.Popen([program, isa], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def image(self, image):
        height, width = image.shape[:2]
        self.process.stdin.write(f"image {width} {height} 3\n".encode() + image.tobytes())

    def resize(self, size, method):
        self.process.stdin.write(f"resize {size[0]} {size[1]} {method}\n".encode())
        self.process.stdin.flush()
        nanoseconds, length = map(int, self.process.stdout.readline().split())
        return nanoseconds / 1e6, np.frombuffer(self.process.stdout.read(length), np.uint8)


def theirs(image, size, method):
    cv2.ipp.setUseIPP(method == "cubic-ipp")
    start = time.perf_counter()
    result = cv2.resize(image, size, interpolation=METHODS[method])
    return 1000 * (time.perf_counter() - start), result.reshape(-1)


def measure(worker, image, size, method):
    ours, others = [], []
    for _ in range(TURNS):
        here, result = worker.resize(size, method)
        there, expected = theirs(image, size, method)
        ours.append(here)
        others.append(there)
    different = int((result != expected).sum())
    if different > (0 if method != "cubic-ipp" else max(2, 3e-5 * expected.size)):
        raise SystemExit(f"{method} to {size}: {different} samples differ")
    return statistics.median(ours), statistics.median(others), different


def measure_all(program, isa):
    """Prints the rows of an instruction set."""
    cv2.setNumThreads(1)
    worker = Worker(program, isa)
    for start, size in SIZES:
        image = np.random.default_rng(1).integers(0, 256, (start[1], start[0], 3), dtype=np.uint8)
        worker.image(image)
        for method in METHODS:
            ours, others, different = measure(worker, image, size, method)
            shape = "{}x{} to {}x{}".format(*start, *size)
            row = [isa, method, shape, f"{others:.3f}", f"{ours:.3f}", f"{ours / others:.2f}", different]
            print(json.dumps(row), flush=True)


def main():
    program = sys.argv[1]
    if len(sys.argv) > 2:
        return measure_all(program, sys.argv[2])
    rows = []
    for isa in ("avx2", "avx512"):
        # OpenCV reads the variable when it is loaded.
        environment = {**os.environ, "OPENCV_IPP": isa}
        lines = record.output(sys.executable, __file__, program, isa, env=environment).splitlines()
        rows += [json.loads(line) for line in lines]
    record.write(
        "opencv",
        title="Resizing as OpenCV",
        text=f"Milliseconds to resize an RGB image on one thread, interleaved with OpenCV; medians of {TURNS} rounds. For "
        "`cubic-ipp`, Intel's IPP is held to the same instruction set. The last column counts samples that differ from "
        "OpenCV's, all by one level. Only the cubic methods have loops for AVX-512 here; the others use AVX2's.",
        command="chrt -f 10 python benches/opencv/side_by_side.py target/release/examples/opencv_worker",
        commit=record.commit(),
        versions={"OpenCV": cv2.__version__, "numpy": np.__version__},
        columns=["instruction set", "method", "size", "OpenCV, ms", "here, ms", "ratio", "different samples"],
        rows=rows,
    )


main()
