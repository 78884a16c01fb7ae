"""Time two builds of the program side by side, to see whether a change costs speed.

    python benches/versus.py OLD NEW [--isa avx2] [--turns 5] [--training OLD_STEP NEW_STEP]

OLD and NEW are two `hardnet` programs. Each cell (network, batch, threads) is measured in turns of OLD, NEW, OLD: the second
run of OLD shows how far the machine moves by itself. Every run is a process of its own; its figure is the median of its
iterations. The table has the medians over the turns, the ratio NEW / OLD turn by turn (median, least, greatest), and the
ratio of OLD to itself. With --training, two builds of the example `training_step` of hardnet-model are compared as well.
"""

import argparse
import json
import os
import statistics
import subprocess

MODELS = ("hardnet68", "hardnet85", "hardnet39ds", "hardnet68ds")
# Iterations of one run by batch: about a second for the largest network.
ITERATIONS = {1: 20, 8: 4}
# Network, side, images of a batch, steps of a run.
TRAINING = (("hardnet39ds", 64, 64, 4), ("hardnet39ds", 224, 16, 2), ("hardnet68", 224, 8, 2))


def run(command, **variables):
    done = subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def inference(program, model, batch, threads, isa):
    command = [program, "bench", model, "--json", "--no-reference", "--batch-size", str(batch)]
    command += ["--threads", str(threads), "--iters", str(ITERATIONS.get(batch, 4))]
    return run(command, HARDNET_ISA=isa)["latency_ms"]["median"]


def training(program, case, threads, isa):
    result = run([program, *map(str, case)], RAYON_NUM_THREADS=str(threads), HARDNET_ISA=isa)
    return statistics.median(result["ms"])


def compare(name, measure, old, new, turns):
    """One line: medians of both, the ratio turn by turn, and the ratio of OLD to itself."""
    olds, news, ratios, selves = [], [], [], []
    for _ in range(turns):
        first, ours, second = measure(old), measure(new), measure(old)
        olds += [first, second]
        news.append(ours)
        ratios.append(2 * ours / (first + second))
        selves.append(second / first)
    print(
        f"{name:28} {statistics.median(olds):9.2f} {statistics.median(news):9.2f}"
        f"   {statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"
        f"   {statistics.median(selves):.3f} [{min(selves):.3f}, {max(selves):.3f}]",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--isa", required=True, help="portable, avx2 or avx512")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--batches", nargs="*", type=int, default=(1, 8))
    parser.add_argument("--threads", nargs="*", type=int, default=(1, 2))
    parser.add_argument("--training", nargs=2, metavar=("OLD_STEP", "NEW_STEP"))
    arguments = parser.parse_args()
    print(f"{arguments.isa:28} {'old ms':>9} {'new ms':>9}   new/old [least, greatest]   old/old [least, greatest]")
    for model in arguments.models:
        for batch in arguments.batches:
            for threads in arguments.threads:
                measure = lambda program: inference(program, model, batch, threads, arguments.isa)
                compare(f"{model} b{batch} t{threads}", measure, arguments.old, arguments.new, arguments.turns)
    if arguments.training:
        for case in TRAINING:
            measure = lambda program: training(program, case, 2, arguments.isa)
            compare(f"train {case[0]} {case[1]} b{case[2]}", measure, *arguments.training, arguments.turns)


if __name__ == "__main__":
    main()
