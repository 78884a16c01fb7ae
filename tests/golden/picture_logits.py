"""What ONNX Runtime makes of one picture prepared by Pillow, for all four networks: writes picture_logits.json.

    pip install numpy pillow onnx onnxruntime
    python picture_logits.py > picture_logits.json

The picture is a formula, so that a test makes the same one. Pillow resizes its short side to 256 (bilinear) and cuts 224
from the middle; networks and weights by build_onnx.py. Made with Pillow 13.0.0, ONNX Runtime 1.32.0.
"""

import json

import build_onnx
import numpy as np
import onnxruntime
from PIL import Image

WIDTH, HEIGHT, RESIZE, CROP = 331, 281, 256, 224


def picture():
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    return ((3 * x * x + 5 * y * y + 7 * x * y * c) // 64 % 256).astype(np.uint8)


def tensor():
    image = Image.fromarray(picture())
    long = int(RESIZE * WIDTH / HEIGHT)
    image = image.resize((long, RESIZE), Image.BILINEAR)
    left, top = round((long - CROP) / 2), round((RESIZE - CROP) / 2)
    x = np.asarray(image.crop((left, top, left + CROP, top + CROP)), np.float32) / np.float32(255)
    x = (x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    return x.transpose(2, 0, 1)[None]


logits = {}
for model in build_onnx.VARIANTS:
    session = onnxruntime.InferenceSession(build_onnx.build(model).SerializeToString(), providers=["CPUExecutionProvider"])
    logits[model] = [round(float(v), 6) for v in session.run(None, {"x": tensor()})[0][0]]
print(json.dumps(logits))
