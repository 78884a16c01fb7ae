"""Times of single layers, and of values too small to be normal: writes docs/performance/layers-ISA.json and
denormals-ISA.json.

    cargo build --release -p hardnet-cli
    python benches/layers.py

runs the Criterion benches of hardnet-kernels, or with `--last` takes the results of their last run. HARDNET_ISA has
no part in it: the benches take the best instruction set."""

import argparse
import json
import subprocess

import record

CRITERION = record.ROOT / "target" / "criterion"
KERNELS = {"Direct": "direct", "Winograd2": "winograd-2x2", "Winograd4": "winograd-4x4", "Winograd4OnTheFly": "winograd-4x4-otf"}


def results():
    """Of each benchmark its group, its function, its parameter, nanoseconds in the median and operations."""
    for file in sorted(CRITERION.rglob("new/benchmark.json")):
        about = json.loads(file.read_text())
        median = json.loads((file.parent / "estimates.json").read_text())["median"]["point_estimate"]
        operations = (about["throughput"] or {}).get("Elements")
        yield about["group_id"], about["function_id"], about["value_str"], median, operations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=record.PROGRAM)
    parser.add_argument("--last", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if not arguments.last:
        command = ["cargo", "bench", "-p", "hardnet-kernels", "--bench", "layers"]
        subprocess.run(command, check=True, cwd=record.ROOT)
    about = record.report(arguments.program, "env", "--json")
    common = {"command": "python benches/layers.py", "commit": about["commit"], "versions": {"hardnet": about["version"]}}
    layers, denormals = [], {}
    for group, function, value, nanoseconds, operations in results():
        if group == "denormals":
            layer, algorithm = function.split()
            denormals.setdefault((layer, KERNELS[algorithm]), {})[value] = nanoseconds / 1e6
        else:
            layers.append([group, KERNELS[function], int(value), round(nanoseconds / 1e6, 3), round(operations / nanoseconds, 1)])
    record.write(
        "layers",
        isa=about["isa"],
        title="Single layers",
        text="Median milliseconds of layers in the shapes they have in the networks, including the 1x1 convolutions of one "
        "channel that produce their inputs. GFLOP/s count the operations of direct convolution.",
        columns=["layer", "kernel", "threads", "ms", "GFLOP/s"],
        rows=layers,
        **common,
    )
    record.write(
        "denormals",
        isa=about["isa"],
        title="Denormals",
        text="Median milliseconds of a layer on one thread, for inputs of 0.5 and of 1e-39, a denormal.",
        columns=["layer", "kernel", "ordinary", "denormal", "denormal / ordinary"],
        rows=[
            [*key, round(times["ordinary"], 3), round(times["denormal"], 3), round(times["denormal"] / times["ordinary"], 2)]
            for key, times in denormals.items()
        ],
        **common,
    )


if __name__ == "__main__":
    main()
