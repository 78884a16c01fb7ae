"""An ONNX file behind LitServe: litserve_server.py FILE PORT BATCH."""

import sys

import litserve
from fastapi import UploadFile

from classifier import Classifier, prepare


class Images(litserve.LitAPI):
    def setup(self, device):
        self.classifier = Classifier(sys.argv[1])

    def decode_request(self, request: UploadFile):
        return prepare(request.file)

    def predict(self, images):
        if self.max_batch_size == 1:
            return self.classifier([images])[0]
        return self.classifier(images)

    def batch(self, inputs):
        return list(inputs)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"top": output}


if __name__ == "__main__":
    size = int(sys.argv[3])
    api = Images(max_batch_size=size, batch_timeout=0.0 if size == 1 else 0.002, api_path="/classify")
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning", access_log=False
    )
