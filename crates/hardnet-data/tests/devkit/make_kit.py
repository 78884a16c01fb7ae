"""Makes `meta.mat` as ImageNet's development kit has it, by SciPy, and two small tables for fuzzing.

Python 3.12, SciPy 1.17: python crates/hardnet-data/tests/devkit/make_kit.py

The kit itself cannot be stored here. This table has its fields, their types and its inner classes, but the true
`ILSVRC2012_ID` only for the classes of the first ten validation images (490 is the sea snake, n01751748, which is class
65 in the order of WordNet ids); the other numbers are given to the other classes in reverse order.
"""

from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

HERE = Path(__file__).parent
CLASSES = [line.split("\t") for line in (HERE / "../../src/imagenet/classes.tsv").read_text().splitlines()]
# ILSVRC2012_ID and index of the classes of the first ten validation images.
KNOWN = {490: 65, 361: 970, 171: 230, 822: 809, 297: 516, 482: 57, 13: 334, 704: 415, 599: 674, 164: 332}
FIELDS = [
    "ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images",
]


def table(rows):
    """A column of structures, numbers as MATLAB's doubles."""
    synsets = np.zeros((len(rows), 1), dtype=[(field, object) for field in FIELDS])
    for row, (number, wordnet_id, words, children) in zip(synsets, rows):
        row[0] = (
            float(number), wordnet_id, words, "", float(len(children)), np.array(children, dtype=float),
            float(len(children)), 1300.0,
        )
    return {"synsets": synsets}


def main():
    others = [index for index in reversed(range(1000)) if index not in KNOWN.values()]
    numbers = [number for number in range(1, 1001) if number not in KNOWN]
    index_of = KNOWN | dict(zip(numbers, others))
    leaves = [(number, *CLASSES[index_of[number]], []) for number in range(1, 1001)]
    inner = [(1001, "n00001740", "entity", [1002, 1003]), (1002, "n00002137", "abstraction", [1])]
    savemat(HERE / "meta.mat", table(leaves + inner), do_compression=True)
    read = loadmat(HERE / "meta.mat", squeeze_me=True)["synsets"]
    assert len(read) == 1002 and read[489]["WNID"] == "n01751748" and read[489]["ILSVRC2012_ID"] == 490
    for name, compressed in (("compressed.mat", True), ("plain.mat", False)):
        savemat(HERE / name, table([leaves[489], leaves[0], inner[0]]), do_compression=compressed)


if __name__ == "__main__":
    main()
