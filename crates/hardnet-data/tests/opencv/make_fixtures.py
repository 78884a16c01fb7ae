"""Makes what tests/opencv.rs compares with: what two versions of OpenCV do with the same inputs.

    python3 -m venv opencv4 && opencv4/bin/pip install opencv-python-headless==4.14.0.94 numpy
    python3 -m venv opencv5 && opencv5/bin/pip install opencv-python-headless==5.0.0.93 numpy
    opencv4/bin/python make_fixtures.py opencv5/bin/python

writes `fixtures.json` and `cubic_ipp.bin` beside itself, if the second version gives the same bytes. Inputs are noise by a
formula that the Rust tests repeat. Results are stored as FNV-1a hashes of their bytes; those of `cubic-ipp`, which depend on
the processor, as they are.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
METHODS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "linear-exact": cv2.INTER_LINEAR_EXACT,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


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


def make():
    """The stored cases, and the results of `cubic-ipp` for theirs."""
    cases = []
    cv2.ipp.setUseIPP(False)
    for number, (start, to) in enumerate(sizes()):
        channels = 1 if number % 6 == 5 else 3
        image = noise(*start, channels)
        hashes = {name: fnv1a(cv2.resize(image, to, interpolation=method).tobytes()) for name, method in METHODS.items()}
        cases.append({"from": start, "channels": channels, "to": to, **hashes})
    cv2.ipp.setUseIPP(True)
    ipp, results = [], bytearray()
    scales = (((3, 9), (8, 8)), ((40, 30), (23, 51)), ((61, 47), (40, 31)), ((90, 64), (64, 45)), ((33, 41), (70, 60)))
    for start, to in (*scales, ((21, 17), (63, 51)), ((9, 7), (45, 35))):
        results += cv2.resize(noise(*start, 3), to, interpolation=cv2.INTER_CUBIC).tobytes()
        ipp.append({"from": start, "to": to})
    return {"version": cv2.__version__, "cubic_ipp": ipp, "resize": cases, "bytes": results.hex()}


def main():
    if sys.argv[1:] == ["--print"]:
        print(json.dumps(make()))
        return
    (python,) = sys.argv[1:]
    output = subprocess.run([python, __file__, "--print"], check=True, capture_output=True, text=True).stdout
    made, other = json.loads(json.dumps(make())), json.loads(output)
    versions = {"opencv-python-headless": [made.pop("version"), other.pop("version")], "numpy": np.__version__}
    different = [case for case, theirs in zip(made["resize"], other["resize"], strict=True) if case != theirs]
    ipp = sum(a != b for a, b in zip(bytes.fromhex(made["bytes"]), bytes.fromhex(other["bytes"]), strict=True))
    names = " and ".join(versions["opencv-python-headless"])
    print(f"{len(made['resize'])} cases of {len(METHODS)} methods: OpenCV {names} differ in {len(different)}")
    print(f"{len(made['bytes']) // 2} bytes of cubic-ipp: {ipp} differ")
    if different or ipp:
        raise SystemExit(f"nothing was written; the first case that differs: {different[:1]}")
    (HERE / "cubic_ipp.bin").write_bytes(bytes.fromhex(made["bytes"]))
    lines = ",\n".join(json.dumps(case) for case in made["resize"])
    ipp = json.dumps(made["cubic_ipp"])
    text = f'{{\n"versions": {json.dumps(versions)},\n"cubic_ipp": {ipp},\n"resize": [\n{lines}\n]\n}}\n'
    (HERE / "fixtures.json").write_text(text)


if __name__ == "__main__":
    main()
