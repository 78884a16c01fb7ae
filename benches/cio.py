"""Measures how far CIO and MACs explain the time of layers, and writes `docs/performance/cio.json`.

    python benches/cio.py target/release/hardnet

Also draws `docs/images/efficiency.svg`, whose last panel is this machine's. Nothing else should run meanwhile.
"""

import sys

import record

ITERS = "40"
MIB = 1 << 20


def main():
    program = sys.argv[1]
    # One thread: times of many depend on what else the machine does.
    arguments = ["info", "--measure", "--threads", "1", "--iters", ITERS]
    measured = record.report(program, *arguments, "--json")
    paper = record.report(program, "info", "--paper", "--json")
    profile = record.report(program, "env", "--json")["profile"]
    whole = paper["rank_correlation_with_gpu_ms"]

    def row(name, line, rank):
        ranks = [round(rank[count], 2) for count in ("cio", "macs", "bytes")]
        if line is None:
            return [name] + [None] * 7 + [rank["steps"], *ranks]
        sizes = [4 * line["cio"], *(line[key] for key in ("map_bytes", "weight_bytes", "peak_live_bytes", "arena_bytes"))]
        return [name, round(line["ms"], 2), round(line["macs"] / 1e6, 1), *(round(size / MIB, 2) for size in sizes),
                rank["steps"], *ranks]

    record.write(
        "cio",
        title="How well CIO and MACs explain time",
        text="One image of 224x224 pixels on the native engine, median of "
        f"{ITERS} runs, one thread, {measured['isa']}. CIO (4 bytes for each of its elements), maps (bytes of them read "
        "and written), weights (packed), live (the peak of maps by lifetime) and arena (the memory that holds them) are in "
        "MiB. The last three columns are Spearman's rank correlation with time, over the plan's convolution steps, of CIO, of MACs and of the bytes "
        "of maps and weights together; a fused group is one step. Times and correlations are those of this machine; the paper "
        "argues for processors with slow memory relative to their arithmetic. For whole networks on the paper's GPU, the "
        "correlations in its Table 4 are "
        f"{whole['cio']:.2f} (CIO) and {whole['macs']:.2f} (MACs).",
        command="python benches/cio.py PROGRAM",
        commit=measured["tool"]["commit"],
        versions={"hardnet": measured["tool"]["version"], "profile": profile},
        columns=["network", "ms", "MMACs", "CIO", "maps", "weights", "live", "arena", "steps", "rank CIO", "rank MACs", "rank bytes"],
        rows=[row(line["model"], line, line["rank_correlation"]) for line in measured["networks"]]
        + [row("all", None, measured["all"])],
    )
    picture = record.ROOT / "docs" / "images" / "efficiency.svg"
    picture.write_text(record.output(program, *arguments, "--plot", "efficiency") + "\n")
    print(picture)


if __name__ == "__main__":
    main()
