"""Measures the memory of commands that read tar files of webdataset, for few images and for many.

Python 3.11, standard library only: python tests/cluster/memory.py path/to/hardnet [IMAGES]
Prints the largest resident set of `hardnet eval`, `predict` and `embed` with the weights of the demonstration, for
1,000 images in one tar file, and for IMAGES (16,000) in one and in 16.
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


def commands(folder):
    """The commands by name, and how they are called."""
    return {
        "eval": ["eval", "--json"],
        "predict": ["predict", "--json"],
        "embed .npy": ["embed", "--force", "-o", f"{folder}/vectors.npy"],
        "embed .npz": ["embed", "--force", "-o", f"{folder}/vectors.npz"],
    }


def resident(program, command, pattern):
    """Peak memory of the program in MiB."""
    command = [program, *command, "--weights", "hardnet39ds.fashion_mnist", "--webdataset", pattern, "-q",
               "--threads", "1", "-j", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss / 1024


def main():
    program = sys.argv[1]
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 16000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for tars, images in [(1, 1000), (1, most), (16, most // 16)]:
            for number in range(tars):
                write(folder / f"{number:03}.tar", number * images, images)
            pattern = f"{folder}/{{000..{tars - 1:03}}}.tar"
            for command, arguments in commands(folder).items():
                found = resident(program, arguments, pattern)
                print(f"{command}: tar files: {tars}, images: {tars * images}: {found:.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
