"""Writes tensors.json: inputs of both protocols by Pillow 13.0.0, OpenCV 4.14.0 and NumPy 2.4.6.

The picture's levels are those of `level` below, which `tests/protocol.rs` repeats. Stored are the bits of some values of
each tensor, and a digest of all.

    python3 make_tensors.py > tensors.json
"""

import json

import cv2
import numpy as np
import PIL
from PIL import Image

assert (PIL.__version__, cv2.__version__, np.__version__) == ("13.0.0", "4.14.0", "2.4.6")


def picture(width, height):
    y, x, c = np.mgrid[:height, :width, :3]
    return ((x * 7 + y * 13 + c * 57 + (x * y) // 5) % 256).astype(np.uint8)


def fchardnet(rgb, width, height):
    rgb = np.array(Image.fromarray(rgb).resize((width, height)))
    bgr = rgb[:, :, ::-1].astype(np.float64)
    mean = [item * 255 for item in [0.406, 0.456, 0.485]]
    std = [item * 255 for item in [0.225, 0.224, 0.229]]
    return ((bgr - mean) / std).transpose(2, 0, 1).astype(np.float32)


def paddleseg(rgb, width, height):
    if rgb.shape[:2] != (height, width):
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    mean, std = np.array([0.5, 0.5, 0.5])[None, None], np.array([0.5, 0.5, 0.5])[None, None]
    image = rgb.astype(np.float32, copy=False) / 255.0
    image -= mean
    image /= std
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def case(name, protocol, source, size):
    tensor = np.ascontiguousarray(protocol(picture(*source), *size))
    assert tensor.dtype == np.float32
    bits = tensor.reshape(-1).view(np.uint32).astype(object)
    digest = 0
    for value in bits:
        digest = (digest * 1099511628211 + int(value)) % 2**64
    some = [int(value) for value in bits[:: max(1, len(bits) // 16)][:16]]
    return {"protocol": name, "source": source, "size": size, "some": some, "digest": digest}


sizes = [((40, 30), (40, 30)), ((41, 30), (64, 32)), ((64, 48), (32, 24)), ((97, 61), (50, 70)), ((3, 2), (8, 4))]
cases = [case("fchardnet", fchardnet, *each) for each in sizes] + [case("paddleseg", paddleseg, *each) for each in sizes]
print(json.dumps(cases, separators=(",", ":")))
