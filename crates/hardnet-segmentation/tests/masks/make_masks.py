"""Writes mask files as Pillow 13.0.0 writes them, and nearest.json: what its nearest neighbor resize takes.

The class of the pixel in column x and row y is (3 * x + 5 * y) % classes, which `tests/masks.rs` repeats.

    python3 make_masks.py
"""

import json
import random
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

assert PIL.__version__ == "13.0.0"
HERE = Path(__file__).parent
WIDTH, HEIGHT = 13, 7
CITYSCAPES = [(128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153)]


def classes(count):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return ((3 * x + 5 * y) % count).astype(np.uint8)


def save(image, name, **options):
    image.save(HERE / name, optimize=True, **options)


gray = Image.fromarray(classes(5))
save(gray, "gray.png")
save(Image.fromarray(classes(2) * 255).convert("1"), "bits1.png")
for bits in (1, 2, 4):
    indexed = Image.fromarray(classes(2**bits)).convert("P")
    indexed.putpalette([(91 * i + 7 * c) % 256 for i in range(2**bits) for c in range(3)])
    indexed.save(HERE / f"palette{bits}.png", bits=bits)
indexed = Image.fromarray(classes(5)).convert("P")
indexed.putpalette([level for color in reversed(CITYSCAPES) for level in color])
save(indexed, "palette8.png")
colors = Image.fromarray(np.array(CITYSCAPES, np.uint8)[classes(5)])
save(colors, "rgb.png")
save(colors.convert("RGBA"), "rgba.png")
save(gray.convert("LA"), "gray_alpha.png")
holes = gray.convert("LA")
holes.putpixel((4, 2), (1, 254))
save(holes, "transparent.png")
save(Image.fromarray(classes(5).astype(np.uint16)), "gray16.png")
save(Image.fromarray(np.where(classes(5) == 4, 9, classes(5)).astype(np.uint8)), "out_of_range.png")


def nearest(size, resized):
    ramp = Image.fromarray(np.arange(size, dtype=np.int32)[None])
    return np.array(ramp.resize((resized, 1), Image.NEAREST))[0].tolist()


draw = random.Random(1)
small = [(draw.randint(1, 120), draw.randint(1, 90)) for _ in range(60)]
large = [(2048, 1024), (1024, 2048), (1023, 777), (3999, 1001), (641, 1025), (720, 1025), (4096, 2049), (97, 4001)]
digest = lambda taken: sum((i + 1) * pixel for i, pixel in enumerate(taken))
document = {
    "small": [[size, resized, nearest(size, resized)] for size, resized in small],
    "large": [[size, resized, digest(nearest(size, resized))] for size, resized in large],
}
(HERE / "nearest.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
