"""Makes the training images that the tests calibrate with: a hundred of Fashion-MNIST's 60,000, evenly spaced.

    python3 make_images.py [FOLDER OF THE IDX FILES]

FOLDER is by default where Debian's package `dataset-fashion-mnist` puts them. Needs nothing but Python; the bytes of the
packed files depend on the version of zlib (1.2.13 made those that are stored), their content does not. The images are
under the MIT license, which `weights/demo/fashion_mnist/NOTICE` holds.
"""

import gzip
import struct
import sys
from pathlib import Path

COUNT = 100
INSTALLED = "/usr/share/datasets/fashion-mnist"
HERE = Path(__file__).resolve().parent


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else INSTALLED)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        content = gzip.decompress((folder / name).read_bytes())
        dimensions = content[3]
        end = 4 + 4 * dimensions
        total, *rest = struct.unpack(f">{dimensions}I", content[4:end])
        size = (len(content) - end) // total
        starts = [end + at * total // COUNT * size for at in range(COUNT)]
        chosen = b"".join(content[start : start + size] for start in starts)
        packed = content[:4] + struct.pack(f">{dimensions}I", COUNT, *rest) + chosen
        (HERE / name).write_bytes(gzip.compress(packed, 9, mtime=0))


if __name__ == "__main__":
    main()
