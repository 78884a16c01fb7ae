"""What the servers of Python do with an image: Pillow's pixels, ONNX Runtime on one thread, the five best classes."""

import numpy as np
import onnxruntime
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


def prepare(file):
    """An image file as a tensor [3, 224, 224]: the shorter side to 256 pixels, the middle, normalized."""
    return prepare_image(Image.open(file))


def prepare_image(image):
    image = image.convert("RGB")
    width, height = image.size
    short = min(width, height)
    size = (256, int(256 * height / short)) if width == short else (int(256 * width / short), 256)
    image = image.resize(size, Image.BILINEAR)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return (pixels.transpose(2, 0, 1) / np.float32(255) - MEAN) / STD


class Classifier:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def __call__(self, images):
        """The five best classes of each image, with their probabilities."""
        logits = self.session.run(None, {self.input: np.stack(images)})[0].astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found = powers / powers.sum(axis=1, keepdims=True)
        best = np.argsort(-found, axis=1)[:, :5]
        return [[{"index": int(i), "probability": float(row[i])} for i in order] for row, order in zip(found, best)]
