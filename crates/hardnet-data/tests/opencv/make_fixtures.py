"""Makes what tests/opencv.rs compares with: what OpenCV does with the same inputs.

    pip install opencv-python-headless==4.14.0.94 numpy
    python3 make_fixtures.py

writes `fixtures.json` and `cubic_ipp.bin` beside itself. Inputs are noise by a formula that the Rust tests repeat. Results
are stored as FNV-1a hashes of their bytes; those of `cubic-ipp`, which depend on the processor, as they are.
"""

import json
import random
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
METHODS = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def noise(width, height, channels):
    """Bytes of a linear congruential generator, as `common::noise` in Rust."""
    state, out = width * 1_000_003 + height, bytearray()
    for _ in range(width * height * channels):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        out.append(state >> 56)
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.frombuffer(bytes(out), np.uint8).reshape(shape)


def sizes():
    """From and to: every remainder of row lengths by 8 and more, halves, whole scales, single pixels, random sizes."""
    yield from (((40, 9), (width, 7)) for width in range(1, 41))
    yield from (((width, 9), (13, 11)) for width in range(1, 41))
    for side in (1, 2, 3, 4, 5, 16, 33):
        yield from (((2 * side, 2 * side), (side, side)), ((side, side), (2 * side, 2 * side)))
        yield from (((3 * side, 4 * side), (side, side)), ((1, side), (7, 12)), ((side, 1), (9, 5)), ((side, side), (1, 1)))
        yield from (((2 * side, side), (side, side)), ((side, 2 * side), (side, side)), ((20, 20), (side, 20)))
    draw = random.Random(20)
    for _ in range(60):
        yield tuple((draw.randint(1, 70), draw.randint(1, 70)) for _ in range(2))
    yield from (((500, 375), (341, 256)), ((375, 500), (256, 341)))


def main():
    cases = []
    cv2.ipp.setUseIPP(False)
    for number, (start, to) in enumerate(sizes()):
        channels = 1 if number % 6 == 5 else 3
        image = noise(*start, channels)
        hashes = {name: fnv1a(cv2.resize(image, to, interpolation=method).tobytes()) for name, method in METHODS.items()}
        cases.append({"from": start, "channels": channels, "to": to, **hashes})
    cv2.ipp.setUseIPP(True)
    ipp, results = [], bytearray()
    for start, to in (((3, 9), (8, 8)), ((40, 30), (23, 51)), ((61, 47), (40, 31)), ((90, 64), (64, 45)), ((33, 41), (70, 60))):
        results += cv2.resize(noise(*start, 3), to, interpolation=cv2.INTER_CUBIC).tobytes()
        ipp.append({"from": start, "to": to})
    (HERE / "cubic_ipp.bin").write_bytes(results)
    versions = {"opencv-python-headless": cv2.__version__, "numpy": np.__version__}
    lines = ",\n".join(json.dumps(case) for case in cases)
    text = f'{{\n"versions": {json.dumps(versions)},\n"cubic_ipp": {json.dumps(ipp)},\n"resize": [\n{lines}\n]\n}}\n'
    (HERE / "fixtures.json").write_text(text)


if __name__ == "__main__":
    main()
