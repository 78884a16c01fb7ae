"""Makes what tests/paddle.rs compares with: what PaddleClas and Paddle's transforms make of the same images.

    pip install opencv-python-headless==4.14.0.94 numpy paddlepaddle==3.3.1 pillow
    pip install --no-deps paddleclas==2.6.0
    python3 make_fixtures.py

writes `fixtures.json` beside itself. Images are noise by a formula that the Rust tests repeat. Tensors are stored as FNV-1a
hashes of their bytes. OpenCV computes without IPP, whose results depend on the processor.
"""

import ast
import importlib.metadata
import json
import math
import random
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import paddle.vision.transforms as transforms
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "opencv"))
from make_fixtures import fnv1a, noise

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def paddleclas_classes():
    """The transforms of PaddleClas's `deploy/python/preprocess.py`, without what the module imports for other tasks."""
    path = Path(find_spec("paddleclas").submodule_search_locations[0]) / "deploy" / "python" / "preprocess.py"
    wanted = {"UnifiedResize", "ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage"}
    tree = ast.parse(path.read_text())
    body = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in wanted]
    names = {"cv2": cv2, "np": np, "math": math, "Image": Image, "partial": partial, "random": random}
    exec(compile(ast.Module(body, []), str(path), "exec"), names)
    return names


def main():
    cv2.ipp.setUseIPP(False)
    classes = paddleclas_classes()
    cases = []
    sizes = [(40, 30), (30, 40), (33, 50), (50, 33), (64, 43), (43, 64), (32, 32), (101, 67), (29, 90), (200, 31), (35, 36)]
    sizes += [(64, 64), (128, 96), (17, 13), (500, 375)]
    for width, height in sizes:
        image = noise(width, height, 3)
        for resize, crop in ((32, 28), (32, 25), (48, 37)):
            steps = [
                classes["ResizeImage"](resize_short=resize),
                classes["CropImage"](crop),
                classes["NormalizeImage"](scale="1.0/255.0", mean=MEAN, std=STD, order=""),
                classes["ToCHWImage"](),
            ]
            tensor = image
            for step in steps:
                tensor = step(tensor)
            assert tensor.dtype == np.float32 and tensor.shape == (3, crop, crop)
            compose = transforms.Compose(
                [
                    transforms.Resize(resize, "bicubic"),
                    transforms.CenterCrop(crop),
                    transforms.ToTensor(),
                    transforms.Normalize(MEAN, STD),
                ]
            )
            # cv2.imread gives blue, green and red.
            notebook = np.asarray(compose(np.ascontiguousarray(image[:, :, ::-1])))
            assert notebook.dtype == np.float32 and notebook.shape == (3, crop, crop)
            case = {"from": [width, height], "resize": resize, "crop": crop}
            case["paddleclas"] = fnv1a(np.ascontiguousarray(tensor).tobytes())
            case["paddle-cv2"] = fnv1a(np.ascontiguousarray(notebook).tobytes())
            cases.append(case)
    versions = {name: importlib.metadata.version(name) for name in ("paddlepaddle", "paddleclas", "opencv-python-headless")}
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "fixtures.json").write_text(f'{{\n"versions": {json.dumps(versions)},\n"pipeline": [\n{lines}\n]\n}}\n')


if __name__ == "__main__":
    main()
