"""An ONNX file behind BentoML, with the file and the size of batches in ONNX_FILE and BATCH.

    bentoml serve bentoml_server:Images --port PORT
"""

import os

import bentoml
from PIL.Image import Image

from classifier import Classifier, prepare_image

BATCH = int(os.environ["BATCH"])


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Images:
    def __init__(self):
        self.classifier = Classifier(os.environ["ONNX_FILE"])

    if BATCH == 1:

        @bentoml.api(route="/classify")
        def classify(self, image: Image) -> dict:
            return {"top": self.classifier([prepare_image(image)])[0]}

    else:

        @bentoml.api(route="/classify", batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
        def classify(self, image: list[Image]) -> list[dict]:
            return [{"top": top} for top in self.classifier([prepare_image(one) for one in image])]
