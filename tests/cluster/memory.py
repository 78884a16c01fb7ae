"""Measures the memory of an evaluation of tar files of webdataset, for few images and for many.

Python 3.11, standard library only: python tests/cluster/memory.py path/to/hardnet
Prints the largest resident set of `hardnet eval --webdataset` with the weights of the demonstration.
"""

import io
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(side=28):
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes((row * column) % 256 for column in range(side)) for row in range(side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write(path, first, images):
    image = picture()
    with tarfile.open(path, "w") as tar:
        for number in range(first, first + images):
            for ending, content in [("png", image), ("cls", b"3")]:
                info = tarfile.TarInfo(f"{number:08}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def resident(program, pattern):
    """Peak memory of the program in MiB."""
    command = [program, "eval", "--weights", "hardnet39ds.fashion_mnist", "--webdataset", pattern, "--json", "-q",
               "--threads", "1", "-j", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for tars, images in [(1, 1000), (1, 16000), (16, 1000)]:
            for number in range(tars):
                write(folder / f"{number:03}.tar", number * images, images)
            pattern = f"{folder}/{{000..{tars - 1:03}}}.tar"
            print(f"tar files: {tars}, images: {tars * images}: {resident(program, pattern):.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
