"""Where the time of a plan goes, by kernel: writes docs/performance/profile-ISA.json.

    cargo build --release -p hardnet-cli
    python benches/profile.py

HARDNET_ISA chooses the instruction set.
"""

import argparse
import statistics
from collections import defaultdict

import record

# Fused layers were a chain, and those before its last "in the next", in version 0.1.
BEFORE_LAST = ("within fused", "in the next")
KINDS = {name: "fused" for name in (*BEFORE_LAST, "chain")} | {name: "other" for name in ("mean", "pool", "load", "linear")}


def profile(arguments, model, batch):
    """For each kind of kernel its steps, and of each round milliseconds and multiply-adds; and the peaks."""
    command = [arguments.program, "bench", model, "--batch-size", str(batch), "--threads", str(arguments.threads)]
    command += ["--iters", str(arguments.iters), "--profile", "--no-reference", "--json"]
    peaks, kinds = [], defaultdict(lambda: {"steps": 0, "ms": [], "operations": 0.0})
    for number in range(arguments.rounds):
        report = record.report(*command)
        peaks.append(report["profile"]["peak_gflops"])
        sums = defaultdict(float)
        for layer in report["profile"]["layers"]:
            kind = KINDS.get(layer["kernel"], layer["kernel"])
            sums[kind] += layer["ms"]
            if number == 0:
                kinds[kind]["steps"] += layer["kernel"] not in BEFORE_LAST
                kinds[kind]["operations"] += layer["gflops"] * layer["ms"] / 1e3
        for kind, ms in sums.items():
            kinds[kind]["ms"].append(ms)
    return report, max(peaks), kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=record.MODELS, default=record.MODELS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iters", type=int, default=10)
    parser.add_argument("--program", default=record.PROGRAM)
    arguments = parser.parse_args()
    rows = []
    for model in arguments.models:
        for batch in arguments.batches:
            report, peak, kinds = profile(arguments, model, batch)
            medians = {kind: statistics.median(found["ms"]) for kind, found in kinds.items()}
            whole = sum(medians.values())
            for kind, ms in sorted(medians.items(), key=lambda item: -item[1]):
                rate = kinds[kind]["operations"] / ms * 1e3
                cells = [kinds[kind]["steps"], round(ms, 3), round(100 * ms / whole), round(rate, 1), round(100 * rate / peak)]
                rows.append([model, batch, arguments.threads, kind, *cells])
            print(f"{model} batch {batch}: {whole:.2f} ms, peak {peak:.0f} GFLOP/s", flush=True)
    tool = report["tool"]
    record.write(
        "profile",
        isa=report["isa"],
        title="Where the time goes",
        text=f"Milliseconds of a batch by kernel, the median of {arguments.rounds} runs. GFLOP/s count the operations of "
        "direct convolution whatever the algorithm, so Winograd may exceed the peak, which is what the micro-kernel reaches on "
        f"data in the level 1 cache, here {peak:.0f} GFLOP/s. `direct` covers 1x1 and strided convolutions, `fused` the fused "
        "groups. What keeps networks from the goals: for one image, layers of few pixels (`winograd-2x2`, `winograd-4x4-otf`) "
        "wait for weights from memory; the DS networks consist mostly of 1x1 convolutions, where no transform saves "
        "multiplications.",
        command="python benches/profile.py",
        commit=tool["commit"],
        versions={"hardnet": tool["version"]},
        columns=["network", "batch", "threads", "kernel", "steps", "ms", "% of time", "GFLOP/s", "% of peak"],
        rows=rows,
    )


if __name__ == "__main__":
    main()
