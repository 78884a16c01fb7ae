"""Makes what the Rust tests compare with: what Pillow does with the same inputs.

    python3 make_fixtures.py

writes `fixtures.json`, `jpeg_sweep.json` and `files/` beside itself. Needs Pillow and numpy; `fixtures.json` records their versions. Inputs are
formulas that the Rust tests repeat (`noise`), or small encoded files stored in `files/`. Results are stored as FNV-1a hashes
of their bytes, and as pixels where a test measures a distance.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in bytes(data):
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def noise(width, height, channels):
    """Bytes of a linear congruential generator, as `common::noise` in Rust."""
    state, out = width * 1_000_003 + height, bytearray()
    for _ in range(width * height * channels):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        out.append(state >> 56)
    mode, shape = ("L", (height, width)) if channels == 1 else ("RGB", (height, width, 3))
    return Image.fromarray(np.frombuffer(bytes(out), np.uint8).reshape(shape), mode)


def drawing(width, height):
    """A smooth picture with edges, which JPEG keeps well."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 127 + 120 * np.sin(x / 7 + y / 11)
    green = 255 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2)
    blue = (x * 5 + y * 3) % 256
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8), "RGB")


# --- resize and pipeline
# -------------------------------------------------------------------------------------------------


def resize_cases():
    sizes = [
        ((1, 1), (1, 1)), ((1, 1), (7, 5)), ((7, 5), (1, 1)), ((2, 3), (64, 65)), ((17, 31), (31, 17)),
        ((33, 33), (33, 33)), ((33, 20), (33, 41)), ((20, 33), (41, 33)), ((64, 48), (15, 16)), ((100, 7), (13, 90)),
        ((255, 3), (2, 3)), ((3, 255), (3, 2)), ((90, 67), (89, 66)), ((40, 30), (41, 31)), ((301, 200), (97, 64)),
        # around the point where Pillow starts with the rows: more than twice as many removed as columns
        ((40, 60), (35, 50)), ((40, 60), (35, 49)), ((40, 60), (35, 51)), ((40, 60), (50, 59)), ((40, 60), (39, 20)),
    ]
    for (width, height), target in sizes:
        for channels in (1, 3):
            image = noise(width, height, channels)
            for name, resample in FILTERS.items():
                result = image.resize(target, resample).tobytes()
                yield {"from": [width, height], "channels": channels, "to": target, "filter": name, "fnv": fnv1a(result)}


def evaluate(image, resize, crop, resample):
    """torchvision's Resize(resize) and CenterCrop(crop) on a PIL image."""
    width, height = image.size
    short, long = min(image.size), max(image.size)
    scaled = int(resize * long / short)
    size = (resize, scaled) if width <= height else (scaled, resize)
    image = image.resize(size, resample)
    top, left = int(round((size[1] - crop) / 2.0)), int(round((size[0] - crop) / 2.0))
    return image.crop((left, top, left + crop, top + crop))


def pipeline_cases():
    cases = [((w, h), 256, 224) for w, h in [(1, 1), (2, 2), (500, 375), (375, 500), (256, 256), (257, 256), (256, 300)]]
    cases += [((w, h), 256, 224) for w, h in [(224, 224), (333, 1), (1, 333), (341, 256), (640, 97), (600, 450)]]
    cases += [((100, 75), 37, 36), ((75, 100), 24, 24), ((301, 299), 235, 224), ((50, 50), 330, 288), ((9, 4), 1, 1)]
    cases += [((300, 900), 256, 224), ((300, 601), 256, 224), ((700, 1700), 256, 224), ((900, 300), 256, 224)]
    for (width, height), resize, crop in cases:
        for channels in (1, 3):
            for name in ("bilinear", "bicubic"):
                result = evaluate(noise(width, height, channels), resize, crop, FILTERS[name]).convert("RGB")
                tensor = (np.asarray(result).astype(np.float32) / np.float32(255) - MEAN) / STD
                tensor = np.ascontiguousarray(tensor.transpose(2, 0, 1), "<f4")
                yield {
                    "from": [width, height], "channels": channels, "resize": resize, "crop": crop, "filter": name,
                    "pixels_fnv": fnv1a(result.tobytes()), "tensor_fnv": fnv1a(tensor.tobytes()),
                }  # fmt: skip


# --- encoded files
# -------------------------------------------------------------------------------------------------------


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth, color_type, rows, extra=b"", interlace=0):
    """A PNG of unfiltered rows (packed bytes); with `interlace`, of the rows of all passes one after the other."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def packed(values, depth):
    bits = "".join(f"{value:0{depth}b}" for value in values)
    return bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))


def adam7(pixels):
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in passes:
        part = pixels[y::dy, x::dx]
        if part.size:
            yield from (row.tobytes() for row in part)


def png_files():
    picture = drawing(37, 23)
    rgba = picture.copy()
    rgba.putalpha(noise(37, 23, 1))
    grey = picture.convert("L")
    yield "grey.png", saved(grey, "PNG")
    yield "rgb.png", saved(picture, "PNG")
    yield "rgba.png", saved(rgba, "PNG")
    yield "grey_alpha.png", saved(rgba.convert("LA"), "PNG")
    yield "bilevel.png", saved(grey.convert("1"), "PNG")
    for colors, bits in ((2, 1), (4, 2), (16, 4), (200, 8)):
        yield f"palette{bits}.png", saved(picture.quantize(colors), "PNG", bits=bits)
    yield "palette_transparent_entry.png", saved(picture.quantize(16), "PNG", transparency=3)
    yield "palette_alpha.png", saved(picture.quantize(16), "PNG", transparency=bytes(range(0, 160, 10)))
    yield "grey_transparent.png", saved(grey, "PNG", transparency=grey.getpixel((5, 5)))
    yield "rgb_transparent.png", saved(picture, "PNG", transparency=picture.getpixel((5, 5)))
    palette = chunk(b"PLTE", bytes(range(10, 34)))
    yield "palette_short.png", png(9, 1, 8, 3, [bytes([0, 1, 5, 7, 8, 9, 100, 200, 255])], palette)
    for depth in (2, 4):
        rows = [packed([(x * 3 + y) % (1 << depth) for x in range(13)], depth) for y in range(6)]
        yield f"grey{depth}.png", png(13, 6, depth, 0, rows)
    y, x = np.mgrid[0:9, 0:33]
    deep = (y * 7919 + x * 1987 + (y * x) * 31).astype(np.uint32) % 65536
    deep[0, :8] = [0, 1, 127, 128, 255, 256, 257, 65535]
    deep = deep.astype(">u2")
    stack = lambda n: np.stack([deep + np.uint16(1000 * i) for i in range(n)], -1).astype(">u2")
    yield "grey16.png", png(33, 9, 16, 0, [row.tobytes() for row in deep])
    yield "grey16_transparent.png", png(33, 9, 16, 0, [row.tobytes() for row in deep], chunk(b"tRNS", b"\1\0"))
    yield "grey_alpha16.png", png(33, 9, 16, 4, [row.tobytes() for row in stack(2)])
    yield "rgb16.png", png(33, 9, 16, 2, [row.tobytes() for row in stack(3)])
    yield "rgba16.png", png(33, 9, 16, 6, [row.tobytes() for row in stack(4)])
    yield "interlaced.png", png(37, 23, 8, 2, adam7(np.asarray(picture)), interlace=1)
    yield "interlaced_tiny.png", png(1, 3, 8, 0, adam7(np.asarray(noise(1, 3, 1))), interlace=1)
    yield "gamma.png", png(37, 23, 8, 0, [row.tobytes() for row in np.asarray(grey)], chunk(b"gAMA", b"\0\0\x27\x10"))
    yield "animated.png", saved(picture, "PNG", save_all=True, append_images=[noise(37, 23, 3)])
    yield "one_pixel.png", saved(noise(1, 1, 3), "PNG")


def bmp(width, height, bits, rows, compression=0, extra=b"", data=None):
    data = b"".join(row.ljust((len(row) + 3) // 4 * 4, b"\0") for row in rows) if data is None else data
    offset = 54 + len(extra)
    size = 56 if len(extra) == 16 else 40
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + extra + data


def bmp_files():
    picture = drawing(37, 23)
    rgba = picture.copy()
    rgba.putalpha(noise(37, 23, 1))
    yield "rgb.bmp", saved(picture, "BMP")
    yield "grey.bmp", saved(picture.convert("L"), "BMP")
    yield "palette.bmp", saved(picture.quantize(60), "BMP")
    yield "bilevel.bmp", saved(picture.convert("1"), "BMP")
    yield "rgba.bmp", saved(rgba, "BMP")
    rows = [np.asarray(rgba)[y].tobytes() for y in range(23)]
    yield "bits32.bmp", bmp(37, 23, 32, rows)
    yield "top_down.bmp", bmp(37, -23, 32, rows)
    every = np.arange(0, 65536, 29, np.uint16)[: 45 * 50].reshape(50, 45)
    yield "bits16_555.bmp", bmp(45, 50, 16, [row.astype("<u2").tobytes() for row in every])
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield "bits16_565.bmp", bmp(45, 50, 16, [row.astype("<u2").tobytes() for row in every], 3, masks)
    yield "alpha_mask.bmp", bmp(37, 23, 32, rows, 3, struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    palette = b"".join(bytes([i, 255 - i, i * 7 % 256, 0]) for i in range(256))
    runs = bytes([5, 9, 4, 200, 0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 4, 77, 0, 0, 9, 3, 0, 0, 0, 1])
    yield "rle8.bmp", bmp(9, 3, 8, [], 1, palette, runs)


def adobe(data, transform):
    """`data` with the color transform of its Adobe segment set, or without the segment."""
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    if transform is None:
        return data[:at] + data[at + 16 :]
    return data[: at + 15] + bytes([transform]) + data[at + 16 :]


def jpeg_files():
    picture = drawing(67, 45)
    grey = picture.convert("L")
    inks = Image.merge("CMYK", [*picture.split(), noise(67, 45, 1).resize((67, 45)).reduce(5).resize((67, 45))])
    cmyk = saved(inks, "JPEG", quality=92)
    yield "grey.jpg", saved(grey, "JPEG", quality=88)
    yield "rgb444.jpg", saved(picture, "JPEG", quality=90, subsampling=0)
    yield "rgb422.jpg", saved(picture, "JPEG", quality=90, subsampling=1)
    yield "rgb420.jpg", saved(picture, "JPEG", quality=90, subsampling=2)
    yield "progressive.jpg", saved(picture, "JPEG", quality=80, progressive=True)
    yield "progressive_grey.jpg", saved(grey, "JPEG", quality=80, progressive=True)
    yield "restarts.jpg", saved(picture, "JPEG", quality=80, restart_marker_blocks=3)
    yield "coarse.jpg", saved(picture, "JPEG", quality=8)
    yield "stored_rgb.jpg", saved(picture, "JPEG", quality=90, keep_rgb=True)
    yield "cmyk.jpg", cmyk
    yield "cmyk_plain.jpg", adobe(cmyk, None)
    yield "ycck.jpg", adobe(cmyk, 2)
    yield "cmyk_progressive.jpg", saved(inks, "JPEG", quality=92, progressive=True)
    # Adobe's flag decides only where no JFIF segment is present.
    flag = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
    data = saved(picture, "JPEG", quality=90)
    bare = data[:2] + data[20:]
    yield "jfif_and_adobe_rgb.jpg", data[:20] + flag + b"\0" + data[20:]
    yield "adobe_rgb.jpg", bare[:2] + flag + b"\0" + bare[2:]
    yield "adobe_ycc.jpg", bare[:2] + flag + b"\1" + bare[2:]
    yield "adobe_odd.jpg", bare[:2] + flag + b"\7" + bare[2:]
    yield "bare.jpg", bare
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "rotated_by_exif.jpg", saved(picture, "JPEG", quality=90, exif=exif)
    for width, height in [(1, 1), (8, 8), (17, 9), (3, 50), (33, 2)]:
        yield f"size{width}x{height}.jpg", saved(drawing(width, height), "JPEG", quality=85)


def damaged_jpeg_files():
    """Files that Pillow reads although parts of them are lost."""
    picture = drawing(67, 45)
    whole = saved(picture, "JPEG", quality=90, subsampling=2)
    start = whole.index(b"\xff\xda") + 14
    half = (start + len(whole)) // 2
    yield "damaged_early_end.jpg", whole[:half] + b"\xff\xd9"
    yield "damaged_byte.jpg", whole[:half] + bytes([whole[half] ^ 0x35]) + whole[half + 1 :]
    restarts = saved(picture, "JPEG", quality=80, restart_marker_blocks=3)
    at = restarts.index(b"\xff\xd2")
    yield "damaged_restart_lost.jpg", restarts[:at] + restarts[at + 2 :]
    yield "damaged_restart_other.jpg", restarts[:at] + b"\xff\xd5" + restarts[at + 2 :]
    progressive = saved(picture, "JPEG", quality=80, progressive=True)
    at = progressive.rindex(b"\xff\xda") + 14
    yield "damaged_progressive.jpg", progressive[:at] + b"\xff\xd9"


def pnm_files():
    picture = drawing(19, 7)
    grey = picture.convert("L")
    text = lambda values: b"\n".join(b" ".join(b"%d" % v for v in row) for row in values)
    y, x = np.mgrid[0:7, 0:19]
    wide = (y * 7919 + x * 1987) % 65536
    wide[0, :4] = [0, 255, 256, 65535]
    color = np.stack([wide, wide // 3, 65535 - wide], -1)
    yield "bits.pbm", saved(grey.convert("1"), "PPM")
    yield "bits_plain.pbm", b"P1\n# a comment\n5 3\n10101 # another\n0 1 0 1 0\n11\t100\n"
    yield "grey.pgm", saved(grey, "PPM")
    yield "grey_max100.pgm", b"P5 19 7 # comment\n100\n" + bytes((x * 5 + y).astype(np.uint8) % 101)
    yield "grey_max7_over.pgm", b"P5\n19 7\n7\n" + bytes((x + y).astype(np.uint8))
    yield "grey_max4095.pgm", b"P5\n19 7\n4095\n" + (wide % 4096).astype(">u2").tobytes()
    yield "grey_max65535.pgm", b"P5\n19 7\n65535\n" + wide.astype(">u2").tobytes()
    yield "grey_plain.pgm", b"P2\n19 7 15\n" + text((x + y) % 16) + b"\n"
    yield "grey_plain_wide.pgm", b"P2\n19 7\n1000\n" + text(wide % 1001)
    yield "rgb.ppm", saved(picture, "PPM")
    yield "rgb_max100.ppm", b"P6\n19 7\n100\n" + bytes((color % 101).astype(np.uint8))
    yield "rgb_max65535.ppm", b"P6\n19 7\n65535\n" + color.astype(">u2").tobytes()
    yield "rgb_max300.ppm", b"P6\n19 7\n300\n" + (color % 301).astype(">u2").tobytes()
    yield "rgb_plain.ppm", b"P3\n19 7\n255\n" + text((color % 256).reshape(7, -1)) + b"\n"


def gif(screen, frame, indices, palette=b"", local=b"", transparent=None, interlace=False, extra=b""):
    """A GIF of one frame, without compression: codes of 9 bits and a clear code before the tables grow."""
    size = lambda table: max(0, (len(table) // 3 - 1).bit_length() - 1)
    flags = (0x80 | size(palette)) if palette else 0
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, flags, 0, 0) + palette + extra
    if transparent is not None:
        data += bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
    flags = (0x80 | size(local) if local else 0) | (0x40 if interlace else 0)
    data += b"," + struct.pack("<HHHHB", *frame, flags) + local
    rows = indices.reshape(frame[3], frame[2])
    if interlace:
        rows = np.concatenate([rows[0::8], rows[4::8], rows[2::4], rows[1::2]])
    codes = []
    for number, index in enumerate(rows.ravel()):
        codes += [256] if number % 100 == 0 else []
        codes.append(int(index))
    bits = sum(code << (9 * number) for number, code in enumerate([*codes, 257]))
    packed = bits.to_bytes((len(codes) * 9 + 16) // 8, "little")
    blocks = b"".join(bytes([len(packed[i : i + 255])]) + packed[i : i + 255] for i in range(0, len(packed), 255))
    return data + bytes([8]) + blocks + b"\0;"


def gif_files():
    picture = drawing(37, 23)
    colors = bytes((i * 37 % 256) for i in range(48))
    ramp = bytes(v for i in range(16) for v in (i, i, i))
    y, x = np.mgrid[0:23, 0:37]
    indices = ((x + 3 * y) % 16).astype(np.uint8)
    part = indices[:9, :11].copy()
    yield "palette.gif", saved(picture.quantize(64), "GIF")
    yield "grey.gif", saved(picture.convert("L"), "GIF")
    yield "transparent.gif", saved(picture.quantize(16), "GIF", transparency=3)
    yield "animated.gif", saved(picture, "GIF", save_all=True, append_images=[noise(37, 23, 3), noise(37, 23, 1)])
    yield "interlaced.gif", gif((37, 23), (0, 0, 37, 23), indices, colors, interlace=True)
    yield "interlaced_by_pillow.gif", saved(picture.quantize(32), "GIF", interlace=1)
    yield "local_palette.gif", gif((37, 23), (0, 0, 37, 23), indices, ramp, colors)
    yield "local_ramp.gif", gif((37, 23), (0, 0, 37, 23), indices, colors, ramp)
    yield "no_palette.gif", gif((37, 23), (0, 0, 37, 23), indices)
    yield "offset.gif", gif((37, 23), (5, 4, 11, 9), part, colors)
    yield "offset_transparent.gif", gif((37, 23), (5, 4, 11, 9), part, colors, transparent=6)
    yield "offset_local.gif", gif((37, 23), (5, 4, 11, 9), part, ramp, colors)
    yield "beyond_screen.gif", gif((10, 10), (5, 4, 11, 9), part, colors)
    yield "short_palette.gif", gif((37, 23), (0, 0, 37, 23), indices, colors[:24])
    yield "short_ramp.gif", gif((37, 23), (0, 0, 37, 23), indices * 16, ramp)
    yield "comment.gif", gif((37, 23), (0, 0, 37, 23), indices, colors, extra=b"\x21\xfe\x05hello\0")


def tiff(width, height, photometric, bits, data, order="<", tags=(), tile=None, big=False):
    """An uncompressed TIFF of strips or tiles, whose content is given one after the other."""
    entries = {256: (4, [width]), 257: (4, [height]), 258: (3, bits), 259: (3, [1]), 262: (3, [photometric])}
    entries |= {277: (3, [len(bits)])} | dict(tags)
    entries |= {322: (4, [tile]), 323: (4, [tile])} if tile else {278: entries.get(278, (4, [-(-height // len(data))]))}
    start = 16 if big else 8
    offsets = [start + sum(map(len, data[:i])) for i in range(len(data))]
    entries |= {324 if tile else 273: (4, offsets), 325 if tile else 279: (4, [len(d) for d in data])}
    body = b"".join(data)
    word, place = ("Q", 8) if big else ("I", 4)
    table, extra = b"", b""
    ifd = start + len(body)
    after = ifd + (8 + 20 * len(entries) + 8 if big else 2 + 12 * len(entries) + 4)
    for tag, (kind, values) in sorted(entries.items()):
        content = b"".join(struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], v) for v in values)
        if len(content) > place:
            extra, content = extra + content, struct.pack(order + word, after + len(extra))
        table += struct.pack(order + "HH" + word, tag, kind, len(values)) + content.ljust(place, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, ifd) if big else struct.pack(order + "HI", 42, ifd)
    return mark + head + body + struct.pack(order + ("Q" if big else "H"), len(entries)) + table + bytes(place) + extra


def tiff_files():
    picture = drawing(37, 23)
    grey = picture.convert("L")
    rgba = picture.copy()
    rgba.putalpha(noise(37, 23, 1))
    inks = picture.convert("CMYK")
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"rgb_{name}.tif", saved(picture, "TIFF", compression=name)
    yield "grey.tif", saved(grey, "TIFF", compression="tiff_lzw")
    yield "rgba.tif", saved(rgba, "TIFF", compression="tiff_adobe_deflate")
    yield "grey_alpha.tif", saved(rgba.convert("LA"), "TIFF")
    yield "palette.tif", saved(picture.quantize(50), "TIFF", compression="tiff_lzw")
    yield "cmyk.tif", saved(inks, "TIFF", compression="tiff_lzw")
    yield "bilevel.tif", saved(grey.convert("1"), "TIFF")
    yield "bilevel_group4.tif", saved(grey.convert("1"), "TIFF", compression="group4")
    yield "predictor.tif", saved(picture, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield "strips.tif", saved(picture, "TIFF", compression="tiff_lzw", strip_size=400)
    y, x = np.mgrid[0:9, 0:33]
    deep = ((y * 7919 + x * 1987 + y * x * 31) % 65536).astype(np.uint32)
    deep[0, :4] = [0, 255, 256, 65535]
    stack = lambda n: np.stack([(deep + 1000 * i) % 65536 for i in range(n)], -1)
    wide = lambda array, order: [array.astype(order + "u2").tobytes()]
    narrow = lambda array: [array.astype(np.uint8).tobytes()]
    for order in "<>":
        name = "little" if order == "<" else "big"
        yield f"grey16_{name}.tif", tiff(33, 9, 1, [16], wide(deep, order), order)
        yield f"rgb16_{name}.tif", tiff(33, 9, 2, [16] * 3, wide(stack(3), order), order)
        yield f"cmyk16_{name}.tif", tiff(33, 9, 5, [16] * 4, wide(stack(4), order), order)
        yield f"rgb_{name}.tif", tiff(33, 9, 2, [8] * 3, narrow(stack(3) >> 8), order)
    yield "grey16_inverted.tif", tiff(33, 9, 0, [16], wide(deep, "<"))
    yield "grey_inverted.tif", tiff(33, 9, 0, [8], narrow(deep >> 8))
    yield "bilevel_inverted.tif", tiff(13, 6, 0, [1], [b"".join(packed([(i * 5 + j) % 2 for i in range(13)], 1) for j in range(6))])
    for depth in (2, 4):
        rows = [packed([(i * 3 + j) % (1 << depth) for i in range(13)], depth) for j in range(6)]
        yield f"grey{depth}.tif", tiff(13, 6, 1, [depth], [b"".join(rows)])
        yield f"grey{depth}_inverted.tif", tiff(13, 6, 0, [depth], [b"".join(rows)])
        colormap = [(i * 7919 + 300) % 65536 for i in range(3 << depth)]
        yield f"palette{depth}.tif", tiff(13, 6, 3, [depth], [b"".join(rows)], tags={320: (3, colormap)})
    four = stack(4) >> 8
    for extra in (0, 1, 2):
        yield f"rgb_extra{extra}.tif", tiff(33, 9, 2, [8] * 4, narrow(four), tags={338: (3, [extra])})
        yield f"rgb16_extra{extra}.tif", tiff(33, 9, 2, [16] * 4, wide(stack(4), "<"), tags={338: (3, [extra])})
    yield "grey_extra0.tif", tiff(33, 9, 1, [8] * 2, narrow(stack(2) >> 8), tags={338: (3, [0])})
    planes = [narrow(stack(3)[:, :, i] >> 8)[0] for i in range(3)]
    yield "planar.tif", tiff(33, 9, 2, [8] * 3, planes, tags={284: (3, [2]), 278: (4, [9])})
    square = np.asarray(drawing(40, 20))
    padded = np.zeros((32, 48, 3), np.uint8)
    padded[:20, :40] = square
    parts = [padded[j : j + 16, i : i + 16].tobytes() for j in (0, 16) for i in (0, 16, 32)]
    yield "tiles.tif", tiff(40, 20, 2, [8] * 3, parts, tile=16)
    yield "bigtiff.tif", tiff(33, 9, 2, [8] * 3, narrow(stack(3) >> 8), big=True)
    for orientation in range(2, 9):
        tags = {274: (3, [orientation])}
        yield f"orientation{orientation}.tif", tiff(33, 9, 2, [8] * 3, narrow(stack(3) >> 8), tags=tags)


def webp_files():
    picture = drawing(37, 23)
    rgba = picture.copy()
    rgba.putalpha(noise(37, 23, 1))
    yield "lossless.webp", saved(picture, "WEBP", lossless=True)
    yield "lossless_alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    yield "lossless_hidden.webp", saved(rgba, "WEBP", lossless=True)
    yield "animated.webp", saved(picture, "WEBP", lossless=True, save_all=True, append_images=[noise(37, 23, 3)])
    yield "animated_alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True, save_all=True, append_images=[picture])
    for quality in (30, 75, 95):
        yield f"lossy{quality}.webp", saved(drawing(67, 45), "WEBP", quality=quality)
    yield "lossy_alpha.webp", saved(rgba, "WEBP", quality=80)
    yield "lossy_noise.webp", saved(noise(37, 23, 3), "WEBP", quality=80)


def decode_cases():
    FILES.mkdir(exist_ok=True)
    for old in FILES.iterdir():
        old.unlink()
    others = [*pnm_files(), *gif_files(), *tiff_files(), *webp_files(), *damaged_jpeg_files()]
    for name, data in [*png_files(), *bmp_files(), *jpeg_files(), *others]:
        (FILES / name).write_bytes(data)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        case = {"file": name, "size": image.size, "fnv": fnv1a(image.tobytes())}
        if name.endswith(".jpg") or name.startswith(("bits16_", "lossy")):
            (FILES / name).with_suffix(".rgb").write_bytes(image.tobytes())
        yield case


# --- damaged files
# -------------------------------------------------------------------------------------------------------


def pillow_reads(data):
    try:
        Image.open(io.BytesIO(data)).convert("RGB")
    except Exception:
        return False
    return True


def readable_lengths():
    """The lengths at which Pillow still reads a file that was cut."""
    for name in ["rgb420.jpg", "rgb444.jpg", "restarts.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"]:
        data = (FILES / name).read_bytes()
        yield {"file": name, "lengths": [n for n in range(len(data) + 1) if pillow_reads(data[:n])]}
    for name in ["rgb.png", "interlaced.png", "palette4.png", "rgb.bmp", "palette.bmp", "bilevel.bmp"]:
        data = (FILES / name).read_bytes()
        yield {"file": name, "lengths": [n for n in range(len(data) + 1) if pillow_reads(data[:n])]}


def edits(data, one_scan):
    body = data[:-2]
    eoi = b"\xff\xd9"
    yield "untouched", data
    yield "text behind the end", data + b"some text"
    yield "second picture behind the end", data + data
    yield "zeros behind the end", data + bytes(1000)
    yield "fill bytes before the end marker", body + b"\xff\xff\xff" + eoi
    yield "junk before the end marker", body + b"junk" + eoi
    yield "fill bytes before the first marker", data[:2] + b"\xff\xff" + data[2:]
    yield "junk between segments", data[:20] + b"abcdefgh" + data[20:]
    yield "comment before the end marker", body + b"\xff\xfe\x00\x04ab" + eoi
    yield "restart before the end marker", body + b"\xff\xd3" + eoi
    yield "no end marker", body
    yield "half an end marker", body + b"\xff"
    yield "fill bytes for the end marker", body + b"\xff" * 8
    yield "text for the end marker", body + b"some text"
    yield "zeros for the end marker", body + bytes(1000)
    yield "comment for the end marker", body + b"\xff\xfe\x00\x04ab"
    yield "start marker before the end marker", body + b"\xff\xd8" + eoi
    yield "frame before the end marker", body + b"\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00" + eoi
    yield "two start markers", data[:2] + data
    yield "end marker before the scan", data[:20] + eoi + data[20:]
    sof = data.index(b"\xff\xc0") if one_scan else data.index(b"\xff\xc2")
    yield "no frame", data[:sof] + data[sof + 2 + struct.unpack_from(">H", data, sof + 2)[0] :]
    yield "no rows", data[: sof + 5] + b"\0\0" + data[sof + 7 :]
    yield "12 bits", data[: sof + 4] + b"\x0c" + data[sof + 5 :]
    yield "lossless", data[: sof + 1] + b"\xc3" + data[sof + 2 :]
    scan = data.rindex(b"\xff\xda")
    cut = (scan + 14 + len(body)) // 2 if one_scan else (scan + 10 + len(body)) // 2
    while data[cut - 1] == 0xFF:
        cut += 1
    if one_scan:
        yield "end marker too early", data[:cut] + eoi
        yield "comment in the scan", data[:cut] + b"\xff\xfe\x00\x04ab" + data[cut:]
        yield "zeros in the scan", data[:cut] + bytes(len(data) - cut - 2) + eoi
    yield "unknown marker in the scan", data[:cut] + b"\xff\x02" + data[cut:]
    yield "start marker in the scan", data[:cut] + b"\xff\xd8" + data[cut:]


def damage_cases():
    for name, options in [("baseline", {}), ("progressive", {"progressive": True})]:
        data = saved(drawing(24, 24), "JPEG", quality=30, **options)
        for edit, edited in edits(data, name == "baseline"):
            yield {"name": f"{name}, {edit}", "hex": edited.hex(), "pillow_reads": pillow_reads(edited)}


# --- a sweep of changed JPEGs
# -------------------------------------------------------------------------------------------------------


def places(data):
    """The start of each segment and restart marker, and the end."""
    at, found = 2, [2]
    while True:
        code, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        found.append(at)
        at += 2 + length
        if code == 0xDA:
            while data[at] != 0xFF or data[at + 1] in (0, *range(0xD0, 0xD8)):
                found += [at] if data[at] == 0xFF and data[at + 1] else []
                at += 1
            if data[at + 1] == 0xD9:
                return sorted({*found, at})


def changes(name, data):
    """Changed files: cut, with bytes inserted, with wrong lengths, with lost or changed markers."""
    for cut in [*range(0, len(data), 64), *range(len(data) - 12, len(data))]:
        yield data[:cut]
        yield data[:cut] + b"\xff\xd9"
        yield data[:cut] + bytes(100)
    for count in (1, 2, 8, 9, 211):
        for filling in (b"\0", b"\x5a"):
            yield data[:-2] + filling * count + data[-2:]
            yield data[:-2] + filling * count
            yield data + filling * count
    inserts = ["00", "6a756e6b", "ff", "ff00", "fffe00046162", "ffd8", "ffd9", "ffd3", "ff01", "ff02", "fff5", "ffdc00040001"]
    for at in places(data):
        yield from (data[:at] + bytes.fromhex(insert) + data[at:] for insert in inserts)
        code = data[at + 1]
        yield data[:at] + data[at + 2 :]
        if 0xD0 <= code <= 0xD9:
            yield from (data[: at + 1] + bytes([0xD0 + (code + step) % 8]) + data[at + 2 :] for step in (1, 3, 7))
        else:
            length = struct.unpack_from(">H", data, at + 2)[0]
            for other in (0, 1, 2, length - 1, length + 1, length + 64, 65535):
                yield data[: at + 2] + struct.pack(">H", max(other, 0)) + data[at + 4 :]
            yield data[:at] + data[at + 2 + length :]
            yield data[: at + 2 + length] + data[at:]
    state = len(data)
    for _ in range(80):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        at = 2 + (state >> 33) % (len(data) - 4)
        yield data[:at] + bytes([state >> 20 & 255]) + data[at + 1 :]


def sweep_cases():
    """What Pillow does with changed files, each as the bytes that replace others: at, count, new bytes."""
    for name in ("rgb420", "rgb422", "grey", "progressive", "progressive_grey", "restarts", "ycck", "size17x9"):
        data = (FILES / f"{name}.jpg").read_bytes()
        for changed in changes(name, data):
            start = next((i for i, (a, b) in enumerate(zip(data, changed)) if a != b), min(len(data), len(changed)))
            most = min(len(data), len(changed)) - start
            end = next((i for i in range(most) if data[-1 - i] != changed[-1 - i]), most)
            new = changed[start : len(changed) - end]
            assert data[:start] + new + data[len(data) - end :] == changed
            try:
                image = Image.open(io.BytesIO(changed)).convert("RGB")
                hashed = fnv1a(image.tobytes())
            except Exception:
                hashed = None
            yield [name, start, len(data) - end - start, new.hex(), hashed]


def main():
    fixtures = {
        "pillow": PIL.__version__,
        "libjpeg_turbo": features.version("libjpeg_turbo"),
        "numpy": np.__version__,
        "resize": list(resize_cases()),
        "pipeline": list(pipeline_cases()),
        "decode": list(decode_cases()),
        "readable_lengths": list(readable_lengths()),
        "damage": list(damage_cases()),
    }
    lines = []
    for key, value in fixtures.items():
        if isinstance(value, list):
            value = "[\n" + ",\n".join(json.dumps(case) for case in value) + "\n]"
        else:
            value = json.dumps(value)
        lines.append(f"{json.dumps(key)}: {value}")
    (HERE / "fixtures.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    sweep = ",\n".join(json.dumps(case, separators=(",", ":")) for case in sweep_cases())
    (HERE / "jpeg_sweep.json").write_text(f"[\n{sweep}\n]\n")


if __name__ == "__main__":
    main()
