"""Times training steps here and in PyTorch, interleaved, and writes docs/performance/training.json.

    cargo build --release -p hardnet-model --example training_step
    python tests/training/compare.py TARGET/release/examples/training_step [CASE ...]

A step is forward, cross entropy, backward and SGD with momentum and weight decay; both sides have two threads. Every
turn is a process of its own, whose first step is left out. Times are medians over all steps of all turns, memory the
peak of a process. Cases that are not named keep the rows that are there."""

import os
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "benches"))
import record

THREADS, TURNS = 2, 3
# Variant, side, images of a batch, steps of a turn.
CASES = {
    "39ds-64": ("hardnet39ds", 64, 64, 4),
    "39ds-224": ("hardnet39ds", 224, 16, 2),
    "68-224": ("hardnet68", 224, 8, 2),
}
COLUMNS = [
    "network", "image", "batch", "PyTorch, ms an image", "here, ms an image", "ratio", "PyTorch, peak MiB", "here, peak MiB",
]


def run(command, **variables):
    return record.report(*command, cwd=HERE, env={**os.environ, **variables})


def measure(program, variant, side, batch, steps):
    arguments = [variant, str(side), str(batch), str(steps)]
    theirs, ours = [], []
    for _ in range(TURNS):
        theirs.append(run([sys.executable, "torch_step.py", *arguments, str(THREADS)]))
        ours.append(run([program, *arguments], RAYON_NUM_THREADS=str(THREADS)))
    times = [statistics.median(ms for turn in turns for ms in turn["ms"]) / batch for turns in (theirs, ours)]
    peaks = [max(turn["peak_mib"] for turn in turns) for turns in (theirs, ours)]
    row = [
        variant, f"{side}x{side}", batch, f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[1] / times[0]:.2f}",
        f"{peaks[0]:.0f}", f"{peaks[1]:.0f}",
    ]
    return row, theirs[0]["version"]


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    names = sys.argv[2:] or list(CASES)
    rows = record.rows("training")
    for name in names:
        row, version = measure(program, *CASES[name])
        rows = [other for other in rows if other[:3] != row[:3]] + [row]
        print(row, flush=True)
    record.write(
        "training",
        title="Training",
        text="Whole training steps on the CPU: forward, cross entropy, backward, SGD with momentum, interleaved with PyTorch; "
        "medians, 2 threads each, f32.",
        command="python tests/training/compare.py target/release/examples/training_step",
        commit=record.commit(),
        versions={"PyTorch": version, "Candle": "0.11.1"},
        columns=COLUMNS,
        rows=rows,
    )


main()
