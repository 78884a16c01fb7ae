"""Whether OpenCV's pixels are decoded to the bit: photographs with each of the eight orientations of EXIF.

    pip install opencv-python-headless==4.14.0.94 numpy
    cargo build --release -p hardnet-cli --features exact-jpeg
    python tests/parity/opencv.py --hardnet target/release/hardnet FOLDER

writes every orientation into the EXIF data of every JPEG of FOLDER, decodes the files with `hardnet trace` and with
`cv2.imread`, and compares the pixels before and after the resize of the pipeline `paddleclas`. Without the feature the JPEG
decoder differs by a few levels, and only sizes are compared.
"""

import argparse
import json
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np


def oriented(jpeg, number):
    """`jpeg` with EXIF data that say `number`, in place of its own."""
    at, rest = 2, b""
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        rest += b"" if jpeg[at : end][4:10] == b"Exif\0\0" else jpeg[at:end]
        at = end
    exif = b"Exif\0\0" + struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x112, 3, 1, number, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + rest + jpeg[at:]


def stages(image):
    """Shape and CRC-32 of the pixels as decoded and as resized by PaddleClas 2.6.0."""
    height, width = image.shape[:2]
    ratio = 256.0 / min(width, height)
    resized = cv2.resize(image, (int(round(width * ratio)), int(round(height * ratio))), interpolation=cv2.INTER_LINEAR)
    for name, stage in (("decoded", image), ("resized", resized)):
        yield name, list(stage.shape), f"{zlib.crc32(np.ascontiguousarray(stage[:, :, ::-1]).tobytes()):08x}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hardnet", required=True, help="the program")
    arguments = parser.parse_args()
    version = subprocess.run([arguments.hardnet, "env"], capture_output=True, text=True, check=True).stdout
    exact = "libjpeg-turbo" in version
    photographs = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    equal, different = 0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photograph.jpg")
        for photograph in photographs:
            for number in range(1, 9):
                path.write_bytes(oriented(photograph.read_bytes(), number))
                command = [arguments.hardnet, "trace", "--json", "--pipeline", "paddleclas", path]
                lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
                ours = {line["stage"]: (line["shape"], line["crc32"]) for line in map(json.loads, lines)}
                for name, shape, crc32 in stages(cv2.imread(str(path))):
                    if ours[name][0] == shape and (ours[name][1] == crc32 or not exact):
                        equal += 1
                    else:
                        different.append(f"{photograph.name}, orientation {number}, {name}")
    compared = "pixels" if exact else "sizes"
    print(f"OpenCV {cv2.__version__}, {len(photographs)} photographs, 8 orientations: {compared} of {equal} stages equal")
    print(f"different: {len(different)}", *different, sep="\n  ")
    raise SystemExit(bool(different) or not photographs)


if __name__ == "__main__":
    main()
