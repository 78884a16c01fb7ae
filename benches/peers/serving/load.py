"""Requests at a rate that does not depend on the answers, as wrk cannot send them, over connections that stay open."""

import asyncio
import dataclasses
import json
import random
import struct
import time


@dataclasses.dataclass
class Answer:
    """What became of a request. `status` is None where the connection ended, 0 where none could be opened."""

    status: int | None
    sent: float
    seconds: float
    retry_after: int | None = None
    body: bytes = b""


def message(body, form="raw", kind="image/jpeg", path="/classify"):
    """A POST request as bytes. `form` is raw, for the image as the body; v2, for a tensor of the Open Inference Protocol;
    or the name of the image's part in a form."""
    extra = ""
    if form == "v2":
        tensor = {"name": "image", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(body) + 4}}
        head = json.dumps({"inputs": [tensor]}).encode()
        body, kind = head + struct.pack("<I", len(body)) + body, "application/octet-stream"
        extra = f"inference-header-content-length: {len(head)}\r\n"
    elif form != "raw":
        head = f'--boundary7d1\r\ncontent-disposition: form-data; name="{form}"; filename="image"\r\ncontent-type: {kind}\r\n\r\n'
        body, kind = head.encode() + body + b"\r\n--boundary7d1--\r\n", "multipart/form-data; boundary=boundary7d1"
    head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\n{extra}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connections:
    """Idle connections to a server, the last used one first."""

    def __init__(self, port):
        self.port, self.idle = port, []

    async def take(self):
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, request):
        """The status, headers and body of an answer; a status of 0 without a connection, None without an answer."""
        try:
            reader, writer = await self.take()
        except OSError:
            return 0, {}, b""
        try:
            writer.write(request)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return None, {}, b""
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self.idle.append((reader, writer))
        return int(head[0].split(" ")[1]), headers, body


async def send(port, requests, rate, seconds, spacing="even", limit=30.0, during=None):
    """Sends `requests` in turn for `seconds`, `rate` of them a second, evenly or with random (exponential) gaps.

    Returns the answers, in the order of sending. An answer's time counts from the moment the request was due. One that
    takes longer than `limit` seconds has status None. `during` is a coroutine that runs beside."""
    connections, answers, tasks = Connections(port), [], []
    beside = asyncio.create_task(during) if during else None
    draws = random.Random(1)

    async def one(index, due):
        try:
            status, headers, body = await asyncio.wait_for(connections.exchange(requests[index % len(requests)]), limit)
        except TimeoutError:
            status, headers, body = None, {}, b""
        retry = headers.get("retry-after")
        answers[index] = Answer(status, due, time.perf_counter() - due, retry and int(retry), body)

    begun = due = time.perf_counter()
    while due < begun + seconds:
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        answers.append(None)
        tasks.append(asyncio.create_task(one(len(answers) - 1, due)))
        due += 1 / rate if spacing == "even" else draws.expovariate(rate)
    await asyncio.gather(*tasks)
    if beside:
        await beside
    return answers


def percentile(values, percent):
    """The value below which `percent` % of them lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
