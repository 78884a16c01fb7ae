"""Measures how far CIO and MACs explain the time of layers, and writes `docs/performance/cio.json`.

    python benches/cio.py target/release/hardnet

Also draws `docs/images/efficiency.svg`, whose last panel is this machine's. Nothing else should run meanwhile.
"""

import datetime
import json
import pathlib
import subprocess
import sys

import record

ROOT = pathlib.Path(__file__).resolve().parent.parent
ITERS = "40"
MIB = 1 << 20


def main():
    program = sys.argv[1]
    # One thread: times of many depend on what else the machine does.
    arguments = ["info", "--measure", "--threads", "1", "--iters", ITERS]
    run = lambda *extra: subprocess.run([program, *arguments, *extra], check=True, capture_output=True, text=True).stdout
    measured = json.loads(run("--json"))
    paper = json.loads(subprocess.run([program, "info", "--paper", "--json"], check=True, capture_output=True).stdout)
    profile = json.loads(subprocess.run([program, "env", "--json"], check=True, capture_output=True).stdout)["profile"]
    whole = paper["rank_correlation_with_gpu_ms"]

    def row(name, line, rank):
        ranks = [round(rank[count], 2) for count in ("cio", "macs", "bytes")]
        if line is None:
            return [name] + [None] * 7 + [rank["steps"], *ranks]
        sizes = [4 * line["cio"], *(line[key] for key in ("map_bytes", "weight_bytes", "peak_live_bytes", "arena_bytes"))]
        return [name, round(line["ms"], 2), round(line["macs"] / 1e6, 1), *(round(size / MIB, 2) for size in sizes),
                rank["steps"], *ranks]

    table = {
        "title": "What CIO and MACs say of time",
        "text": "One image of 224x224 pixels by the plan, median of "
        f"{ITERS} runs, one thread, {measured['isa']}. CIO, maps (what the plan reads and writes of them), weights "
        "(packed), live (maps at most, by their lifetimes) and arena (where the plan places them) in MiB of f32. The last three columns "
        "are Spearman's rank correlation with time, over the steps of the plan that compute convolutions, of CIO, of MACs and of the bytes "
        "of maps and weights together; layers that are computed together are one step. Times and correlations are this machine's: "
        "the paper argues for processors whose memory is slow for what they compute. For whole networks on the paper's GPU, the correlations of its Table 4 are "
        f"{whole['cio']:.2f} (CIO) and {whole['macs']:.2f} (MACs).",
        "command": "python benches/cio.py PROGRAM",
        "machine": record.processor(),
        "date": datetime.date.today().isoformat(),
        "commit": measured["tool"]["commit"],
        "versions": {"hardnet": measured["tool"]["version"], "profile": profile},
        "columns": ["network", "ms", "MMACs", "CIO", "maps", "weights", "live", "arena", "steps", "rank CIO", "rank MACs", "rank bytes"],
        "rows": [row(line["model"], line, line["rank_correlation"]) for line in measured["networks"]]
        + [row("all", None, measured["all"])],
    }
    target = ROOT / "docs" / "performance" / "cio.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(table, indent=1) + "\n")
    picture = ROOT / "docs" / "images" / "efficiency.svg"
    picture.write_text(run("--plot", "efficiency"))
    print(target)
    print(picture)


if __name__ == "__main__":
    main()
