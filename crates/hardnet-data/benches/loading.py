"""What reading, decoding, preparing and loading images cost, as a table for docs/performance.md.

    python crates/hardnet-data/benches/loading.py --weights FILE FOLDER target/release/hardnet [PROGRAM ...]

runs `hardnet bench --data FOLDER --weights FILE --json` with each of the programs, such as one with the feature
`exact-jpeg`, and writes docs/performance/loading.json. To be started at the top of the repository.
"""

import argparse
import datetime
import json
import pathlib
import subprocess


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rounds", default="5")
    parser.add_argument("--table", type=pathlib.Path, default="docs/performance/loading.json")
    arguments = parser.parse_args()
    rows = []
    for program in arguments.programs:
        options = ("--data", arguments.folder, "--weights", arguments.weights, "--rounds", arguments.rounds)
        report = json.loads(output(program, "-q", "bench", *options, "--json"))
        single, loader, evaluation = report["single"], report["loader"], report["eval"]
        stages = {"read": single["read_ms"], "decode": single["decode_ms"], "resize, crop, normalise": single["prepare_ms"]}
        stages["all of these"] = sum(stages.values())
        decoder = report["decoder"]
        rows += [[decoder, f"{name}, one thread", f"{ms:.3f}", f"{1e3 / ms:.0f}"] for name, ms in stages.items()]
        share = f"{100 * loader['share_of_ideal']:.0f} % of the cores'"
        speed = loader["images_per_second"]
        rows.append([decoder, f"loader, {report['workers']} workers, {share} ideal", f"{1e3 / speed:.3f}", f"{speed:.0f}"])
        speed, waiting = evaluation["images_per_second"], 100 * evaluation["waiting"]
        what = f"evaluation of {evaluation['model']}, {waiting:.0f} % of it waiting for images"
        rows.append([decoder, what, f"{1e3 / speed:.3f}", f"{speed:.0f}"])
    cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    table = {
        "title": "Loading images",
        "text": f"{report['images']} photographs of {report['mean_bytes'] / 1000:.0f} kB and {report['mean_megapixels']:.2f} "
        f"megapixels on average, in the page cache; the median of {arguments.rounds} rounds.",
        "command": f"python crates/hardnet-data/benches/loading.py --rounds {arguments.rounds} --weights FILE FOLDER PROGRAM ...",
        "machine": f"{cpu[0]}, {len(cpu)} processors",
        "date": datetime.date.today().isoformat(),
        "commit": report["tool"]["commit"],
        "versions": {"hardnet": report["tool"]["version"], "rustc": output("rustc", "--version").split()[1]},
        "columns": ["decoder", "what", "ms an image", "images/s"],
        "rows": rows,
    }
    arguments.table.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
