"""Time HarDNet in other engines and in ours, side by side, and record it in docs/performance/networks-ISA.json.

    python3 -m venv .venv-peers && . .venv-peers/bin/activate
    pip install -r benches/peers/requirements.txt
    cargo build --release -p hardnet-cli
    python benches/peers/compare.py

runs four networks in batches of 1 and 8 on 1 and 2 threads. `--models`, `--batches` and `--threads` choose some of these
cells; each cell is recorded once it is done, beside those that are recorded already. HARDNET_ISA chooses our instruction set.

Where other machines share the processor, `--peak GFLOPS` begins no round before our micro-kernel reaches that throughput on all
threads (`hardnet bench MODEL --profile` prints it); after a minute it goes on all the same and says so.

A round starts every engine once, in a process of its own, one after the other, so that all meet the same drift of
the machine. An engine runs for `--seconds` after its warm-up, and at least five times; its figure is the median over the
rounds of its medians. All compute in f32 with the weights of tests/golden/formula.py, which ONNX files of
`hardnet export` carry to the others. Memory is the greatest resident set of the process: for the others it
has Python, NumPy and the engine, about as much as ours has with its command line. For each engine the round with the least memory counts.
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

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "benches"))
import record

PEERS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "mnn": "MNN", "ncnn": "ncnn"}
WARM_UP = 2
LEAST = 5
# Ratios to the fastest peer that are aimed at.
GOALS = {"hardnet68": 0.5, "hardnet85": 0.5, "hardnet39ds": 0.75, "hardnet68ds": 0.75}


def prepare(model, arguments):
    """The files of `model` for all engines, made where they are missing."""
    cache = arguments.cache
    cache.mkdir(parents=True, exist_ok=True)
    silent = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    onnx_file, mnn_file = cache / f"{model}.onnx", cache / f"{model}.mnn"
    weights = cache / f"{model}.safetensors"
    if not weights.exists():
        save_weights(model, weights)
    if not onnx_file.exists():
        export = ["export", weights, onnx_file, "--model", model, "--pipeline", "pil-bilinear", "--batch", "dynamic"]
        subprocess.run([*shlex.split(arguments.ours), *export, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    if not mnn_file.exists():
        files = ["--modelFile", onnx_file, "--MNNModel", mnn_file]
        subprocess.run(["mnnconvert", "-f", "ONNX", *files, "--bizCode", "x"], **silent)
    if not (cache / f"{model}.ncnn.bin").exists():
        subprocess.run(["pnnx", onnx_file.name, "inputshape=[1,3,224,224]", "fp16=0"], cwd=cache, **silent)
    return weights


def save_weights(model, file):
    """The weights of formula.py, under the names that the independent exporter of the tests gives them."""
    sys.path.insert(0, str(GOLDEN))
    import build_onnx
    from onnx import numpy_helper
    from safetensors.numpy import save_file

    tensors = build_onnx.build(model).graph.initializer
    save_file({t.name: numpy_helper.to_array(t) for t in tensors if t.name.startswith("base.")}, file)
def onnxruntime_network(file, x, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{file}.onnx", options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": x})[0]


def openvino_network(file, x, threads):
    import openvino

    network = openvino.Core().read_model(f"{file}.onnx")
    network.reshape(list(x.shape))
    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(network, "CPU", hints).create_infer_request()
    return lambda: request.infer({0: x})[0]


def mnn_network(file, x, threads):
    import MNN.expr
    import MNN.nn

    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
    network = MNN.nn.load_module_from_file(f"{file}.mnn", ["input"], ["logits"], runtime_manager=runtime)
    return lambda: network.forward([MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)])[0].read()


def ncnn_network(file, x, threads):
    import ncnn
    import numpy

    network = ncnn.Net()
    network.opt.num_threads = threads
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    network.load_param(f"{file}.ncnn.param")
    network.load_model(f"{file}.ncnn.bin")

    def run():
        """One image after the other: ncnn has no batches."""
        for image in x:
            extractor = network.create_extractor()
            extractor.input("in0", ncnn.Mat(image))
            logits = numpy.array(extractor.extract("out0")[1])
        return logits

    return run


NETWORKS = {"onnxruntime": onnxruntime_network, "openvino": openvino_network, "mnn": mnn_network, "ncnn": ncnn_network}


def peak_rss_mib():
    """The greatest resident set of this process, whatever its parent had."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def worker(engine, model, batch, threads, seconds, cache):
    """Measures one engine in this process."""
    sys.path.insert(0, str(GOLDEN))
    import formula

    run = NETWORKS[engine](cache / model, formula.tensor("x", (batch, 3, 224, 224)), threads)
    for _ in range(WARM_UP):
        run()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - started))
    print(json.dumps({"latency_ms": {"median": statistics.median(times)}, "peak_rss_mib": peak_rss_mib()}))


def measure(model, batch, threads, arguments):
    """Time in milliseconds and memory in MiB of every engine, and what else there is to say of ours."""
    weights = prepare(model, arguments)
    seen = {name: [] for name in [*arguments.peers, "hardnet"]}
    common = ["--models", model, "--batches", batch, "--threads", threads, "--seconds", arguments.seconds]
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", OMP_NUM_THREADS=str(threads))
    for number in range(arguments.rounds):
        wait_for_peak(arguments)
        for peer in arguments.peers:
            command = [sys.executable, __file__, *common, "--cache", arguments.cache, "--worker", peer]
            seen[peer].append(record.report(*command, env=environment))
        fastest = min(results[-1]["latency_ms"]["median"] for name, results in seen.items() if name != "hardnet")
        iters = max(LEAST, int(1e3 * arguments.seconds / fastest))
        command = [*shlex.split(arguments.ours), "bench", model, "--weights", weights, "--batch-size", batch]
        command += ["--threads", threads, "--iters", iters, "--json"]
        command += ["--no-reference"] if number > 0 else []
        seen["hardnet"].append(record.report(*command))
    first = seen["hardnet"][0]
    ours = {"isa": first["isa"], "difference": first["max_logit_difference"], "commit": first["tool"]["commit"]}
    times = {name: statistics.median(r["latency_ms"]["median"] for r in results) for name, results in seen.items()}
    memory = {name: min(r["peak_rss_mib"] for r in results) for name, results in seen.items()}
    return times, memory, ours


def wait_for_peak(arguments):
    """Returns once the machine gives `--peak`, or after a minute."""
    end = time.monotonic() + 60
    probe = [*shlex.split(arguments.ours), "bench", "hardnet39ds", "--iters", "1", "--profile", "--no-reference", "--json"]
    while arguments.peak > 0:
        peak = record.report(*probe)["profile"]["peak_gflops"]
        if peak >= arguments.peak:
            return
        if time.monotonic() > end:
            print(f"measured at {peak:.0f} GFLOP/s", file=sys.stderr)
            return
        time.sleep(1)


def write(model, batch, threads, times, memory, ours, peers):
    """Writes the cell into its row of the table."""
    fastest = min(times[peer] for peer in peers)
    lowest = min(memory[peer] for peer in peers)
    row = [model, batch, threads, round(times["hardnet"], 2)]
    row += [round(times[peer], 2) if peer in times else None for peer in PEERS]
    row += [round(times["hardnet"] / fastest, 3), GOALS[model], round(memory["hardnet"]), round(lowest)]
    row += [float(f"{ours['difference']:.1e}"), ours["commit"]]
    rows = {tuple(old[:3]): old for old in record.rows("networks", ours["isa"])}
    rows[model, batch, threads] = row
    order = lambda key: (record.MODELS.index(key[0]), key[2], key[1])
    record.write(
        "networks",
        isa=ours["isa"],
        title="Comparison with other engines",
        text="Median milliseconds for a batch of images of 224x224 pixels in f32, all engines interleaved in the same "
        "minutes. `ratio` is our time divided by that of the fastest peer, `goal` the target. Memory is the peak resident set "
        "of the process in MiB; peers include Python and NumPy, and choose their instruction set themselves. `logits` is the "
        "largest difference of a logit from Candle's, `commit` our program's.",
        command="python benches/peers/compare.py",
        commit=record.commit(),
        versions={name: importlib.metadata.version(package) for name, package in PEERS.items()},
        columns=["model", "batch", "threads", "hardnet", *PEERS, "ratio", "goal", "MiB", "lowest peer MiB", "logits", "commit"],
        rows=[rows[key] for key in sorted(rows, key=order)],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=record.MODELS, default=record.MODELS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of an engine's runs in a round")
    parser.add_argument("--peak", type=float, default=0.0, metavar="GFLOPS", help="begin rounds only at this throughput")
    parser.add_argument("--ours", default=record.PROGRAM, help="our program")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hardnet-peers" / "exported")
    parser.add_argument("--no-record", action="store_true", help="print only")
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        [model], [batch], [threads] = arguments.models, arguments.batches, arguments.threads
        return worker(arguments.worker, model, batch, threads, arguments.seconds, arguments.cache)
    for model in arguments.models:
        for threads in arguments.threads:
            for batch in arguments.batches:
                times, memory, ours = measure(model, batch, threads, arguments)
                fastest = min(times[peer] for peer in arguments.peers)
                cells = [f"{name} {ms:.2f} ({memory[name]:.0f} MiB)" for name, ms in times.items()]
                ratio = times["hardnet"] / fastest
                print(f"{model} batch {batch} threads {threads}: {', '.join(cells)}; ratio {ratio:.3f}, logits {ours['difference']:.1e}", flush=True)
                if not arguments.no_record:
                    write(model, batch, threads, times, memory, ours, arguments.peers)


if __name__ == "__main__":
    main()
