#!/usr/bin/env python3
"""Make `src/imagenet/classes.tsv` from the data files of timm (1.0.31), or check that it still agrees with them.

    python tools/imagenet_classes.py TIMM/data/_info > src/imagenet/classes.tsv
    python tools/imagenet_classes.py TIMM/data/_info --check src/imagenet/classes.tsv

`imagenet_synsets.txt` gives the thousand WordNet ids in index order, `imagenet_synset_to_lemma.txt` their words.
"""

import sys
from pathlib import Path


def table(info: Path) -> str:
    ids = (info / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
    pairs = (info / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    words = dict(pair.split("\t", 1) for pair in pairs)
    if len(ids) != 1000 or ids != sorted(set(ids)):
        raise SystemExit("expected 1,000 distinct WordNet ids in ascending order")
    return "".join(f"{i}\t{words[i]}\n" for i in ids)


def main() -> None:
    made = table(Path(sys.argv[1]))
    if sys.argv[2:3] == ["--check"]:
        if Path(sys.argv[3]).read_text(encoding="utf-8") != made:
            raise SystemExit(f"{sys.argv[3]} differs from what {sys.argv[1]} gives")
    else:
        sys.stdout.write(made)


if __name__ == "__main__":
    main()
