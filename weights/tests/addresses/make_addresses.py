"""Writes `addresses.json`: addresses on the Hub and what `huggingface_hub` reads from them.

    python3 make_addresses.py

Needs huggingface_hub; the file records its version. An address that it refuses has `null`.
"""

import json
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfUriError
from huggingface_hub.utils._hf_uris import parse_hf_uri

OWNERS = ["a/b", "someone/hardnet68.in1k", "models/a/b", "datasets/a/b", "spaces/a/b", "kernels/a/b", "buckets/a/b",
          "model/a/b", "dataset/a/b", "a", "models/a", "models", "datasets", "model", "/a/b", "a//b", "models//a/b",
          "-a/b", "a/b-", "a/.b", "a_/b", "a--b/c", "a/b..c", "a/b.git", "a/b.gitx", "ä/b", "a b/c", "a/" + "x" * 96,
          "a/" + "x" * 97, "models/models/b", "a/models", ""]
REVISIONS = ["", "@main", "@v1.0", "@" + "0" * 40, "@refs/pr/1", "@refs/pr/12", "@refs/pr/x", "@refs/pr",
             "@refs/convert/parquet", "@refs/convert/duck_db.v1-x", "@refs/convert/", "@refs%2Fpr%2F1", "@feature%2Fx",
             "@feature%2fx", "@a%2Fb%2Fc", "@", "@%2F", "@v%31", "@refs/heads/main", "@v1@2", "@refs/pr/1x"]
PATHS = ["", "/", "/w.safetensors", "/sub/w.bin", "/sub//w.bin", "//w.bin", "/w@1.bin", "/sub/w@refs/pr/1.bin",
         "/a b.bin", "/a%20b.bin", "/w.bin/", "/w#1.bin", "/refs/pr/1", "/ü.bin"]


def parse(address):
    try:
        uri = parse_hf_uri(address)
    except HfUriError:
        return None
    return {"type": uri.type, "id": uri.id, "revision": uri.revision, "path": uri.path_in_repo}


pairs = [(owner, revision, path) for owner in OWNERS for revision in REVISIONS for path in PATHS]
addresses = [f"hf://{owner}{revision}{path}" for owner, revision, path in pairs
             if (owner == "a/b" and (revision in REVISIONS[:5] or path in PATHS[:3]))
             or (revision in REVISIONS[:2] and path in PATHS[:3])]
lines = [f"{json.dumps(text, ensure_ascii=False)}: {json.dumps(parse(text), ensure_ascii=False)}" for text in addresses]
head = f'{{"huggingface_hub": "{huggingface_hub.__version__}", "addresses": {{'
(Path(__file__).resolve().parent / "addresses.json").write_text(
    head + "\n" + ",\n".join(lines) + "\n}}\n", encoding="utf-8"
)
