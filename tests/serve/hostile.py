"""Clients that do a server harm, against servers that this script starts. Needs Python, and openssl for
one of them.

    cargo build --release -p hardnet-cli --features serve
    python tests/serve/hostile.py target/release/hardnet

Slow and silent clients, long headers, bodies that are cut off, random, or compressed images of billions of pixels, and
requests of the protocol with wrong lengths: each must get its status, or be closed in time, while others are answered.
kill -9 and SIGTERM come after that, and ten thousand silent connections of each kind. Prints what it measures: memory
is the largest resident set.
"""

import atexit
import base64
import json
import random
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import zlib

MODEL = "hardnet39ds.fashion_mnist"

# Silent connections.
COUNT = 10_000


class Server:
    """A server of the demonstration's network on a free port."""

    def __init__(self, program, *arguments, authority=None):
        """`authority` is the certificate of a server that encrypts."""
        command = [program, "-q", "serve", MODEL, "--listen", "127.0.0.1:0", *arguments]
        self.begun = time.monotonic()
        self.tls = ssl.create_default_context(cafile=authority) if authority else None
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        if "--grpc-listen" in arguments:
            self.grpc_port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        while self.request("GET", "/v2/health/ready")[0] != 200:
            time.sleep(0.005)
        self.seconds = time.monotonic() - self.begun

    def connect(self, seconds=60):
        connection = socket.create_connection(("127.0.0.1", self.port), seconds)
        return self.tls.wrap_socket(connection, server_hostname="127.0.0.1") if self.tls else connection

    def exchange(self, *parts, pause=0.0):
        """Sends `parts`, and returns status and body, or None where the connection ends without an answer."""
        with self.connect() as connection:
            try:
                for part in parts:
                    connection.sendall(part)
                    time.sleep(pause)
            except (BrokenPipeError, ConnectionResetError):
                pass
            received = b""
            try:
                while part := connection.recv(1 << 16):
                    received += part
            except ConnectionResetError:
                pass
        if not received:
            return None, b""
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body

    def request(self, method, path, body=b"", content_type="image/png", headers=""):
        return self.exchange(head(method, path, len(body), content_type, headers) + body)

    def memory(self):
        """MiB of the largest resident set so far, and of that of now."""
        lines = dict(line.split(":", 1) for line in open(f"/proc/{self.process.pid}/status"))
        return [int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS")]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(40)


def head(method, path, length, content_type="image/png", headers=""):
    text = f"{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: {content_type}\r\n"
    return f"{text}content-length: {length}\r\n{headers}\r\n".encode()


def png(width, height, rows=None):
    """A gray PNG; its data has `rows` rows, all of them by default."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(squeeze.compress(row) for _ in range(height if rows is None else rows)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def statuses(server):
    """Requests that are wrong, each with the statuses that are right."""
    good = png(28, 28)
    infer = f"/v2/models/{MODEL}/infer"

    def tensor(shape, data, kind="FP32"):
        return json.dumps({"inputs": [{"name": "input", "datatype": kind, "shape": shape, "data": data}]}).encode()

    def binary(size, length, sent):
        text = json.dumps(
            {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}}]}
        ).encode()
        body = text + struct.pack("<I", length) + bytes(sent)
        extra = f"Inference-Header-Content-Length: {len(text)}\r\n"
        return server.request("POST", infer, body, "application/octet-stream", extra)

    yield "a good image", server.request("POST", "/classify", good), [200]
    yield "an image cut off", server.request("POST", "/classify", good[:60]), [422]
    yield "an image of 2,500 million pixels", server.request("POST", "/classify", png(50_000, 50_000, 1)), [422]
    yield "an image of 49 million pixels in 48 KB", server.request("POST", "/classify", png(7_000, 7_000)), [200]
    yield "no image", server.request("POST", "/classify"), [422]
    yield "17 MiB", server.request("POST", "/classify", bytes(17 << 20)), [413]
    yield "a length of 2^63", server.exchange(head("POST", "/classify", 1 << 63)), [413]
    yield "two lengths", server.request("POST", "/classify", good, headers="content-length: 1\r\n"), [400]
    yield "gzip", server.request("POST", "/classify", good, headers="content-encoding: gzip\r\n"), [415]
    yield "a megabyte of headers", server.request("GET", "/v2", headers=f"x: {'a' * 1_000_000}\r\n"), [431]
    yield "a thousand headers", server.request("GET", "/v2", headers="a: b\r\n" * 1000), [431]
    yield "bytes that are not HTTP", server.exchange(b"\x16\x03\x01\x02\x00\x01\r\n\r\n"), [400, None]
    yield "a body of half its length", server.exchange(head("POST", "/classify", 1000) + b"abc"), [408]
    yield "deep JSON", server.request("POST", infer, b"[" * 100_000, "application/json"), [400, 422]
    yield "a shape of 2^62", server.request("POST", infer, tensor([1 << 31, 1 << 31], [1]), "application/json"), [400]
    yield "a shape of zero", server.request("POST", infer, tensor([0, 3, 64, 64], []), "application/json"), [400]
    yield "data that are too short", server.request("POST", infer, tensor([1, 3, 64, 64], [1]), "application/json"), [400]
    huge = tensor([1, 3, 64, 64], [0] * (3 * 64 * 64)).replace(b"0]", b"1e39]")
    yield "a number that is infinite in f32", server.request("POST", infer, huge, "application/json"), [400, 422]
    yield "a binary tensor of 2^32 - 1 bytes", binary(8, (1 << 32) - 1, 4), [400]
    yield "a binary size of 2^63", binary(1 << 63, 4, 4), [400]
    yield "base64 that is none", server.request("POST", "/classify", b'{"image": "%%"}', "application/json"), [400, 422]
    bad = b"--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nabc"
    yield "a form without an end", server.request("POST", "/classify", bad, "multipart/form-data; boundary=b"), [400, 422]
    yield "another path", server.request("GET", "/../../etc/passwd"), [404]
    yield "another method", server.request("DELETE", "/classify"), [405]


def randomly(server, count=3000):
    """Changed bytes in good requests: no status of the server's own fault, and it goes on."""
    source = random.Random(1)
    image = base64.b64encode(png(28, 28)).decode()
    forms = [
        ("/classify", "image/png", png(28, 28)),
        ("/classify", "application/json", json.dumps({"images": [image, image], "topk": 3}).encode()),
        (
            f"/v2/models/{MODEL}/infer",
            "application/json",
            json.dumps(
                {"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1], "data": [image]}]}
            ).encode(),
        ),
    ]
    seen = {}
    for _ in range(count):
        path, content_type, body = source.choice(forms)
        body = bytearray(body)
        for _ in range(source.randint(1, 8)):
            body[source.randrange(len(body))] = source.randrange(256)
        body = bytes(body[: source.randint(0, len(body))] if source.random() < 0.3 else body)
        status, _ = server.request("POST", path, body, content_type)
        seen[status] = seen.get(status, 0) + 1
    assert all(status in (200, 400, 422) for status in seen), seen
    return seen


def idle(program):
    """Ten thousand connections that say nothing, where more are allowed; the request among them."""
    server = Server(program, "--max-connections", "20000")
    before = server.memory()[1]
    held = [server.connect() for _ in range(COUNT)]
    begun = time.monotonic()
    assert server.request("POST", "/classify", png(28, 28))[0] == 200
    answered, after = time.monotonic() - begun, server.memory()[1]
    print(f"{COUNT} silent connections: {after - before:.0f} MiB more, a request among them took {1000 * answered:.0f} ms")
    assert after - before < 200 and answered < 1
    for connection in held:
        connection.close()
    server.stop()


def say(connection, text, answer=False):
    """Sends `text`, and reads an answer if one is awaited. Connections that made room for others are closed."""
    try:
        connection.sendall(text)
        if answer:
            connection.recv(1 << 16)
    except (BrokenPipeError, ConnectionResetError):
        pass


def closed_for_others(server):
    text = server.request("GET", "/metrics")[1].decode()
    return int(text.split("\nhardnet_connections_closed_total ")[1].split("\n")[0])


def flood(program, limit, count, identity):
    """Silent connections of each kind, far more than are allowed: each is accepted, and so is a request after them."""
    settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    live = b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n"
    hello = b"\x16\x03\x01\x02\x00\x01"
    options = ["--max-connections", str(limit), "--grpc-listen", "127.0.0.1:0"]
    for name, port, text, secure in (
        ("say nothing", "port", b"", False),
        ("send half of their headers", "port", b"GET /v2 HTTP/1.1\r\nhost:", False),
        ("send half of their body", "port", head("POST", "/classify", 100) + b"a" * 50, False),
        ("stay open after an answer", "port", live, False),
        ("have no call of gRPC", "grpc_port", settings, False),
        ("begin a TLS handshake", "port", hello, True),
    ):
        if secure and identity is None:
            print(f"those that {name} are left out: openssl is missing")
            continue
        secrets = ["--tls-cert", identity[0], "--tls-key", identity[1]] if secure else []
        server = Server(program, *options, *secrets, authority=identity[0] if secure else None)
        held, longest = [], 0
        for _ in range(count):
            begun = time.monotonic()
            held.append(socket.create_connection(("127.0.0.1", getattr(server, port)), 60))
            longest = max(longest, time.monotonic() - begun)
            say(held[-1], text, text == live)
        begun = time.monotonic()
        status = server.request("POST", "/classify", png(28, 28))[0]
        answered = time.monotonic() - begun
        # Those of another port may still wait to be accepted.
        while (closed := closed_for_others(server)) < count - limit and time.monotonic() < begun + 30:
            time.sleep(0.1)
        print(
            f"{count} connections that {name} where {limit} are allowed: accepted within {1000 * longest:.0f} ms, "
            f"a request after them took {1000 * answered:.0f} ms, {closed} closed, {server.memory()[1]:.0f} MiB"
        )
        assert status == 200
        # A connection that finds the listen queue full tries again after 1 s, and then after 2 s.
        assert longest < 3.5 and answered < 3.5, (longest, answered)
        assert closed >= count - limit, closed
        for connection in held:
            connection.close()
        server.stop()


def make_identity(folder):
    """A certificate of 127.0.0.1 that signs itself, and its key; None without openssl."""
    if not shutil.which("openssl"):
        return None
    certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def slow(server):
    """A client that sends a byte of its headers each second is closed in time."""
    begun, text = time.monotonic(), b"GET /v2 HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 100
    with server.connect() as connection:
        try:
            for byte in text:
                connection.sendall(bytes([byte]))
                connection.settimeout(1)
                try:
                    if connection.recv(1000):
                        break
                    break
                except TimeoutError:
                    continue
        except (BrokenPipeError, ConnectionResetError):
            pass
    seconds = time.monotonic() - begun
    print(f"slow headers: closed after {seconds:.0f} s")
    assert 25 < seconds < 40


def main():
    (program,) = sys.argv[1:]
    server = Server(program)
    first = server.memory()[0]
    for name, (status, body), expected in statuses(server):
        print(f"{name}: {status} {body[:100].decode(errors='replace')}")
        assert status in expected, f"{name}: {status}, expected one of {expected}"
    print("random changes, statuses:", randomly(server))
    most = server.memory()[0]
    print(f"memory: {first:.0f} MiB at the start, {most:.0f} MiB at most")
    assert most < 700
    slow(server)
    assert server.request("POST", "/classify", png(28, 28))[0] == 200
    server.stop(signal.SIGKILL)
    server = Server(program)
    assert server.request("POST", "/classify", png(28, 28))[0] == 200
    seconds = time.monotonic() - server.begun
    print(f"after kill -9: answers {seconds:.2f} s after the start")
    assert seconds < 1
    assert server.stop() == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < COUNT + 100:
        print(f"{COUNT} connections are left out: this system allows {hard} files")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle(program)
    with tempfile.TemporaryDirectory() as folder:
        identity = make_identity(folder)
        flood(program, 4096, COUNT, identity)
        flood(program, 8, 1000, identity)


if __name__ == "__main__":
    main()
