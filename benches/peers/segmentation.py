"""Time segmentation networks in other engines and in ours, side by side, and record it in
docs/performance/segmentation.json.

    python3 -m venv .venv-peers && . .venv-peers/bin/activate
    pip install -r benches/peers/requirements.txt
    cargo build --release -p hardnet-cli
    cargo build --release -p hardnet-engine --example segmentation_alone
    python benches/peers/segmentation.py

runs FC-HarDNet-70 on one image of 512x1024 and of 1024x2048 pixels, on 1 and 2 threads, as `compare.py` runs classifiers:
all engines compute the ONNX file of `hardnet export` with the weights of tests/golden/formula.py, each in a process of its
own, one after the other in each round. All give logits of the image's size, `[19, rows, columns]`. Our plan is that of
`crates/hardnet-engine/examples/segmentation_alone.rs`.
"""

import argparse
import importlib.metadata
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import compare
from compare import PEERS, record

NETWORKS = ("fc-hardnet70", "fc-hardnet70-paddleseg")
SIZES = ("512x1024", "1024x2048")
OURS = str(record.ROOT / "target" / "release" / "examples" / "segmentation_alone")


def name_of(network, size):
    """The name of its files; pnnx writes underscores only."""
    return f"{network}-{size}".replace("-", "_")


def prepare(network, size, arguments):
    """The files of a network and a size for all engines, and our logits, made where they are missing."""
    cache = arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    rows, columns = size.split("x")
    weights, name = cache / f"{network}.safetensors", name_of(network, size)
    alone = [arguments.alone, network, rows, columns, "2", "0"]
    silent = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if not weights.exists():
        subprocess.run([*alone, weights], **silent)
    if not (cache / f"{name}.onnx").exists():
        export = ["export", weights, cache / f"{name}.onnx", "--size", size, "--quiet"]
        subprocess.run([*shlex.split(arguments.ours), *export], **silent)
    if "mnn" in arguments.peers and not (cache / f"{name}.mnn").exists():
        files = ["--modelFile", cache / f"{name}.onnx", "--MNNModel", cache / f"{name}.mnn"]
        subprocess.run(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "x"], **silent)
    if "ncnn" in arguments.peers and not (cache / f"{name}.ncnn.bin").exists():
        subprocess.run(["pnnx", f"{name}.onnx", f"inputshape=[1,3,{rows},{columns}]", "fp16=0"], cwd=cache, **silent)
    subprocess.run([*alone, cache / f"{name}.logits"], **silent)


def worker(peer, network, size, threads, arguments):
    """Measures one engine in this process, or compares its logits with ours."""
    sys.path.insert(0, str(compare.GOLDEN))
    import formula

    rows, columns = map(int, size.split("x"))
    file = arguments.cache / name_of(network, size)
    run = compare.NETWORKS[peer](file, formula.tensor("x", (1, 3, rows, columns)), threads)
    if arguments.difference:
        ours, theirs = np.fromfile(f"{file}.logits", np.float32), np.array(run()).reshape(-1)
        print(json.dumps({"difference": float(np.abs(ours - theirs).max() / np.abs(theirs).max())}))
        return
    run()
    times, end = [], time.perf_counter() + arguments.seconds
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - started))
    print(json.dumps({"ms": statistics.median(times), "mib": compare.peak_rss_mib()}))


def ask(peer, network, size, threads, arguments, *options):
    """The figures of one engine, measured in a process of its own."""
    if peer == "hardnet":
        return record.report(arguments.alone, network, *size.split("x"), threads, arguments.seconds)
    command = [sys.executable, __file__, "--networks", network, "--sizes", size, "--threads", threads]
    command += ["--seconds", arguments.seconds, "--cache", arguments.cache, "--worker", peer, *options]
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS=str(threads))
    return record.report(*command, env=environment)


def write(network, size, threads, seen, difference, arguments):
    times = {engine: statistics.median(result["ms"] for result in results) for engine, results in seen.items()}
    memory = {engine: round(min(result["mib"] for result in results)) for engine, results in seen.items()}
    best = min(times[peer] for peer in arguments.peers)
    cell = lambda values, engine: round(values[engine], 1) if engine in values else None
    row = [network, size, threads, *(cell(times, engine) for engine in ["hardnet", *PEERS]), round(times["hardnet"] / best, 2)]
    row += [*(cell(memory, engine) for engine in ["hardnet", *PEERS]), float(f"{difference:.1e}")]
    print(row, flush=True)
    if arguments.no_record:
        return
    rows = {tuple(old[:3]): old for old in record.rows("segmentation")}
    rows[network, size, threads] = row
    order = lambda key: (NETWORKS.index(key[0]), SIZES.index(key[1]), key[2])
    record.write(
        "segmentation",
        title="Segmentation beside other engines",
        text="Median milliseconds for the logits of one image in its size, in f32. All engines compute the same ONNX file, "
        "interleaved in the same minutes, the median over rounds. `ours / best` divides by the fastest other engine. Memory is "
        "the peak resident set of the process in MiB, of other engines with Python and NumPy. `logits` is the largest "
        "difference from ONNX Runtime's logits, divided by the greatest of these.",
        command="python benches/peers/segmentation.py",
        commit=record.commit(),
        versions={name: importlib.metadata.version(package) for name, package in PEERS.items()},
        columns=["network", "size", "threads", "hardnet", *PEERS, "ours / best"]
        + [f"{engine} MiB" for engine in ["hardnet", *PEERS]]
        + ["logits"],
        rows=[rows[key] for key in sorted(rows, key=order)],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS[:1])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of an engine's runs in a round")
    parser.add_argument("--ours", default=record.PROGRAM, help="our program, which exports the networks")
    parser.add_argument("--alone", default=OURS, help="our program, which is measured")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hardnet-peers" / "exported")
    parser.add_argument("--no-record", action="store_true", help="print only")
    parser.add_argument("--difference", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        [network], [size], [threads] = arguments.networks, arguments.sizes, arguments.threads
        return worker(arguments.worker, network, size, threads, arguments)
    for network in arguments.networks:
        for size in arguments.sizes:
            prepare(network, size, arguments)
            found = ask("onnxruntime", network, size, 2, arguments, "--difference")["difference"]
            for threads in arguments.threads:
                seen = {engine: [] for engine in ["hardnet", *arguments.peers]}
                for _ in range(arguments.rounds):
                    for engine, results in seen.items():
                        results.append(ask(engine, network, size, threads, arguments))
                write(network, size, threads, seen, found, arguments)


if __name__ == "__main__":
    main()
