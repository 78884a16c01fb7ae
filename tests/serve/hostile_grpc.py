"""Malicious clients of gRPC: random bytes and frames, claims of long messages, resets, floods, silence.

    hardnet serve hardnet39ds.fashion_mnist --listen 127.0.0.1:8000 --grpc-listen 127.0.0.1:8001 -q &
    python tests/serve/hostile_grpc.py 127.0.0.1:8000 127.0.0.1:8001 PID [SECONDS]

The server must stay below 100 MiB with eight such clients, and be ready afterwards. Standard library only.
"""

import os
import random
import socket
import struct
import sys
import threading
import time
import urllib.request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LIMIT = 100


def frame(kind, flags, stream, content):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def header(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call(path):
    fields = {b":method": b"POST", b":scheme": b"http", b":path": path, b":authority": b"a"}
    fields |= {b"content-type": b"application/grpc", b"te": b"trailers"}
    return b"".join(header(name, value) for name, value in fields.items())


CALL = call(b"/inference.GRPCInferenceService/ModelInfer")
METADATA = call(b"/inference.GRPCInferenceService/ServerMetadata")
REFLECTION = call(b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")

# A request of reflection: the file of a symbol.
SYMBOL = b"\0\0\0\0\x20\x22\x1einference.GRPCInferenceService"


def begin(number, headers=CALL):
    return frame(1, 4, 2 * number + 1, headers)


def message(generator):
    content = generator.randbytes(generator.randrange(300))
    return b"\0" + struct.pack(">I", len(content)) + content


ATTACKS = {
    "random bytes": lambda r: r.randbytes(r.randrange(200)),
    "random frames": lambda r: b"".join(
        frame(r.randrange(12), r.randrange(256), r.randrange(9), r.randbytes(r.randrange(60))) for _ in range(20)
    ),
    "long messages that do not come": lambda r: b"".join(
        begin(i) + frame(0, 0, 2 * i + 1, b"\0\0\xff\xff\xff") for i in range(120)
    ),
    "calls that are reset": lambda r: b"".join(begin(i) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(300)),
    "headers without end": lambda r: frame(1, 0, 1, CALL)
    + b"".join(frame(9, 0, 1, header(b"x%d" % i, b"y" * 100)) for i in range(400)),
    "random messages": lambda r: b"".join(begin(i) + frame(0, 1, 2 * i + 1, message(r)) for i in range(30)),
    "answers that are not read": lambda r: frame(4, 0, 0, b"\0\4\0\0\0\0")
    + b"".join(begin(i, METADATA) + frame(0, 1, 2 * i + 1, bytes(5)) for i in range(120)),
    "reflection that is not read": lambda r: frame(4, 0, 0, b"\0\4\0\0\0\1")
    + b"".join(begin(i, REFLECTION) + frame(0, 0, 2 * i + 1, SYMBOL * 100) for i in range(100)),
    "random reflection": lambda r: b"".join(
        begin(i, REFLECTION) + frame(0, r.randrange(2), 2 * i + 1, SYMBOL + message(r)) for i in range(30)
    ),
    "pings and settings": lambda r: frame(6, 0, 0, b"12345678") * 500 + frame(4, 0, 0, b"") * 500,
}


def attack(address, seed, end, counts):
    generator = random.Random(seed)
    while time.time() < end:
        name = generator.choice(list(ATTACKS))
        content = ATTACKS[name](generator)
        if name != "random bytes":
            content = PREFACE + frame(4, 0, 0, b"") + content
        counts[name] = counts.get(name, 0) + 1
        try:
            with socket.create_connection(address, 5) as connection:
                connection.settimeout(0.05)
                connection.sendall(content)
                while connection.recv(1 << 16):
                    pass
        except OSError:
            pass


def main():
    http, grpc, process = sys.argv[1:4]
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 30
    host, port = grpc.split(":")
    statistics = f"/proc/{process}/statm"

    def memory():
        with open(statistics) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

    end, counts, most = time.time() + seconds, {}, memory()
    print(f"{most} MiB at the start")
    clients = [threading.Thread(target=attack, args=((host, int(port)), i, end, counts)) for i in range(8)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        most = max(most, memory())
        time.sleep(0.2)
    print(f"{most} MiB at most, connections: {counts}")
    assert most < LIMIT
    with urllib.request.urlopen(f"http://{http}/v2/health/ready", timeout=5) as response:
        assert response.status == 200


if __name__ == "__main__":
    main()
