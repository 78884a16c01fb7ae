"""An ONNX file behind Triton, by pytriton: triton_server.py FILE PORT BATCH.

The wheel of pytriton brings Triton itself; its backend needs a Python of the minor version's first releases, such as
Debian's 3.11.2.
"""

import io
import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from classifier import Classifier, prepare

FILE, PORT, BATCH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
classifier = Classifier(FILE)


@batch
def classify(image):
    found = classifier([prepare(io.BytesIO(row[0])) for row in image])
    return {
        "index": np.array([[one["index"] for one in top] for top in found], np.int32),
        "probability": np.array([[one["probability"] for one in top] for top in found], np.float32),
    }


if __name__ == "__main__":
    config = TritonConfig(http_port=PORT, grpc_port=PORT + 1, metrics_port=PORT + 2, http_thread_count=2)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="classify",
            infer_func=classify,
            inputs=[Tensor(name="image", dtype=np.bytes_, shape=(1,))],
            outputs=[Tensor(name="index", dtype=np.int32, shape=(5,)), Tensor(name="probability", dtype=np.float32, shape=(5,))],
            config=ModelConfig(max_batch_size=BATCH),
        )
        triton.serve()
