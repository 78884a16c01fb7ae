"""Measures training steps by several ranks, and predicts those of more: docs/performance/scaling*.json, the picture and
the figures of docs/distributed.md.

    cargo build --release -p hardnet-cli --features mpi
    cargo build --release -p hardnet-mpi --example step
    python benches/scaling.py measure target/release/hardnet target/release/examples/step
    python benches/scaling.py write
    python benches/scaling.py check

`measure` needs root, iproute2, Open MPI and MPICH. It leaves out what is measured already and stops after `--seconds`,
so that it can be called again and goes on; `--again` measures all. `write` makes from the measured steps what the model of
benches/scaling_model.py says, and `check` fails if any of it is not up to date. Both need Python alone."""

import argparse
import contextlib
import json
import random
import statistics
import struct
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import links
import record
from scaling_model import Costs, step

sys.path.insert(0, str(record.ROOT / "docs" / "images"))
import scaling_picture

MEASURED = record.ROOT / "benches" / "scaling.json"
COLUMNS = ["network", "computing", "ranks", "shards", "connection", "link, Mb/s", "plain transfer, Mb/s", "step, ms", "message, bytes"]
NETWORKS = ("hardnet39ds", "hardnet68")
# What a virtual shard waits for in place of computing, in milliseconds.
WAIT = 200
# Ranks and virtual shards without links: one process, then ranks that share memory.
ALONE, TOGETHER = (2, 4, 8), ((2, 2), (2, 4), (4, 4))
# Speeds of links in Mb/s, and ranks with a shard each.
SPEEDS, RANKS = {"hardnet39ds": (100, 500, 1000, 2500), "hardnet68": (500, 1000, 2500)}, (2, 4)
COMPUTED_SPEEDS = {"hardnet39ds": (100, 500), "hardnet68": (500,)}
# Images of a virtual shard that is computed, on one thread for each rank and on all of the machine.
IMAGES, IMAGES_OF_MACHINE = 8, 32
WAITS, COMPUTES = f"waits {WAIT} ms", "trains, 1 thread a rank"
MACHINE = "trains, 2 threads"
# Those of the machine, which all ranks share.
CORES = 2
# The ranks, shards and connection whose steps say what messages cost.
HANDLING = (2, 4, "memory, Open MPI")
# Two runs at once: what the cores of the machine take from each other.
BESIDE = "none, beside another run"
SHARED = {"Open MPI": "open-mpi", "MPICH": "mpich"}
LAUNCHERS = {
    "Open MPI": ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"],
    "MPICH": ["mpiexec.mpich", "-n"],
}


def wanted():
    """The first columns of all rows, up to the connection and its speed."""
    for network in NETWORKS:
        yield [network, MACHINE, 1, 1, "none", None]
        for shards in ALONE:
            yield [network, WAITS, 1, shards, "none", None]
        for ranks, shards in TOGETHER:
            for name in SHARED:
                yield [network, WAITS, ranks, shards, f"memory, {name}", None]
        for speed in SPEEDS[network]:
            for ranks in RANKS:
                yield [network, WAITS, ranks, ranks, "link", speed]
        yield [network, COMPUTES, 1, 2, "none", None]
        yield [network, COMPUTES, 1, 2, BESIDE, None]
        yield [network, COMPUTES, 2, 2, "memory, Open MPI", None]
        for speed in COMPUTED_SPEEDS[network]:
            yield [network, COMPUTES, 2, 2, "link", speed]


def waiting(program, row):
    """The milliseconds of a step that waits in place of computing, and the Mb/s of a plain transfer on its links."""
    network, _, ranks, shards, connection, speed = row
    arguments = [program, network, shards, WAIT, 5]
    if connection == "none":
        return record.report(*arguments, "alone"), None
    if connection != "link":
        name = connection.removeprefix("memory, ")
        return record.report(*LAUNCHERS[name], ranks, *arguments, SHARED[name]), None
    with links.Links(ranks, speed) as shaped:
        transfer = 8e-6 * shaped.measured()
        return record.report(*shaped.mpirun(), *arguments, "open-mpi"), round(transfer, 1)


def training(program, row):
    """The milliseconds of steps of `hardnet train`, the mean of each epoch after the first."""
    network, computing, ranks, shards, connection, speed = row
    threads, images = (1, IMAGES) if computing == COMPUTES else (2, IMAGES_OF_MACHINE)
    batch, epochs, steps = shards * images, 3, 2
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), batch * steps)
        command = [program, "train", "--model", network, "--data-dir", "train-images-idx3-ubyte", "--num-classes", 1000]
        command += ["--img-size", 224, "--crop-pct", 1, "--crop", "none", "--flip", 0, "-b", batch, "--lr", 0.001]
        command += ["--virtual-shards", shards, "--epochs", epochs, "--threads", threads, "-j", 1]
        runs = ["run", "other"][: 2 if connection == BESIDE else 1]
        with links.Links(ranks, speed) if speed else contextlib.nullcontext() as shaped, ThreadPoolExecutor() as pool:
            transfer = shaped and round(8e-6 * shaped.measured(), 1)
            launcher = shaped.mpirun() if shaped else [*LAUNCHERS["Open MPI"], ranks] if ranks > 1 else []
            list(pool.map(lambda run: record.output(*launcher, *command, "-o", run, cwd=folder), runs))
        texts = [(Path(folder) / run / "metrics.jsonl").read_text() for run in runs]
    rates = [json.loads(line)["images_per_second"] for text in texts for line in text.splitlines()[1:]]
    return {"ms": [1e3 * batch / rate for rate in rates]}, transfer


def write_images(folder, count, side=224):
    pixels = random.Random(1).randbytes(count * side * side)
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, side, side) + pixels)
    labels = bytes(number % 10 for number in range(count))
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)


def measure(arguments):
    end = time.monotonic() + arguments.seconds
    about = record.report(arguments.hardnet, "env", "--json")
    launcher = record.output("mpirun.openmpi", "--version").splitlines()[0].split()[-1]
    mpich = next(line for line in record.output("mpiexec.mpich", "--version").splitlines() if "Version" in line)
    versions = {"hardnet": about["version"], "Open MPI": launcher, "MPICH": mpich.split()[-1]}
    stored = json.loads(MEASURED.read_text())["rows"] if MEASURED.exists() and not arguments.again else []
    known = {key(row): row for row in stored}
    for row in wanted():
        if key(row) in known:
            continue
        if time.monotonic() > end:
            print("not all is measured; call this again")
            break
        found, transfer = waiting(arguments.step, row) if row[1] == WAITS else training(arguments.hardnet, row)
        known[key(row)] = row = [*row, transfer, round(statistics.median(found["ms"]), 1), found.get("bytes")]
        print(row, found["ms"], flush=True)
        record.write(
            "scaling",
            file=MEASURED,
            title="Training steps by several ranks",
            text="Medians. What follows from them is in docs/performance.",
            command="python benches/scaling.py measure",
            commit=about["commit"],
            versions=versions,
            columns=COLUMNS,
            rows=[known[key(row)] for row in wanted() if key(row) in known],
        )


def key(row):
    return tuple(row[:6])


class Measured:
    """The measured steps, and what the parts of a step cost."""

    def __init__(self, table):
        self.source = table
        self.rows = table["rows"]
        self.steps = {key(row): row[7] / 1e3 for row in self.rows}
        self.costs = {network: self.of(network) for network in NETWORKS}

    def of(self, network):
        """The costs of a network whose shards wait."""
        times = {shards: self.steps[network, WAITS, 1, shards, "none", None] for shards in ALONE}
        # A line through the times of a process with several shards.
        slope, change = statistics.linear_regression(list(times), list(times.values()))
        pair = self.steps[network, WAITS, *HANDLING, None]
        wait, bytes_of = WAIT / 1e3, {row[0]: row[8] for row in self.rows if row[8]}
        # Two ranks with two shards each exchange half of the values each way, after all are computed.
        handling = 2 * (pair - 2 * slope - change)
        return Costs(wait, slope - wait, change, handling, bytes_of[network], window=1 / 3, waits=True)

    def computing(self, network, connection=BESIDE):
        """The costs where each shard is computed on one thread; none if that is not measured."""
        costs, shards = self.costs[network], 2
        step = self.steps.get((network, COMPUTES, 1, shards, connection, None))
        return step and replace(costs, shard=(step - costs.change) / shards - costs.add, window=2 / 3, waits=False)

    def on_machine(self, network):
        """The costs where a shard of many images is computed on all threads of the machine; none if that is not
        measured."""
        costs = self.costs[network]
        step = self.steps.get((network, MACHINE, 1, 1, "none", None))
        return step and replace(costs, shard=step - costs.change - costs.add, window=2 / 3, waits=False)

    def checked(self):
        """Each measured step that is not a cost itself, with the predicted one."""
        for row in self.rows:
            network, computing, ranks, shards, connection, speed, transfer, milliseconds, _ = row
            if ranks == 1 or computing == WAITS and (ranks, shards, connection) == HANDLING:
                continue
            costs = self.costs[network] if computing == WAITS else self.computing(network)
            if not costs:
                continue
            costs = replace(costs, crowd=max(1, ranks / CORES), rate=transfer * 1e6 / 8 if speed else None)
            predicted = 1e3 * step(ranks, shards, costs).ended
            yield [*row[:8], round(predicted, 1), round(predicted / milliseconds, 2)]

    def efficiency_of_links(self):
        """The share of a link's speed that a plain transfer gets, where the processor does not limit it."""
        return statistics.median(row[6] / row[5] for row in self.rows if row[5] and row[5] <= 1000)


# What is predicted: ranks, links in Gb/s, and machines of a rank with their speed relative to the one measured.
MORE_RANKS, GIGABITS = (16, 64, 256), (10, 100)
MACHINES = {"2 cores, measured": 1, "32 cores, assumed": 16}


def predictions(measured, more_ranks=MORE_RANKS):
    """Rows of images a second and efficiency. A rank is a machine with one shard of a step."""
    for network in NETWORKS:
        base = measured.on_machine(network)
        if not base:
            continue
        for machine, factor in MACHINES.items():
            costs = replace(base, shard=base.shard / factor)
            alone = step(1, 1, costs).ended
            for gigabits in GIGABITS:
                linked = replace(costs, rate=gigabits * 1e9 / 8 * measured.efficiency_of_links())
                for ranks in more_ranks:
                    ended = step(ranks, ranks, linked).ended
                    shares = [round(100 * alone / time) for time in (ended, step(ranks, ranks, linked, False).ended)]
                    yield [
                        network, machine, gigabits, ranks, round(IMAGES_OF_MACHINE * ranks / ended),
                        round(ranks * alone / ended, 1), *shares,
                    ]  # fmt: skip


def part(measured):
    """The table of docs/distributed.md."""
    heads = [f"{ranks} ranks" for ranks in MORE_RANKS]
    lines = [f"| network | a rank | link | {' | '.join(heads)} | {', no overlap | '.join(heads)}, no overlap |"]
    lines += ["|---|---|---|" + "---:|" * 2 * len(MORE_RANKS)]
    rows = list(predictions(measured))
    for first in range(0, len(rows), len(MORE_RANKS)):
        group = rows[first : first + len(MORE_RANKS)]
        network, machine, gigabits = group[0][:3]
        shares = [f"{row[column]} %" for column in (6, 7) for row in group]
        lines.append(f"| {network} | {machine} | {gigabits} Gb/s | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


TABLES = {
    "scaling-parts": {
        "title": "Training by several ranks: parts of a step",
        "text": f"""Milliseconds on one thread, fitted to steps in which a virtual shard waits {WAIT} ms in place of computing:
one process with {", ".join(map(str, ALONE))} shards, and two ranks that share memory. `sums` are those of a further shard, `change` the rest of a step of
one process, `handling` what a rank needs to send, receive and add all values once each way, twice of what two ranks need.
The last columns are
`hardnet train` on images of 224x224 pixels; two runs at once, each on one of the two cores, slow each other down, and
so do two ranks.""",
        "columns": [
            "network", "values, MB", "sums, ms", "change, ms", "handling, ms", f"a shard of {IMAGES}, 1 thread, ms",
            "beside another run, ms", f"a shard of {IMAGES_OF_MACHINE}, 2 threads, ms",
        ],
        "rows": lambda measured: [
            [network, round(costs.bytes / 1e6, 1), *(round(1e3 * time, 1) for time in (costs.add, costs.change, costs.handling)),
             *(each and round(1e3 * each.shard) for each in (
                 measured.computing(network, "none"), measured.computing(network), measured.on_machine(network)))]
            for network, costs in measured.costs.items()
        ],
    },
    "scaling-checked": {
        "title": "Training by several ranks: steps measured and predicted",
        "text": """Milliseconds of a step. Links are those of network namespaces with a token bucket at both ends, over TCP; the plain
transfer is what a program without MPI gets through them, and the speed that the prediction uses. All ranks share two cores.""",
        "columns": [*COLUMNS[:8], "predicted, ms", "predicted by measured"],
        "rows": Measured.checked,
    },
    "scaling-predicted": {
        "title": "Training by several ranks: predicted",
        "text": f"""Each rank is a machine that computes a virtual shard of {IMAGES_OF_MACHINE} images of 224x224 pixels in each step. The machine of 32
cores is assumed to compute 16 times as fast as the two that were measured, and to handle messages on one core as they do.
Speedup and efficiency are relative to one rank. The last column is the efficiency if the first message did not travel
during the backward pass.""",
        "columns": [
            "network", "machine of a rank", "link, Gb/s", "ranks", "images/s", "speedup", "efficiency, %",
            "without overlap, %",
        ],
        "rows": predictions,
    },
}  # fmt: skip

PAGE, PICTURE = "docs/distributed.md", "docs/images/scaling.svg"
BEGIN, END = "<!-- generated by benches/scaling.py -->\n", "<!-- end -->"


def made(folder):
    """All that follows from the measured steps: by its path in the repository, the text; tables by way of a folder."""
    measured = Measured(json.loads(MEASURED.read_text()))
    texts = {}
    for name, table in TABLES.items():
        file = Path(folder) / f"{name}.json"
        rows = list(table["rows"](measured))
        with contextlib.redirect_stdout(None):
            text = " ".join(table["text"].split())
            command = "python benches/scaling.py"
            record.write(
                name, title=table["title"], text=text, command=command, columns=table["columns"], rows=rows, file=file,
                source=measured.source,
            )  # fmt: skip
        texts[f"docs/performance/{name}.json"] = file.read_text()
    rows = list(predictions(measured, [1 << bit for bit in range(9)]))
    texts[PICTURE] = scaling_picture.draw(NETWORKS, list(MACHINES), list(measured.checked()), rows)
    page = (record.ROOT / PAGE).read_text()
    before, rest = page.split(BEGIN)
    texts[PAGE] = f"{before}{BEGIN}\n{part(measured)}\n{END}{rest.split(END, 1)[1]}"
    return texts


def write():
    with tempfile.TemporaryDirectory() as folder:
        for path, text in made(folder).items():
            (record.ROOT / path).write_text(text)
            print(path)


def check():
    with tempfile.TemporaryDirectory() as folder:
        old = [path for path, text in made(folder).items() if (record.ROOT / path).read_text() != text]
    if old:
        sys.exit(f"not what benches/scaling.json says: {', '.join(old)}; run `python benches/scaling.py write`")
    print("what follows from benches/scaling.json is up to date")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(required=True)
    task = tasks.add_parser("measure")
    task.add_argument("hardnet")
    task.add_argument("step")
    task.add_argument("--seconds", type=float, default=float("inf"))
    task.add_argument("--again", action="store_true")
    task.set_defaults(run=measure)
    tasks.add_parser("write").set_defaults(run=lambda _: write())
    tasks.add_parser("check").set_defaults(run=lambda _: check())
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
