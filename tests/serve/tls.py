"""Connects to a server over TLS, with curl and Triton's clients.

    python -m venv venv && venv/bin/pip install -r tests/serve/requirements.txt
    venv/bin/python tests/serve/tls.py target/debug/hardnet IMAGE

openssl makes a certificate of 127.0.0.1 that signs itself. The answer must be that of a connection without TLS, and
clients that do not trust the certificate, or do not encrypt, get none.
"""

import atexit
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MODEL = "hardnet39ds.fashion_mnist"


def serve(program, *arguments):
    """A server, which ends with this program, and the addresses that it prints."""
    options = ["--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "-q"]
    server = subprocess.Popen([program, "serve", MODEL, *options, *arguments], stdout=subprocess.PIPE, text=True)
    atexit.register(server.kill)
    return server, [server.stdout.readline().split()[-1] for _ in range(2)]


def curl(url, *arguments):
    found = subprocess.run(["curl", "-sS", *arguments, url], capture_output=True)
    return found.returncode, found.stdout


def wait_until_ready(address, *arguments):
    while curl(f"{address}/v2/health/ready", "-f", *arguments)[0]:
        time.sleep(0.1)


def make_identity(folder):
    certificate, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def main():
    program, image = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = make_identity(Path(folder))
        plain, (address, _) = serve(program)
        query = "/classify?logits=true"
        post = ["--data-binary", f"@{image}", "-H", "content-type: image/png"]
        wait_until_ready(address)
        code, expected = curl(address + query, *post)
        assert code == 0
        plain.terminate()
        server, (address, grpc_address) = serve(program, "--tls-cert", certificate, "--tls-key", key)
        assert address.startswith("https://") and grpc_address.startswith("grpcs://")
        wait_until_ready(address, "--cacert", certificate)
        for version in ("1.2", "1.3"):
            found = curl(address + query, *post, "--cacert", certificate, f"--tlsv{version}", "--tls-max", version)
            assert found == (0, expected), found
        assert curl(address + query, *post)[0] == 60, "curl does not trust the certificate"
        assert curl(address.replace("https", "http") + query, *post)[0] != 0
        print("curl agrees")

        import tritonclient.grpc as triton

        host = grpc_address.removeprefix("grpcs://")
        client = triton.InferenceServerClient(host, ssl=True, root_certificates=str(certificate))
        assert client.is_server_ready()
        data = triton.InferInput("input", [1], "BYTES")
        data.set_data_from_numpy(np.array([Path(image).read_bytes()], dtype=np.object_))
        logits = json.loads(expected)["images"][0]["logits"]
        assert np.array_equal(client.infer(MODEL, [data]).as_numpy("logits")[0], np.array(logits, np.float32))
        print("tritonclient over gRPC agrees")
        server.terminate()
        assert server.wait(30) == 0


if __name__ == "__main__":
    main()
