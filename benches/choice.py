"""Measures every algorithm for the 3x3 convolutions of stride 1, and writes docs/performance/choice-ISA.json.

    cargo build --release -p hardnet-cli
    python benches/choice.py

It is the table behind crates/hardnet-engine/src/choice.rs. A round runs each network once with each algorithm for
all of these layers and once with the choice, one after the other; a layer's time is the median over the rounds.
`--models` and `--batches` choose some of the rows; those that are recorded already stay. HARDNET_ISA chooses the
instruction set."""

import argparse
import statistics
from collections import defaultdict

import record

ALGORITHMS = ("direct", "winograd-2x2", "winograd-4x4", "winograd-2x2-otf", "winograd-4x4-otf")
CHOICE = "choice"
# The DS networks have no such layer.
MODELS = ("hardnet68", "hardnet85")


def layers(program, model, batch, arguments):
    """The layers that there is a choice for: of each the side of its map, and the median milliseconds by algorithm."""
    sides = {layer["name"]: layer["output"]["height"] for layer in record.report(program, "info", model, "--json")["layers"]}
    times, kernels = defaultdict(lambda: defaultdict(list)), {}
    for _ in range(arguments.rounds):
        for algorithm in (*ALGORITHMS, CHOICE):
            forced = () if algorithm == CHOICE else ("--algorithm", algorithm)
            common = ("--batch-size", batch, "--threads", arguments.threads, "--iters", arguments.iters, "--profile", "--no-reference")
            report = record.report(program, "bench", model, "--json", *common, *forced)
            for layer in report["profile"]["layers"]:
                if algorithm == "winograd-4x4" and layer["kernel"] == algorithm:
                    kernels[layer["name"]] = None
                if algorithm == CHOICE and layer["name"] in kernels:
                    kernels[layer["name"]] = layer["kernel"]
                times[layer["name"]][algorithm].append(layer["ms"])
    medians = {name: {key: statistics.median(values) for key, values in times[name].items()} for name in kernels}
    return report, [(sides[name], kernels[name], medians[name]) for name in kernels]


def rows(model, batch, threads, found):
    """One row for the layers of each side that are computed alike."""
    groups = defaultdict(list)
    for side, kernel, times in found:
        groups[side, kernel].append(times)
    for (side, kernel), group in sorted(groups.items(), reverse=True):
        sums = [sum(times[key] for times in group) for key in (*ALGORITHMS, CHOICE)]
        best = sum(min(times[key] for key in ALGORITHMS) for times in group)
        yield [model, batch, threads, side, len(group), kernel, *(round(ms, 3) for ms in sums), round(sums[-1] / best, 2)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--iters", type=int, default=10)
    parser.add_argument("--program", default=record.PROGRAM)
    arguments = parser.parse_args()
    for model in arguments.models:
        for batch in arguments.batches:
            report, found = layers(arguments.program, model, batch, arguments)
            mine = (model, batch, arguments.threads)
            kept = [row for row in record.rows("choice", report["isa"]) if tuple(row[:3]) != mine]
            order = lambda row: (MODELS.index(row[0]), *row[1:3], -row[3], row[5])
            write(sorted([*kept, *rows(*mine, found)], key=order), report)
            print(f"{model} batch {batch}: {len(found)} layers", flush=True)


def write(rows, report):
    record.write(
        "choice",
        isa=report["isa"],
        title="Which algorithm computes a 3x3 convolution",
        text="Total milliseconds of the 3x3 convolutions of stride 1, grouped by the side of their maps and the algorithm "
        "chosen, with each algorithm forced and with the choice. `chosen / best` divides by the sum of the fastest times of "
        "each layer. In a batch, the smallest maps use the on-the-fly transform to save memory for weights.",
        command="python benches/choice.py",
        commit=report["tool"]["commit"],
        versions={"hardnet": report["tool"]["version"]},
        columns=["network", "batch", "threads", "side", "layers", "chosen", *ALGORITHMS, "as chosen", "chosen / best"],
        rows=rows,
    )


if __name__ == "__main__":
    main()
