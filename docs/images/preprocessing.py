"""Draws the pictures of docs/preprocessing.md, of synthetic patterns and of the numbers in tests/parity/pipelines.json.

    pip install opencv-python-headless==4.14.0.94 numpy pillow==13.0.0
    python docs/images/preprocessing.py
"""

import json
import math

import cv2
import numpy as np
from drawing import HERE, Drawing
from PIL import Image, ImageDraw


def pillow(filter):
    return lambda image, size: np.asarray(Image.fromarray(image).resize(size, filter))


def opencv(method):
    return lambda image, size: cv2.resize(image, size, interpolation=method)


RESIZES = [
    ("Pillow, bilinear", pillow(Image.Resampling.BILINEAR), 0),
    ("OpenCV, linear", opencv(cv2.INTER_LINEAR), 1),
    ("Pillow, bicubic", pillow(Image.Resampling.BICUBIC), 0),
    ("OpenCV, cubic", opencv(cv2.INTER_CUBIC), 1),
    ("OpenCV, area", opencv(cv2.INTER_AREA), 1),
]


def weights(resize, source, target, index):
    """Weights of all input pixels in output pixel `index`, from what each of them alone changes."""
    found = np.zeros(source)
    for pixel in range(source):
        image = np.full((8, source), 100, np.uint8)
        image[:, pixel] = 250
        found[pixel] = (int(resize(image, (target, 8))[4, index]) - 100) / 150
    return found


def weights_picture():
    row, top, left, unit = 92, 96, 150, 22
    drawing = Drawing(820, top + row * len(RESIZES) + 10, "Input pixels in one output pixel, and their weights")
    for column, (source, target) in enumerate(((375, 256), (768, 256))):
        scale, index = source / target, 128
        center = (index + 0.5) * scale
        x0 = left + column * 340
        drawing.text(x0 + 154, 56, f"shrunk {scale:.2f} times", "middle strong")
        drawing.text(x0 + 154, 74, f"short side {source} to {target}", "middle note")
        first = math.floor(center) - 7
        for number, (name, resize, style) in enumerate(RESIZES):
            y = top + row * number + 72
            found = weights(resize, source, target, index)
            if column == 0:
                drawing.text(16, y - 24, name)
            for pixel in range(14):
                x = x0 + unit * pixel
                drawing.rect(x + 1, y + 1, unit - 2, 3, "band")
                height = 66 * found[first + pixel]
                if abs(height) > 0.3:
                    drawing.rect(x + 3, y - max(height, 0), unit - 6, abs(height), f"f{style}")
            drawing.line(x0, y, x0 + 14 * unit, y, "axis")
            x = x0 + unit * (center - first)
            drawing.line(x, y - 66, x, y + 5, "mark")
    drawing.save("preprocessing-weights.svg")


def zone_plate(side):
    """A quarter of rings whose frequency grows from 0 to half a wave for each pixel at the far side."""
    x = np.arange(side) + 0.5
    radius = x[None, :] ** 2 + x[:, None] ** 2
    wave = np.cos(np.pi * radius / (2 * side))
    return np.round(127.5 + 127.5 * np.where(radius < side**2, wave, 0)).astype(np.uint8)


def rings_picture():
    side, gap, head, label = 128, 8, 24, 18
    patterns = ((f"shrunk {scale:.2f} times", zone_plate(round(side * scale))) for scale in (375 / 256, 3))
    width = len(RESIZES) * (side + gap) + gap
    page = Image.new("L", (width, 2 * (side + head + label)), 255)
    draw = ImageDraw.Draw(page)
    for row, (title, pattern) in enumerate(patterns):
        y = row * (side + head + label)
        draw.text((gap, y + 6), title, fill=0)
        for column, (name, resize, _) in enumerate(RESIZES):
            x = gap + column * (side + gap)
            page.paste(Image.fromarray(resize(pattern, (side, side))), (x, y + head))
            draw.text((x, y + head + side + 2), name, fill=0)
    page.quantize(16).save(HERE / "preprocessing-rings.png", optimize=True)


def measured_picture():
    data = json.loads((HERE.parents[1] / "tests" / "parity" / "pipelines.json").read_text())
    steps = {step["step"]: step for step in data["steps"]}
    shown = [("OpenCV's linear", "OpenCV's linear interpolation"), ("OpenCV's area", "OpenCV's area"), ("pil-bicubic", "Pillow's bicubic")]
    title = f"Difference from Pillow's bilinear, {data['photographs']} photographs"
    drawing = Drawing(820, 400, title)
    left, right, top, bottom = 70, 800, 84, 350
    most = math.ceil(max(max(steps[name]["of_each"]) for name, _ in shown))
    low, high = 0.5, 5
    to_x = lambda scale: left + (right - left) * math.log(scale / low) / math.log(high / low)  # noqa: E731
    to_y = lambda level: bottom - (bottom - top) * level / most  # noqa: E731
    step = max(1, most // 6)
    for level in range(0, most + 1, step):
        drawing.line(left, to_y(level), right, to_y(level), "axis" if level == 0 else "grid")
        drawing.text(left - 8, to_y(level) + 4, level, "end note")
    for scale in (0.5, 1, 1.5, 2, 3, 4, 5):
        drawing.line(to_x(scale), bottom, to_x(scale), bottom + 5, "axis")
        drawing.text(to_x(scale), bottom + 20, scale, "middle note")
    drawing.text((left + right) / 2, bottom + 40, "short side of the photograph / 256: above 1 it is shrunk", "middle")
    drawing.text(16, 72, "levels, mean of 224x224 pixels", "note")
    for number, (name, text) in enumerate(shown):
        drawing.circle(left + 12 + 240 * number, 46, 4.5, f"f{number}")
        drawing.text(left + 24 + 240 * number, 50, text)
        for scale, level in zip(data["scales"], steps[name]["of_each"], strict=True):
            drawing.circle(to_x(scale), to_y(level), 3.5, f"f{number}")
    drawing.save("preprocessing-measured.svg")


def orientations_picture():
    """How the pixels of an upright letter are stored for each value of EXIF's orientation."""
    letter = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]])
    flip, up = np.fliplr(letter), np.flipud(letter)
    stored = [letter, flip, np.rot90(letter, 2), up, letter.T, np.rot90(letter, 1), np.rot90(letter, 2).T, np.rot90(letter, -1)]
    drawing = Drawing(820, 190, "Pixels as they are stored, for each orientation of an upright F")
    unit, cell = 14, 98
    for number, pixels in enumerate(stored):
        x0, y0 = 24 + cell * number, 56
        rows, columns = pixels.shape
        x = x0 + (cell - 16 - unit * columns) / 2
        y = y0 + (unit * 6 - unit * rows) / 2
        for row, column in zip(*np.nonzero(pixels)):
            drawing.rect(x + unit * column, y + unit * row, unit, unit, "letter")
        drawing.rect(x - 5, y - 5, unit * columns + 10, unit * rows + 10, "frame")
        drawing.text(x0 + (cell - 16) / 2, 168, number + 1, "middle strong")
    drawing.save("preprocessing-orientations.svg")


weights_picture()
rings_picture()
orientations_picture()
measured_picture()
