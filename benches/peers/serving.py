"""Time `hardnet serve` beside other servers of the same model, and record it in docs/performance/serving.json and
docs/performance/server.json.

    cargo build --release -p hardnet-cli --features serve
    cargo run --release -p hardnet-engine --example synthetic_logits -- /tmp/weights
    python -m venv venv && venv/bin/pip install -r benches/peers/serving/requirements.txt
    venv/bin/python benches/peers/serving.py /tmp/weights FOLDER_OF_PHOTOGRAPHS
    venv/bin/python benches/peers/serving.py /tmp/weights FOLDER_OF_PHOTOGRAPHS --ours-alone

It goes on where it was stopped, by --cache.

Every server runs on processor 0 with all its processes, and the load on processor 1; nothing else may run. The others
compute the ONNX file that `hardnet export` writes, with ONNX Runtime on one thread, and must find the same classes. Each
has the largest batch, of 1, 4 and 8, with which it answers most. The load is that of wrk where connections wait for
answers, and of serving/load.py where requests come at a rate of their own. `--triton` names a Python with pytriton.
"""

import argparse
import asyncio
import functools
import gzip
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).resolve().parent / "serving"
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]
import load
import record

NETWORKS = ("hardnet68", "hardnet39ds")
DEMO = "hardnet39ds.fashion_mnist"
CONNECTIONS = 16
PORT = 8700
# The exit code of a script that has measured one piece.
PIECE = 75


def descendants(number):
    """A process and all that it has started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = [number]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def listening():
    """Whether somebody listens at the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def wait(condition, seconds):
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


class Server:
    """A server of one model on some processors. `form` is how it takes an image, as load.message has it."""

    def __init__(self, name, command, form="raw", path="/classify", environment=None, processors="0"):
        self.name, self.form, self.path = name, form, path
        self.port = PORT
        if not wait(lambda: not listening(), 10):
            raise SystemExit(f"port {PORT} is in use: stop what listens there")
        self.log = tempfile.TemporaryFile()
        variables = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            ["taskset", "-c", processors, *map(str, command)], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            env=variables, cwd=FOLDER,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Some leave the group of their parent.
        started = descendants(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        for number in started:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def ready(self, image):
        """Waits for a first answer to `image`, and returns it."""
        request = load.message(image, self.form, path=self.path)
        while time.monotonic() < self.begun + 120:
            (answer,) = asyncio.run(load.send(self.port, [request], 1, 0.1))
            if answer.status == 200:
                return answer.body
            if self.process.poll() is not None or answer.status == 422:
                break
            time.sleep(0.02)
        self.log.seek(0)
        raise SystemExit(f"{self.name} does not answer: {answer}\n{self.log.read().decode()[-3000:]}")

    def memory(self):
        """MiB of the resident set."""
        line = next(line for line in open(f"/proc/{self.process.pid}/status") if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def computing(self):
        """Seconds in which our server has computed, and the number of batches."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        value = lambda name: sum(float(line.split()[-1]) for line in lines if line.startswith(name))
        return value("hardnet_compute_seconds_sum"), value("hardnet_compute_seconds_count")

    def closed(self, files, seconds, connections=CONNECTIONS):
        """What wrk says of connections that each wait for their answer."""
        command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"]
        url = f"http://127.0.0.1:{self.port}{self.path}"
        printed = record.output(*command, "-s", FOLDER / "post.lua", url, "--", self.form, *files)
        return json.loads(printed.splitlines()[-1])

    def open(self, files, rate, seconds, spacing="even"):
        """The answers to requests at a rate."""
        kinds = {".png": "image/png"}
        requests = [load.message(file.read_bytes(), self.form, kinds.get(file.suffix, "image/jpeg"), self.path) for file in files]
        return asyncio.run(load.send(self.port, requests, rate, seconds, spacing))


def ours(arguments, weights, processors="0"):
    command = [*arguments.ours, "-q", "serve", weights, "--listen", f"127.0.0.1:{PORT}"]
    return Server("hardnet serve", command, processors=processors)


def litserve(arguments, onnx, batch):
    return Server("LitServe", [sys.executable, "litserve_server.py", onnx, PORT, batch], "request")


def bentoml(arguments, onnx, batch):
    command = [Path(sys.executable).parent / "bentoml", "serve", "bentoml_server:Images", "--port", PORT]
    return Server("BentoML", command, "image", environment={"ONNX_FILE": str(onnx), "BATCH": str(batch), "BENTOML_DO_NOT_TRACK": "1"})


def triton(arguments, onnx, batch):
    command = [arguments.triton, "triton_server.py", onnx, PORT, batch]
    return Server("Triton", command, "v2", "/v2/models/classify/infer")


def classes(body, name):
    """The five best classes and their probabilities that a server answers."""
    answer = json.loads(body)
    answer = answer[0] if isinstance(answer, list) else answer
    if name == "Triton":
        found = {one["name"]: one["data"] for one in answer["outputs"]}
        return list(zip(found["index"], found["probability"]))
    top = answer["images"][0]["top"] if name == "hardnet serve" else answer["top"]
    return [(one["index"], one["probability"]) for one in top]


def check(expected, found):
    """Ends unless two servers found the same."""
    near = all(i == j and abs(a - b) < 1e-3 for (i, a), (j, b) in zip(expected, found))
    if not near or len(found) != 5:
        raise SystemExit(f"the servers differ: {expected} and {found}")


def goodput(answers, seconds):
    """Answers within ten seconds, a second of the time in which requests are sent: what waits at its end does not count."""
    end = answers[0].sent + seconds
    return sum(answer.status == 200 and answer.seconds < 10 and answer.sent + answer.seconds < end for answer in answers) / seconds


def milliseconds(answers, percent, status=200):
    times = [answer.seconds for answer in answers if answer.status == status]
    return round(load.percentile(times, percent) * 1e3, 1) if times else None


def piece(arguments, key, measure, *rest):
    """What `measure` finds, of now or, where this script was stopped, of before."""
    file = arguments.cache / "measured.json"
    measured = json.loads(file.read_text()) if file.exists() else {}
    if key not in measured:
        measured[key] = measure(arguments, *rest)
        file.write_text(json.dumps(measured, indent=1))
        print(key, measured[key], file=sys.stderr, flush=True)
        if arguments.piece:
            raise SystemExit(PIECE)
    return measured[key]


def model(arguments, network):
    """The weights of a network, and the ONNX file of these."""
    weights, onnx = arguments.weights / f"{network}.safetensors", arguments.cache / f"{network}.onnx"
    if not onnx.exists():
        record.output(*arguments.ours, "export", weights, onnx, "--batch", "dynamic")
    return weights, onnx


def best_batch(arguments, network, peer):
    """The size of batches with which a server answers most, after a look at whether it finds the same classes."""
    (weights, onnx), image, tried = model(arguments, network), arguments.files[0].read_bytes(), {}
    with ours(arguments, weights) as server:
        expected = classes(server.ready(image), server.name)
    for batch in (1, 4, 8):
        with peer(arguments, onnx, batch) as server:
            check(expected, classes(server.ready(image), server.name))
            server.closed(arguments.files, 2)
            tried[batch] = server.closed(arguments.files, arguments.seconds // 2)["per_second"]
    print(server.name, tried, file=sys.stderr, flush=True)
    return server.name, max(tried, key=tried.get)


def one_round(arguments, starts):
    """Answers a second of each server, one after the other."""
    found = {}
    for name, start in starts.items():
        with start() as server:
            server.ready(arguments.files[0].read_bytes())
            server.closed(arguments.files, 2)
            found[name] = server.closed(arguments.files, arguments.seconds)["per_second"]
    return found


def beside(arguments, network):
    """The rows of a network: each server's throughput."""
    weights, onnx = model(arguments, network)
    starts, batches = {"hardnet serve": functools.partial(ours, arguments, weights)}, {}
    for peer in [litserve, bentoml, *([triton] if arguments.triton else [])]:
        name, batch = piece(arguments, f"{network} batch {peer.__name__}", best_batch, network, peer)
        starts[name], batches[name] = functools.partial(peer, arguments, onnx, batch), batch
    rounds = [piece(arguments, f"{network} round {number}", one_round, starts) for number in range(arguments.rounds)]
    rates = {name: statistics.median(found[name] for found in rounds) for name in starts}
    rows = []
    for name in starts:
        ratio = statistics.median(found["hardnet serve"] / found[name] for found in rounds)
        rows.append([network, name, batches.get(name, "its own"), round(rates[name], 1), round(ratio, 2)])
    return rows


def rated(arguments, network, times, spacing):
    """How our server answers requests at so many times its rate, the seconds in which they came, and the rate. Machines
    that are shared with others change their speed within seconds: it is of a time before and after which the rate was
    the same, within 5 %."""
    files, seconds = arguments.files, arguments.seconds / 2
    with ours(arguments, arguments.weights / f"{network}.safetensors") as server:
        rate = lambda: server.closed(files, arguments.seconds // 4)["per_second"]
        server.ready(files[0].read_bytes())
        server.closed(files, 2)
        before = rate()
        while True:
            # What the server had begun is done then.
            time.sleep(1)
            answers, after = server.open(files, times * before, seconds, spacing), rate()
            if max(before, after) < 1.05 * min(before, after):
                return answers, seconds, (before + after) / 2
            print(f"again: {before:.1f} a second before, {after:.1f} after", file=sys.stderr, flush=True)
            before = after


def below(arguments, network, spacing):
    """The times of half and of 99 % of the answers, in ms, at 80 % of the rate."""
    answers, *_ = rated(arguments, network, 0.8, spacing)
    return milliseconds(answers, 50), milliseconds(answers, 99)


def above(arguments, network):
    """Answers at three times the rate, as a part of it; the slowest refusal in ms; and what is neither."""
    answers, seconds, rate = rated(arguments, network, 3, "even")
    others = sum(answer.status not in (200, 429) for answer in answers)
    return round(goodput(answers, seconds) / rate, 3), milliseconds(answers, 100, 429), others


def load_rows(arguments, network):
    """The rows of requests at a rate: medians of rounds, and the worst refusal."""
    rounds = range(arguments.rounds)
    measure = lambda name, *rest: [piece(arguments, f"{network} {name} {number}", *rest) for number in rounds]
    even, chance = (measure(spacing, below, network, spacing) for spacing in ("even", "random"))
    flood = measure("flood", above, network)
    middle = lambda found: [statistics.median(values) for values in zip(*found)]
    text = lambda found: ", ".join(f"{value:.1f}" for value in middle(found))
    return [
        [f"{network}, requests that come evenly at 80 % of its rate: p50 and p99, ms", "p99 at most 2 p50", text(even)],
        [f"{network}, with random gaps: p50 and p99, ms", "", text(chance)],
        [f"{network}, at three times its rate: answers within 10 s, as a part of the rate", "95 %", f"{middle(flood)[0]:.0%}"],
        [f"{network}, the slowest refusal there, ms", "50", max(refused for _, refused, _ in flood)],
        [f"{network}, answers there with a status other than 200 and 429", 0, sum(others for *_, others in flood)],
    ]


def added_cost(arguments):
    """What a request of one client takes beyond the computing of hardnet68, relative to this as the server counts it."""
    weights, costs = arguments.weights / "hardnet68.safetensors", []
    for _ in range(arguments.rounds):
        with ours(arguments, weights) as server:
            server.ready(arguments.files[0].read_bytes())
            server.closed(arguments.files, 2)
            before = server.computing()
            served = 1 / server.closed(arguments.files, 2 * arguments.seconds, 1)["per_second"]
            seconds, images = (after - at for after, at in zip(server.computing(), before))
        costs.append((served - seconds / images) / (seconds / images))
    return statistics.median(costs)


def small_images(cache, count=50):
    """Images of Fashion-MNIST, which the demonstration's network classifies, as PNG files."""
    source = record.ROOT / "tests/quantize/train-images-idx3-ubyte.gz"
    pixels = np.frombuffer(gzip.decompress(source.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
    files = [cache / f"{index}.png" for index in range(count)]
    for file, image in zip(files, pixels):
        Image.fromarray(image).save(file)
    return files


def many(arguments, number):
    """A hundred thousand requests to the demonstration's network in one process, and its memory as they go on."""
    files = small_images(arguments.cache)
    with ours(arguments, DEMO) as server:
        server.ready(files[0].read_bytes())
        answered, others, sizes = 0, 0, []
        while answered < 100_000:
            found = server.closed(files, 5)
            answered, others = answered + found["answered"], others + found["others"] + found["errors"]
            sizes.append(round(server.memory(), 1))
    return {"answered": answered, "others": others, "MiB": sizes}


def restarts(arguments):
    """Seconds from the start to the first answer after kill -9, on both processors, and what SIGTERM under load loses."""
    weights, files = arguments.weights / "hardnet68.safetensors", arguments.files
    image, seconds, lost = files[0].read_bytes(), [], []
    for _ in range(5):
        with ours(arguments, weights, "0,1") as server:
            server.ready(image)
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
        with ours(arguments, weights, "0,1") as server:
            server.ready(image)
            seconds.append(time.monotonic() - server.begun)
    requests = [load.message(file.read_bytes()) for file in files]
    for _ in range(5):
        with ours(arguments, weights) as server:
            server.ready(image)

            async def stop():
                await asyncio.sleep(3)
                os.kill(server.process.pid, signal.SIGTERM)

            answers = asyncio.run(load.send(server.port, requests, 60, 5, during=stop()))
            counts = {}
            for answer in answers:
                counts[answer.status] = counts.get(answer.status, 0) + 1
            lost.append({"code": server.process.wait(40), **{str(key): value for key, value in counts.items()}})
            print(lost[-1], file=sys.stderr, flush=True)
    return seconds, lost


def compare(arguments):
    """The table of all servers."""
    rows = [row for network in arguments.networks for row in beside(arguments, network)]
    versions = {"wrk": "4.1.0", **{name: metadata.version(name) for name in ("onnxruntime", "litserve", "bentoml")}}
    if arguments.triton:
        program = "import importlib.metadata as m; print(m.version('nvidia-pytriton'))"
        versions["pytriton"] = record.output(arguments.triton, "-c", program)
    if not arguments.print:
        record.write(
            "serving",
            title="Servers",
            text="Servers of one model on one processor, the load on another: photographs as JPEG, decoded, classified, the five "
            "best classes answered. The others run ONNX Runtime on one thread, with the size of batches (1, 4 or 8) that "
            "answers most. `images/s`: with 16 connections that wait for answers, medians of rounds, and ours over theirs.",
            command="python benches/peers/serving.py WEIGHTS PHOTOGRAPHS --triton PYTHON",
            commit=record.commit(),
            versions=versions,
            columns=["model", "server", "batch", "images/s", "ours / theirs"],
            rows=rows,
        )


def alone(arguments):
    """The table of what is measured of our server alone."""
    cost = piece(arguments, "added cost", added_cost)
    seconds, ends = piece(arguments, "restarts", restarts)
    rows = [["HTTP and decoding of a photograph, added to the computing of hardnet68", "below 10 %", f"{cost:.1%}"],
            ["kill -9 and restart with hardnet68, on both processors: seconds to the first answer, slowest of 5", "below 1", round(max(seconds), 2)],
            ["SIGTERM under load, 5 times: requests without an answer", 0, sum(end.get("None", 0) for end in ends)]]
    rows += [row for network in arguments.networks for row in load_rows(arguments, network)]
    pieces = [piece(arguments, f"many {number}", many, number) for number in range(10)]
    answered, failed = (sum(part[name] for part in pieces) for name in ("answered", "others"))
    tenth, last = ([part["MiB"][at] for part in pieces] for at in (len(pieces[0]["MiB"]) // 10, -1))
    rows += [[f"{answered:,} requests to the demonstration's network, in ten processes: failed", 0, failed],
             ["MiB of memory of these processes after a tenth of their requests", "", f"{min(tenth)} to {max(tenth)}"],
             ["MiB of memory at their end", "the same", f"{min(last)} to {max(last)}"]]
    if not arguments.print:
        record.write(
            "server",
            title="The server alone",
            text=f"`hardnet serve` on one processor, the load on another. At a rate: medians of {arguments.rounds} rounds of "
            f"{arguments.seconds / 2:.0f} s, before and after which the rate, measured with {CONNECTIONS} connections that wait "
            "for answers, was the same within 5 %: machines that are shared with others change their speed.",
            command="python benches/peers/serving.py WEIGHTS PHOTOGRAPHS --ours-alone",
            commit=record.commit(),
            versions={"wrk": "4.1.0"},
            columns=["figure", "goal", "measured"],
            rows=rows,
        )


def main():
    parser = argparse.ArgumentParser(description="Time `hardnet serve` beside other servers.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("photographs", type=Path, help="a folder of JPEG files")
    parser.add_argument("--ours", default=record.PROGRAM, type=shlex.split, help="the program")
    parser.add_argument("--triton", help="a Python with pytriton")
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=12, help="of each server in each round")
    parser.add_argument("--ours-alone", action="store_true", help="measure what has no peer")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "hardnet-serving")
    parser.add_argument("--piece", action="store_true", help=f"measure one thing that is missing, and end with code {PIECE} if there was one")
    parser.add_argument("--print", action="store_true", help="print the figures, record nothing")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    arguments.files = sorted(path for path in arguments.photographs.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    arguments.weights = arguments.weights.resolve()
    (alone if arguments.ours_alone else compare)(arguments)


if __name__ == "__main__":
    main()
