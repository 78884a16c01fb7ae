"""Writes the arrays that the tests of `src/npy.rs` and `src/npy/npz.rs` compare with.

    python make.py

Made with NumPy 2.4.6 on Python 3.11.7.
"""

import json
import pathlib
import tempfile

import numpy

folder = pathlib.Path(__file__).parent
names = numpy.array(["cat/0.png", "", "fox/\u00e9\U0001f98a.png"])

numpy.save(folder / "cube.npy", (numpy.arange(24, dtype="<f4") - 0.5).reshape(2, 3, 2, 2))
numpy.save(folder / "integers.npy", numpy.array([-1, 0, 1 << 40]))
numpy.save(folder / "scalar.npy", numpy.uint8(7))
numpy.save(folder / "empty.npy", numpy.zeros((0, 5), "<f4"))
numpy.save(folder / "names.npy", names)
embeddings = (numpy.arange(6, dtype="<f4") / numpy.float32(7)).reshape(3, 2)
numpy.savez(folder / "arrays.npz", embeddings=embeddings, names=names, labels=numpy.array([0, 0, 2]))

# Headers and ends of an archive whose first array is larger than 2 GiB.
rows = 2049
with tempfile.TemporaryDirectory() as temporary:
    path = pathlib.Path(temporary) / "large.npz"
    numpy.savez(path, zeros=numpy.zeros((rows, 1 << 20), "u1"), after=numpy.array([1, 2], "u1"))
    size = path.stat().st_size
    parts = []
    with open(path, "rb") as file:
        for at, length in [(0, 256), (size - 1024, 1024)]:
            file.seek(at)
            parts.append({"at": at, "hex": file.read(length).hex()})
(folder / "large.json").write_text(json.dumps({"rows": rows, "parts": parts}, indent=1) + "\n")
