"""Makes what tests/decode_opencv.rs compares with: what OpenCV and Pillow read from the same files.

    pip install opencv-python-headless==4.14.0.94 pillow==13.0.0 numpy
    python3 make_decoding.py [--check]

writes `decoding.json` beside itself, or with `--check` says where the installed OpenCV differs from it. Files are those of
`../pillow/files` and small ones that are stored in `decoding.json`. Pixels are stored as FNV-1a hashes of RGB.
"""

import io
import json
import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "pillow"))

import cv2
import numpy as np
import PIL
from make_fixtures import FILES, bmp, chunk, drawing, fnv1a, gif, noise, saved, tiff
from PIL import Image, ImageOps

warnings.simplefilter("ignore")


def decoded(data, flags=cv2.IMREAD_COLOR):
    """OpenCV's pixels as RGB, `None` where it refuses the file."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None if image is None else np.ascontiguousarray(image[:, :, ::-1])


# --- orientations
# -------------------------------------------------------------------------------------------------


def turned(image, number):
    """`image` as EXIF's orientation `number` turns it."""
    image = image.swapaxes(0, 1) if number >= 5 else image
    right_to_left, bottom_to_top = number in (2, 3, 6, 7), number in (3, 4, 7, 8)
    return image[:: -1 if bottom_to_top else 1, :: -1 if right_to_left else 1]


def number_of(stored, shown):
    """The orientation that makes `shown` of `stored`."""
    (number,) = [number for number in range(1, 9) if np.array_equal(turned(stored, number), shown)]
    return number


def by_opencv(data):
    return number_of(decoded(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), decoded(data))


def by_pillow(data):
    image = Image.open(io.BytesIO(data))
    stored = np.asarray(image.convert("RGB"))
    try:
        return number_of(stored, np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    except (SyntaxError, struct.error):
        return 1


def entry(order, tag, kind, count, value):
    return struct.pack(order + "HHI", tag, kind, count) + value


def directory(order, entries, offset=8, magic=42, tail=b"", count=None):
    """EXIF data: a directory of `entries` at `offset`, and `tail`."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", magic, offset)
    count = len(entries) if count is None else count
    return head.ljust(offset, b"\0") + struct.pack(order + "H", count) + b"".join(entries) + bytes(4) + tail


def exif(number, order="<"):
    return directory(order, [entry(order, 0x112, 3, 1, struct.pack(order + "HH", number, 0))])


def exif_cases():
    """Well-formed and other EXIF data."""
    for order, name in (("<", "little"), (">", "big")):
        pack = lambda form, *values: struct.pack(order + form, *values)
        six, short = entry(order, 0x112, 3, 1, pack("HH", 6, 0)), lambda value: pack("HH", value, 0)
        for number in (*range(10), 256, 65535):
            yield f"{name}, {number}", exif(number, order)
        for title, kind, count, value in [
            ("long", 4, 1, pack("I", 6)), ("byte", 1, 1, b"\6\0\0\0"), ("signed short", 8, 1, short(6)),
            ("two values", 3, 2, pack("HH", 6, 3)), ("no values", 3, 0, short(6)), ("text", 2, 2, b"6\0\0\0"),
            ("type 0", 0, 1, short(6)),
        ]:  # fmt: skip
            yield f"{name}, {title}", directory(order, [entry(order, 0x112, kind, count, value)])
        yield f"{name}, three values", directory(order, [entry(order, 0x112, 3, 3, pack("I", 26))], tail=pack("HHH", 6, 6, 6))
        yield f"{name}, rational", directory(order, [entry(order, 0x112, 5, 1, pack("I", 26))], tail=pack("II", 6, 1))
        yield f"{name}, twice", directory(order, [six, entry(order, 0x112, 3, 1, short(3))])
        yield f"{name}, gap", directory(order, [six], offset=20)
        yield f"{name}, outside", directory(order, [six])[:4] + pack("I", 9999) + directory(order, [six])[8:]
        yield f"{name}, version 43", directory(order, [six], magic=43)
        yield f"{name}, maker outside", directory(order, [entry(order, 0x10F, 2, 900, pack("I", 9000)), six])
        yield f"{name}, maker", directory(order, [entry(order, 0x10F, 2, 6, pack("I", 38)), six], tail=b"hello\0")
        yield f"{name}, short maker", directory(order, [entry(order, 0x10F, 2, 3, b"ab\0\0"), six])
        yield f"{name}, resolution outside", directory(order, [six, entry(order, 0x11A, 5, 1, pack("I", 9999))])
        for tag, count in ((0x11A, 1), (0x13F, 6), (0x131, 2), (0x8298, 2)):
            kind, end = (2 if tag in (0x131, 0x8298) else 5), 38 + (9 if tag in (0x131, 0x8298) else 8 * count)
            for lost in (0, 1):
                part = directory(order, [entry(order, tag, kind, 9 if kind == 2 else count, pack("I", 38)), six])
                yield f"{name}, {tag:#x} before, {lost} short", part + bytes(end - lost - len(part))
        yield f"{name}, more entries", directory(order, [six], count=50)
        for lost in (4, 6, 7):
            yield f"{name}, cut by {lost}", directory(order, [six])[:-lost]
        yield f"{name}, unknown tag", directory(order, [entry(order, 1, 7, 900, pack("I", 9999)), six])
        yield f"{name}, signature", b"Exif\0\0" + directory(order, [six])
    yield "no order", b"IM" + exif(6)[2:]
    yield "order alone", b"II*\0"


def segment(data, code=0xE1):
    return b"\xff" + bytes([code]) + struct.pack(">H", len(data) + 2) + data


def webp(image, data, flag=True, before=False, more=b""):
    """A WebP with the chunk `EXIF`."""
    part = lambda name, content: name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    side = lambda length: struct.pack("<I", length - 1)[:3]
    height, width = np.asarray(Image.open(io.BytesIO(image))).shape[:2]
    head = part(b"VP8X", bytes([8 if flag else 0, 0, 0, 0]) + side(width) + side(height))
    parts = [part(b"EXIF", data), image[12:]] if before else [image[12:], part(b"EXIF", data)]
    body = b"WEBP" + head + b"".join(parts) + (part(b"EXIF", more) if more else b"")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def containers(jpeg):
    """Files with EXIF data in different places."""
    at = lambda marker: jpeg.index(marker)
    inserted = lambda place, data: jpeg[:place] + data + jpeg[place:]
    six, three = segment(b"Exif\0\0" + exif(6)), segment(b"Exif\0\0" + exif(3))
    xmp = b'<x tiff:Orientation="8"/>'
    packet = segment(b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    yield "xmp first.jpg", inserted(2, packet + six)
    yield "xmp last.jpg", inserted(2, six + packet)
    yield "xmp alone.jpg", inserted(2, packet)
    yield "two.jpg", inserted(2, six + three)
    none = segment(b"Exif\0\0" + directory("<", []))
    yield "first without orientation.jpg", inserted(2, none + six)
    yield "first without meaning.jpg", inserted(2, segment(b"Exif\0\0" + exif(9)) + six)
    yield "other padding.jpg", inserted(2, segment(b"Exif\0\xff" + exif(6)))
    yield "lower case.jpg", inserted(2, segment(b"exif\0\0" + exif(6)))
    yield "no signature.jpg", inserted(2, segment(exif(6)))
    yield "other segment.jpg", inserted(2, segment(b"Exif\0\0" + exif(6), 0xE2))
    yield "after jfif.jpg", inserted(20, six)
    yield "after tables.jpg", inserted(at(b"\xff\xc0"), six)
    yield "before the scan.jpg", inserted(at(b"\xff\xda"), six)
    yield "after the scan.jpg", inserted(len(jpeg) - 2, six)
    yield "fill bytes.jpg", inserted(2, b"\xff\xff" + six)
    yield "empty segment.jpg", inserted(2, segment(b"") + six)
    yield "signature alone.jpg", inserted(2, segment(b"Exif\0\0") + six)

    image = noise(3, 2, 3)
    png = saved(image, "PNG")
    data, end = png.index(b"IDAT") - 4, png.index(b"IEND") - 4
    inserted = lambda place, data: png[:place] + data + png[place:]
    six, three = chunk(b"eXIf", exif(6)), chunk(b"eXIf", exif(3))
    for number in range(1, 9):
        yield f"{number}.png", inserted(data, chunk(b"eXIf", exif(number)))
    yield "last.png", inserted(end, six)
    yield "two.png", inserted(data, six + three)
    yield "first without orientation.png", inserted(data, chunk(b"eXIf", directory("<", [])) + six)
    yield "first without order.png", inserted(data, chunk(b"eXIf", b"IM" + exif(3)[2:]) + six)
    yield "first and last.png", png[:data] + six + png[data:end] + three + png[end:]
    profile = b"\nexif\n%8d\n%s\n" % (len(exif(6)) + 6, (b"Exif\0\0" + exif(6)).hex().encode())
    yield "profile.png", inserted(data, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)))
    yield "xmp.png", inserted(data, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    yield "animated.png", saved(image, "PNG", save_all=True, append_images=[image.rotate(180)], exif=exif(6))
    still = saved(image, "WEBP", lossless=True)
    for number in range(1, 9):
        yield f"{number}.webp", webp(still, exif(number, ">"))
    yield "no flag.webp", webp(still, exif(6), flag=False)
    yield "before.webp", webp(still, exif(6), before=True)
    yield "two.webp", webp(still, exif(6), more=exif(3))
    yield "animated.webp", saved(image, "WEBP", save_all=True, lossless=True, append_images=[image.rotate(180)], exif=exif(6))


# --- pixels
# -------------------------------------------------------------------------------------------------------


def files():
    """Files in which OpenCV's pixels are others than Pillow's, or may be."""
    colors, local = (bytes((i * step + 11) % 256 for i in range(48)) for step in (37, 53))
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    inside, whole = ((6, 5), (1, 1, 4, 3)), ((4, 3), (0, 0, 4, 3))

    def with_background(index, *args, **options):
        data = bytearray(gif(*args, **options))
        data[11] = index
        return bytes(data)

    yield "background.gif", with_background(5, *inside, indices, colors)
    yield "background_transparent.gif", with_background(5, *inside, indices, colors, transparent=6)
    yield "background_local.gif", with_background(5, *inside, indices, colors, local, transparent=6)
    yield "background_outside.gif", with_background(20, *inside, indices, colors)
    yield "local_alone.gif", with_background(3, *inside, indices, b"", local, transparent=6)
    yield "local_short.gif", with_background(5, *whole, indices, colors, local[:12])
    yield "no_palette_transparent.gif", with_background(0, *inside, indices, b"", transparent=6)

    pixels = np.asarray(noise(9, 4, 3))
    four = np.dstack([pixels, np.asarray(noise(9, 4, 1))])
    deep = (four.astype(np.uint32) * 253 + 77) % 65536
    index = np.arange(36, dtype=np.uint8).reshape(4, 9) * 7
    map_of = lambda scale: {320: (3, [(i * 7 + 3) % 256 * scale for i in range(768)])}
    yield "cmyk.tif", tiff(9, 4, 5, [8] * 4, [four.tobytes()])
    yield "palette_of_bytes.tif", tiff(9, 4, 3, [8], [index.tobytes()], tags=map_of(1))
    yield "palette_of_words.tif", tiff(9, 4, 3, [8], [index.tobytes()], tags=map_of(257))
    for extra in (0, 1, 2):
        tags = {338: (3, [extra])}
        yield f"rgb_extra{extra}.tif", tiff(9, 4, 2, [8] * 4, [four.tobytes()], tags=tags)
        yield f"rgb16_extra{extra}.tif", tiff(9, 4, 2, [16] * 4, [deep.astype("<u2").tobytes()], tags=tags)
        yield f"grey_extra{extra}.tif", tiff(9, 4, 1, [8] * 2, [four[:, :, :2].tobytes()], tags=tags)
    for number in (1, 6):
        yield f"grey16_orientation{number}.tif", tiff(9, 4, 1, [16], [deep[:, :, 0].astype("<u2").tobytes()], tags={274: (3, [number])})

    half = [row.tobytes() for row in np.frombuffer(pixels.tobytes(), "<u2")[:54].reshape(6, 9)]
    masks = lambda *values: struct.pack("<III", *values)
    yield "bits15.bmp", bmp(9, 6, 16, half)
    yield "bits15_masks.bmp", bmp(9, 6, 16, half, 3, masks(0x7C00, 0x3E0, 0x1F))
    yield "bits16_masks.bmp", bmp(9, -6, 16, half, 3, masks(0xF800, 0x7E0, 0x1F))
    yield "bits12_masks.bmp", bmp(9, 6, 16, half, 3, masks(0xF00, 0xF0, 0xF))
    yield "bits32_masks.bmp", bmp(9, 4, 32, [row.tobytes() for row in four], 3, struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0))

    yield "plain_max10.pgm", b"P2\n4 1\n10\n3 10 11 99 \n"
    yield "plain_max7.ppm", b"P3\n1 2\n7\n3 5 7 0 1 6 \n"
    yield "plain_max999.pgm", b"P2\n4 1\n999\n3 255 256 1200 \n"
    yield "raw_max10.pgm", b"P5\n4 1\n10\n" + bytes([3, 10, 11, 99])
    yield "raw_max10.ppm", b"P6\n2 1\n10\n" + bytes([3, 10, 11, 99, 0, 255])
    yield "raw_max999.pgm", b"P5\n4 1\n999\n" + struct.pack(">4H", 3, 255, 999, 65535)


def jpegs():
    """One JPEG with every orientation, in color and in gray."""
    for name, image in (("rgb", drawing(24, 17)), ("grey", drawing(17, 24).convert("L"))):
        jpeg = saved(image, "JPEG", quality=60, optimize=True)
        for number in range(1, 9):
            yield f"{name}{number}.jpg", jpeg[:20] + segment(b"Exif\0\0" + exif(number, "<>"[number % 2])) + jpeg[20:]


def pixels_of(name, data):
    image = decoded(data)
    if image is None:
        return {"name": name, "refused": True}
    return {"name": name, "size": [image.shape[1], image.shape[0]], "fnv": fnv1a(image.tobytes())}


def main():
    jpeg = saved(noise(3, 2, 3).resize((24, 16), Image.Resampling.NEAREST), "JPEG", quality=60, optimize=True)
    stored = {path.name: path.read_bytes() for path in sorted(FILES.iterdir()) if path.suffix != ".rgb"}
    wrapped = lambda data: jpeg[:2] + segment(b"Exif\0\0" + data) + jpeg[2:]
    numbers = lambda data: {"opencv": by_opencv(data), "pillow": by_pillow(data)}
    parts = {
        "versions": {"opencv-python-headless": cv2.__version__, "pillow": PIL.__version__, "numpy": np.__version__},
        "jpeg": jpeg.hex(),
        "exif": [{"name": name, **numbers(wrapped(data)), "hex": data.hex()} for name, data in exif_cases()],
        "containers": [{"name": name, **numbers(data), "hex": data.hex()} for name, data in containers(jpeg)],
        "stored": [pixels_of(name, data) for name, data in stored.items()],
        "files": [{**pixels_of(name, data), "hex": data.hex()} for name, data in (*files(), *jpegs())],
    }
    if "--check" in sys.argv[1:]:
        before = json.loads((HERE / "decoding.json").read_text())
        for part in ("exif", "containers", "stored", "files"):
            then = {case["name"]: case for case in before[part]}
            different = [case["name"] for case in parts[part] if case != then.get(case["name"])]
            print(f"OpenCV {cv2.__version__}, {part}: {len(parts[part])} cases, different: {different or 'none'}")
        return
    lines = []
    for key, value in parts.items():
        if isinstance(value, list):
            value = "[\n" + ",\n".join(json.dumps(case) for case in value) + "\n]"
        else:
            value = json.dumps(value)
        lines.append(f"{json.dumps(key)}: {value}")
    (HERE / "decoding.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
