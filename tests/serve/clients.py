"""Programs that others wrote, as clients of a server that runs.

    python -m venv venv && venv/bin/pip install -r tests/serve/requirements.txt
    hardnet serve hardnet39ds.fashion_mnist --embed --listen 127.0.0.1:8000 --grpc-listen 127.0.0.1:8001
    venv/bin/python tests/serve/clients.py 127.0.0.1:8000,127.0.0.1:8001 IMAGE...

Triton's clients, KServe's and curl must get the same logits, bit for bit, over HTTP and gRPC, and so must calls that
are made of what server reflection says alone. schemathesis finds nothing in requests that it makes from the OpenAPI
document. Without curl, that part is left out.
"""

import asyncio
import base64
import json
import multiprocessing
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np

MODEL = "hardnet39ds.fashion_mnist"


def plain(address, image):
    """The logits by `POST /classify`."""
    request = urllib.request.Request(
        f"http://{address}/classify?logits=true&topk=3", image, {"content-type": "image/png"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["images"][0]


def with_triton(address, images, expected):
    import tritonclient.http as triton

    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    assert client.get_server_metadata()["name"] == "hardnet"
    metadata = client.get_model_metadata(MODEL)
    assert metadata["name"] == MODEL and client.get_model_config(MODEL)["name"] == MODEL
    assert client.get_model_repository_index()[0]["state"] == "READY"
    logits = np.array([found["logits"] for found in expected], np.float32)

    files = triton.InferInput("input", [len(images)], "BYTES")
    files.set_data_from_numpy(np.array(images, dtype=np.object_))
    found = client.infer(MODEL, [files], request_id="7")
    assert found.get_response()["id"] == "7"
    assert np.array_equal(found.as_numpy("logits"), logits)
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("logits", binary_data=binary)]
        assert np.array_equal(client.infer(MODEL, [files], outputs=outputs).as_numpy("logits"), logits)
    outputs = [triton.InferRequestedOutput("probabilities", class_count=3)]
    classes = client.infer(MODEL, [files], outputs=outputs).as_numpy("probabilities")
    for row, image in zip(classes, expected):
        for text, top in zip(row, image["top"]):
            value, index, name = text.decode().split(":")
            assert (int(index), name) == (top["index"], top["name"])
            assert abs(float(value) - top["probability"]) < 1e-6

    shape = metadata["inputs"][0]["shape"]
    tensor = np.random.default_rng(0).standard_normal([2, *shape[1:]], np.float32)
    results = []
    for binary in (True, False):
        data = triton.InferInput("input", tensor.shape, "FP32")
        data.set_data_from_numpy(tensor, binary_data=binary)
        results.append(client.infer(MODEL, [data]).as_numpy("logits"))
    assert np.array_equal(*results)
    asynchronous = [client.async_infer(MODEL, [data]) for _ in range(4)]
    assert all(np.array_equal(one.get_result().as_numpy("logits"), results[0]) for one in asynchronous)
    for change in ({"name": "none"}, {"shape": [1, 2]}, {"compression": "gzip"}):
        data = triton.InferInput(change.get("name", "input"), change.get("shape", tensor.shape), "FP32")
        data.set_data_from_numpy(np.zeros(change.get("shape", tensor.shape), np.float32))
        try:
            client.infer(MODEL, [data], request_compression_algorithm=change.get("compression"))
            raise AssertionError(f"{change} is refused")
        except triton.InferenceServerException as error:
            print("  refused:", error)


def with_kserve(address, images, expected):
    from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig

    async def run():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        base = f"http://{address}"
        assert await client.is_server_live(base) and await client.is_server_ready(base)
        assert await client.is_model_ready(base, MODEL)
        assert not await client.is_model_ready(base, "none")
        for image, found in zip(images, expected):
            text = base64.b64encode(image).decode()
            data = InferInput("input", [1], "BYTES", [text])
            response = await client.infer(base, InferRequest(MODEL, [data]), model_name=MODEL)
            outputs = {output.name: output.as_numpy() for output in response.outputs}
            assert np.array_equal(outputs["logits"][0], np.array(found["logits"], np.float32))
        for binary in (True, False):
            tensor = np.zeros((1, 3, *shape_of(address)), np.float32)
            data = InferInput("input", list(tensor.shape), "FP32")
            data.set_data_from_numpy(tensor, binary_data=binary)
            response = await client.infer(base, InferRequest(MODEL, [data]), model_name=MODEL)
            assert response.outputs[0].as_numpy().shape == (1, 10)

    asyncio.run(run())


def with_triton_grpc(address, images, expected):
    import grpc
    import tritonclient.grpc as triton

    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    assert client.get_server_metadata().name == "hardnet"
    metadata = client.get_model_metadata(MODEL)
    assert metadata.name == MODEL and metadata.inputs[0].name == "input"
    logits = np.array([found["logits"] for found in expected], np.float32)

    files = triton.InferInput("input", [len(images)], "BYTES")
    files.set_data_from_numpy(np.array(images, dtype=np.object_))
    found = client.infer(MODEL, [files], request_id="7", client_timeout=30)
    assert found.get_response().id == "7"
    assert np.array_equal(found.as_numpy("logits"), logits)
    outputs = [triton.InferRequestedOutput("probabilities", class_count=3)]
    classes = client.infer(MODEL, [files], outputs=outputs).as_numpy("probabilities")
    for row, image in zip(classes, expected):
        found = [text.decode().split(":")[1:] for text in row]
        assert found == [[str(top["index"]), top["name"]] for top in image["top"]]
    tensor = np.zeros([2, *metadata.inputs[0].shape[1:]], np.float32)
    data = triton.InferInput("input", tensor.shape, "FP32")
    data.set_data_from_numpy(tensor)
    rows = client.infer(MODEL, [data]).as_numpy("logits")
    assert np.array_equal(rows[0], rows[1])
    results = []
    calls = [client.async_infer(MODEL, [files], callback=lambda result, error: results.append((result, error)))]
    while len(results) < len(calls):
        pass
    assert results[0][1] is None and np.array_equal(results[0][0].as_numpy("logits"), logits)
    for change, status in (
        ({"model_name": "none"}, "NOT_FOUND"),
        ({"model_version": "9"}, "NOT_FOUND"),
        # Refused at once where images of the call before are still in the queue.
        ({"timeout": 1}, ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")),
        ({"outputs": [triton.InferRequestedOutput("none")]}, "INVALID_ARGUMENT"),
        ({"compression_algorithm": "gzip"}, "UNIMPLEMENTED"),
    ):
        try:
            client.infer(**{"model_name": MODEL, "inputs": [files], **change})
            raise AssertionError(f"{change} is refused")
        except triton.InferenceServerException as error:
            allowed = [f"StatusCode.{one}" for one in ([status] if isinstance(status, str) else status)]
            assert error.status() in allowed, (change, error)

    # gRPC's health protocol: an empty request, and status 1 for a server that is ready.
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=10) == b"\x08\x01"


def with_kserve_grpc(address, images, expected):
    from kserve import InferInput, InferRequest
    from kserve.inference_client import InferenceGRPCClient

    async def run():
        client = InferenceGRPCClient(url=address)
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready(MODEL)
        for image, found in zip(images, expected):
            data = InferInput("input", [1], "BYTES")
            data.set_data_from_numpy(np.array([image], dtype=np.object_))
            response = await client.infer(InferRequest(MODEL, [data]))
            outputs = {output.name: output.as_numpy() for output in response.outputs}
            assert np.array_equal(outputs["logits"][0], np.array(found["logits"], np.float32))

    asyncio.run(run())


def with_reflection(address, images, expected):
    import grpc
    from google.protobuf import descriptor_pool
    from google.protobuf.message_factory import GetMessageClass
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]
        names += ["grpc.reflection.v1alpha.ServerReflection", "inference.GRPCInferenceService"]
        assert sorted(database.get_services()) == names
        pool = descriptor_pool.DescriptorPool(database)
        services = {name: pool.FindServiceByName(name) for name in names}

        def call(service, method, **fields):
            found = services[service].methods_by_name[method]
            request, response = GetMessageClass(found.input_type), GetMessageClass(found.output_type)
            kind = channel.stream_stream if found.client_streaming else channel.unary_unary
            stub = kind(f"/{service}/{method}", request.SerializeToString, response.FromString)
            return stub(iter([request(**fields)]) if found.client_streaming else request(**fields), timeout=30)

        inference = names[3]
        assert call(inference, "ServerLive").live and call(names[0], "Check").status == 1
        for image, found in zip(images, expected):
            contents = {"bytes_contents": [image]}
            data = {"name": "input", "datatype": "BYTES", "shape": [1], "contents": contents}
            response = call(inference, "ModelInfer", model_name=MODEL, inputs=[data], outputs=[{"name": "logits"}])
            logits = np.array(response.outputs[0].contents.fp32_contents, np.float32)
            assert np.array_equal(logits, np.array(found["logits"], np.float32))
        # The newer version, as its own descriptor says.
        (listed,) = call(names[1], "ServerReflectionInfo", list_services="")
        assert sorted(service.name for service in listed.list_services_response.service) == names
        for symbol in ("inference.ModelInferRequest.InferInputTensor", "inference.InferParameter"):
            assert pool.FindMessageTypeByName(symbol).full_name == symbol
        for find in (
            lambda: pool.FindFileByName("none.proto"),
            lambda: database.FindFileContainingSymbol("inference.None"),
            lambda: database.FindAllExtensionNumbers("inference.ModelInferRequest"),
        ):
            try:
                find()
                raise AssertionError("there is none")
            except KeyError:
                pass


def shape_of(address):
    with urllib.request.urlopen(f"http://{address}/v2/models/{MODEL}") as response:
        return json.load(response)["inputs"][0]["shape"][2:]


def with_curl(address, path, expected):
    url = f"http://{address}/classify?logits=true&topk=3"
    for arguments in (
        ["--data-binary", f"@{path}", "-H", "content-type: image/png"],
        ["--data-binary", f"@{path}"],
        ["-F", f"image=@{path}"],
        ["-T", str(path), "-X", "POST"],
        ["-F", f"image=@{path}", "-H", "Expect: 100-continue"],
    ):
        text = subprocess.run(["curl", "-sS", *arguments, url], check=True, capture_output=True).stdout
        assert json.loads(text)["images"][0] == expected, (arguments, text)


def with_schemathesis(address):
    program = Path(sys.executable).with_name("schemathesis")
    settings = Path(__file__).with_name("schemathesis.toml")
    options = ["--max-examples", "30", "--seed", "1", "--generation-database", "none"]
    document = f"http://{address}/openapi.json"
    subprocess.run([program, "--config-file", settings, "run", document, *options], check=True)


def run_apart(*clients):
    """Runs clients, functions after their names, each in a process of its own: clients of gRPC register the
    protocol's messages under the same names."""
    for name, run in clients:
        if name == "curl" and not shutil.which("curl"):
            continue
        process = multiprocessing.get_context("fork").Process(target=run)
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"{name} fails")
        print(name, "agrees", flush=True)


def main():
    addresses, *paths = sys.argv[1:]
    address, grpc = addresses.split(",")
    images = [Path(path).read_bytes() for path in paths]
    expected = [plain(address, image) for image in images]
    run_apart(
        ("tritonclient", lambda: with_triton(address, images, expected)),
        ("tritonclient over gRPC", lambda: with_triton_grpc(grpc, images, expected)),
        ("kserve", lambda: with_kserve(address, images, expected)),
        ("kserve over gRPC", lambda: with_kserve_grpc(grpc, images, expected)),
        ("grpcio-reflection", lambda: with_reflection(grpc, images, expected)),
        ("curl", lambda: [with_curl(address, *one) for one in zip(paths, expected)]),
        ("schemathesis", lambda: with_schemathesis(address)),
    )


if __name__ == "__main__":
    main()
