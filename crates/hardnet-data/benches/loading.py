"""What reading, decoding, preparing and loading images cost, as a table for docs/performance.md.

    python crates/hardnet-data/benches/loading.py --weights FILE FOLDER target/release/hardnet [PROGRAM ...]

runs `hardnet bench --data FOLDER --weights FILE --json` with each of the programs, such as one with the feature
`exact-jpeg`, and writes docs/performance/loading.json.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "benches"))
import record


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rounds", default="5")
    arguments = parser.parse_args()
    rows = []
    for program in arguments.programs:
        options = ("--data", arguments.folder, "--weights", arguments.weights, "--rounds", arguments.rounds)
        report = record.report(program, "-q", "bench", *options, "--json")
        single, loader, evaluation = report["single"], report["loader"], report["eval"]
        stages = {"read": single["read_ms"], "decode": single["decode_ms"], "resize, crop, normalize": single["prepare_ms"]}
        stages["all of these"] = sum(stages.values())
        decoder = report["decoder"]
        rows += [[decoder, f"{name}, one thread", f"{ms:.3f}", f"{1e3 / ms:.0f}"] for name, ms in stages.items()]
        share = f"{100 * loader['share_of_ideal']:.0f} % of the cores'"
        speed = loader["images_per_second"]
        rows.append([decoder, f"loader, {report['workers']} workers, {share} ideal", f"{1e3 / speed:.3f}", f"{speed:.0f}"])
        speed, waiting = evaluation["images_per_second"], 100 * evaluation["waiting"]
        what = f"evaluation of {evaluation['model']}, {waiting:.0f} % of it waiting for images"
        rows.append([decoder, what, f"{1e3 / speed:.3f}", f"{speed:.0f}"])
    record.write(
        "loading",
        title="Loading images",
        text=f"{report['images']} photographs of {report['mean_bytes'] / 1000:.0f} kB and {report['mean_megapixels']:.2f} "
        f"megapixels on average, in the page cache; the median of {arguments.rounds} rounds.",
        command=f"python crates/hardnet-data/benches/loading.py --rounds {arguments.rounds} --weights FILE FOLDER PROGRAM ...",
        commit=report["tool"]["commit"],
        versions={"hardnet": report["tool"]["version"], "rustc": record.output("rustc", "--version").split()[1]},
        columns=["decoder", "what", "ms an image", "images/s"],
        rows=rows,
    )


if __name__ == "__main__":
    main()
