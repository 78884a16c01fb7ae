"""Makes the sample of Fashion-MNIST's test images that this crate carries.

    python3 make_sample.py [FOLDER OF THE IDX FILES]

FOLDER is by default where Debian's package `dataset-fashion-mnist` puts them. Writes `fashion_mnist/sample.tar` and, beside
it, the `val_list.txt` that is also inside. Needs nothing but Python; the bytes of the PNGs depend on the version of zlib
(1.2.13 made those that are stored), their pixels do not.

The sample is 1,000 of the 10,000 test images, those whose SHA-256 of `SEED INDEX` is least: a random choice that looks
neither at the image nor at its class, and that any language can repeat.
"""

import gzip
import hashlib
import io
import struct
import sys
import tarfile
import zlib
from pathlib import Path

SEED = "fashion-mnist t10k 2019"
COUNT = 1000
INSTALLED = "/usr/share/datasets/fashion-mnist"
# Of the unpacked files.
DIGESTS = {
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
HERE = Path(__file__).resolve().parent / "fashion_mnist"


def idx(path):
    """The sizes and the bytes of an IDX file of unsigned bytes."""
    content = gzip.decompress(path.read_bytes())
    found = hashlib.sha256(content).hexdigest()
    if found != DIGESTS[path.name]:
        sys.exit(f"{path} unpacked has SHA-256 {found}, expected {DIGESTS[path.name]}")
    dimensions = content[3]
    end = 4 + 4 * dimensions
    return struct.unpack(f">{dimensions}I", content[4:end]), content[end:]


def chosen(total):
    """Indices of the sample, ascending."""
    draw = sorted(range(total), key=lambda index: hashlib.sha256(f"{SEED} {index}".encode()).digest())
    return sorted(draw[:COUNT])


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, pixels):
    """A grey picture of 8 bits, all rows by the filter that gives the smaller file: none or the difference to the left."""
    rows = [pixels[start : start + width] for start in range(0, width * height, width)]
    plain = b"".join(b"\0" + row for row in rows)
    left = b"".join(b"\1" + bytes((a - b) & 255 for a, b in zip(row, b"\0" + row)) for row in rows)
    packed = min((zlib.compress(lines, 9) for lines in (plain, left)), key=len)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def add(archive, name, content):
    entry = tarfile.TarInfo(f"fashion_mnist/{name}")
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else INSTALLED)
    (total, height, width), pixels = idx(folder / "t10k-images-idx3-ubyte.gz")
    _, labels = idx(folder / "t10k-labels-idx1-ubyte.gz")
    sample = chosen(total)
    names = {index: f"t10k-{index:05}.png" for index in sample}
    val_list = "".join(f"{names[index]} {labels[index]}\n" for index in sample).encode()
    (HERE / "val_list.txt").write_bytes(val_list)
    with tarfile.open(HERE / "sample.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("NOTICE", "classes.txt", "val_list.txt"):
            add(archive, name, (HERE / name).read_bytes())
        for index in sample:
            start = index * width * height
            add(archive, names[index], png(width, height, pixels[start : start + width * height]))
    digest = hashlib.sha256((HERE / "sample.tar").read_bytes()).hexdigest()
    print(f"{(HERE / 'sample.tar').stat().st_size} bytes, SHA-256 {digest}, zlib {zlib.ZLIB_RUNTIME_VERSION}")


if __name__ == "__main__":
    main()
