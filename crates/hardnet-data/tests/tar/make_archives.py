"""Writes the archives of `tests/archive.rs` beside itself, with Python's tarfile: `python make_archives.py`.

Made with Python 3.11.7. Each holds the same images of `../pillow/files` under the names of NAMES, as each format stores
them, after the folders they are in. The times, owners and modes are fixed, so the bytes are too.
"""

import io
import pathlib
import tarfile

# The end marker alone, not filled up to 10 KB, keeps the tests of every length short.
tarfile.RECORDSIZE = 2 * tarfile.BLOCKSIZE

HERE = pathlib.Path(__file__).parent
IMAGES = HERE.parent / "pillow/files"

# 30 + 90 + 12 characters: ustar needs its prefix, GNU its long name.
LONG = "x" * 30 + "/" + "y" * 90 + "/long.png"
NAMES = {
    "n01440764/b.png": "grey2.png",
    "n01440764/a.jpg": "size8x8.jpg",
    "n01443537/a.jpg": "size1x1.jpg",
    f"n01443537/{LONG}": "palette1.png",
}
# 180 characters without a separator do not fit in ustar.
LONGER = {"n01484850/" + "z" * 180 + ".png": "bilevel.png", "n01484850/w\u00f6lf.png": "one_pixel.png"}


def entry(name, kind, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, size, 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.mtime = 1_700_000_000 + 0.5 * (kind == tarfile.REGTYPE)
    return info


def write(file, format, names):
    # Only pax has fractions of a second, and needs records for them.
    clock = float if format == tarfile.PAX_FORMAT else int
    with tarfile.open(HERE / file, "w", format=format) as archive:
        for folder in sorted({name.split("/")[0] for name in names}):
            archive.addfile(entry(folder, tarfile.DIRTYPE))
        for name, source in names.items():
            content = (IMAGES / source).read_bytes()
            info = entry(name, tarfile.REGTYPE, len(content))
            info.mtime = clock(info.mtime)
            archive.addfile(info, io.BytesIO(content))


write("ustar.tar", tarfile.USTAR_FORMAT, NAMES)
write("gnu.tar", tarfile.GNU_FORMAT, NAMES | LONGER)
write("pax.tar", tarfile.PAX_FORMAT, NAMES | LONGER)
