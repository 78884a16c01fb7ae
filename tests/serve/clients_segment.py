"""Programs that others wrote, as clients of a server that segments.

    python -m venv venv && venv/bin/pip install -r tests/serve/requirements.txt
    hardnet serve scenes=fc-hardnet70.safetensors --listen 127.0.0.1:8000 --grpc-listen 127.0.0.1:8001
    venv/bin/python tests/serve/clients_segment.py 127.0.0.1:8000,127.0.0.1:8001 IMAGE...

The class map of each image, read by Pillow out of the PNG of `POST /segment`, must be that of Triton's and KServe's
clients over HTTP and gRPC, and curl's shares of classes those of its pixels. schemathesis finds nothing in requests
that it makes from the OpenAPI document. Images should be small.
"""

import asyncio
import base64
import io
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
from clients import run_apart, with_schemathesis
from PIL import Image


def model_of(address):
    """The name of the one model."""
    request = urllib.request.Request(f"http://{address}/v2/repository/index", b"")
    with urllib.request.urlopen(request) as response:
        (model,) = json.load(response)
    return model["name"]


def plain(address, image):
    """The class map by `POST /segment`."""
    request = urllib.request.Request(f"http://{address}/segment", image, {"content-type": "image/png"})
    with urllib.request.urlopen(request) as response:
        assert response.headers["content-type"] == "image/png"
        found = Image.open(io.BytesIO(response.read()))
    assert found.mode == "P" and found.size == Image.open(io.BytesIO(image)).size
    return np.array(found)


def check_triton(triton, client, name, images, expected):
    for image, map in zip(images, expected):
        # Images of a request have one size.
        files = triton.InferInput("input", [2], "BYTES")
        files.set_data_from_numpy(np.array([image, image], dtype=np.object_))
        found = client.infer(name, [files]).as_numpy("classes")
        assert found.dtype == np.uint8 and np.array_equal(found, [map, map])
    outputs = [triton.InferRequestedOutput("classes", class_count=1)]
    try:
        client.infer(name, [files], outputs=outputs)
        raise AssertionError("classification of a class map is refused")
    except triton.InferenceServerException as error:
        print("  refused:", error)


def with_triton(address, name, images, expected):
    import tritonclient.http as triton

    client = triton.InferenceServerClient(address, network_timeout=60)
    metadata = client.get_model_metadata(name)
    assert metadata["inputs"] == [{"name": "input", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [{"name": "classes", "datatype": "UINT8", "shape": [-1, -1, -1]}]
    assert client.get_model_config(name)["output"][0]["data_type"] == "TYPE_UINT8"
    check_triton(triton, client, name, images, expected)
    files = triton.InferInput("input", [1], "BYTES")
    files.set_data_from_numpy(np.array([images[0]], dtype=np.object_))
    outputs = [triton.InferRequestedOutput("classes", binary_data=False)]
    assert np.array_equal(client.infer(name, [files], outputs=outputs).as_numpy("classes")[0], expected[0])


def with_triton_grpc(address, name, images, expected):
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(address)
    assert client.get_model_metadata(name).outputs[0].datatype == "UINT8"
    check_triton(triton, client, name, images, expected)


def with_kserve(address, name, images, expected):
    from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig

    async def run():
        client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
        for image, map in zip(images, expected):
            data = InferInput("input", [1], "BYTES", [base64.b64encode(image).decode()])
            response = await client.infer(f"http://{address}", InferRequest(name, [data]), model_name=name)
            assert np.array_equal(response.outputs[0].as_numpy()[0], map)

    asyncio.run(run())


def with_kserve_grpc(address, name, images, expected):
    from kserve import InferInput, InferRequest
    from kserve.inference_client import InferenceGRPCClient

    async def run():
        client = InferenceGRPCClient(url=address)
        for image, map in zip(images, expected):
            data = InferInput("input", [1], "BYTES")
            data.set_data_from_numpy(np.array([image], dtype=np.object_))
            response = await client.infer(InferRequest(name, [data]))
            assert np.array_equal(response.outputs[0].as_numpy()[0], map)

    asyncio.run(run())


def with_curl(address, paths, expected):
    command = ["curl", "-sS", "-H", "accept: application/json", f"http://{address}/segment"]
    for path in paths:
        command += ["-F", f"image=@{path}"]
    text = subprocess.run(command, check=True, capture_output=True).stdout
    images = json.loads(text)["images"]
    assert len(images) == len(expected)
    for found, map in zip(images, expected):
        assert (found["height"], found["width"]) == map.shape
        classes, pixels = np.unique(map, return_counts=True)
        shares = {area["index"]: area["share"] for area in found["areas"]}
        assert shares.keys() == set(classes.tolist())
        assert all(abs(shares[one] - count / map.size) < 1e-9 for one, count in zip(classes.tolist(), pixels))


def main():
    addresses, *paths = sys.argv[1:]
    address, grpc = addresses.split(",")
    name = model_of(address)
    images = [Path(path).read_bytes() for path in paths]
    expected = [plain(address, image) for image in images]
    run_apart(
        ("tritonclient", lambda: with_triton(address, name, images, expected)),
        ("tritonclient over gRPC", lambda: with_triton_grpc(grpc, name, images, expected)),
        ("kserve", lambda: with_kserve(address, name, images, expected)),
        ("kserve over gRPC", lambda: with_kserve_grpc(grpc, name, images, expected)),
        ("curl", lambda: with_curl(address, paths, expected)),
        ("schemathesis", lambda: with_schemathesis(address)),
    )


if __name__ == "__main__":
    main()
