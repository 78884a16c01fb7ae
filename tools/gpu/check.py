"""Checks and measures `hardnet` on a GPU with what tools/gpu/build.sh built; it needs Python and the driver only.

    python3 check.py [--device cuda|cpu] [--seconds S] [--batches 1,8,64] [--output results.json]

* Tests: logits of all networks against stored ones of PyTorch and ONNX Runtime, and training steps against PyTorch's.
* The demonstration's 1,000 images: 94.10 % top-1, as on the CPU.
* Speed: each network at each batch size, Candle's depthwise convolutions, and PyTorch channels last with cuDNN and
  without where PyTorch is installed.

Prints tables in Markdown and writes everything as JSON. `--device cpu` is a rehearsal without a GPU."""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = ("golden", "train_mode", "picture")
TOP1 = 94.10


def run(*command, **variables):
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{HERE}:{os.environ.get('LD_LIBRARY_PATH', '')}", **variables}
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)


def lines(done, what):
    if done.returncode != 0:
        raise SystemExit(f"{what} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def tests(device):
    results = []
    for name in TESTS:
        done = run(HERE / name, "--test-threads", "1", HARDNET_TEST_DEVICE=device)
        summary = [line for line in done.stdout.splitlines() if line.startswith("test result")]
        failed = [line for line in done.stdout.splitlines() if line.startswith("test ") and line.endswith("FAILED")]
        print(f"{name}: {summary[0] if summary else 'did not run'}", flush=True)
        if done.returncode != 0:
            print(done.stdout[-3000:] + done.stderr[-3000:])
        results.append({"test": name, "passed": done.returncode == 0 and bool(summary), "failed": failed})
    return results


def demonstration(device):
    options = [] if device == "cpu" else ["--device", device]
    done = run(HERE / "hardnet", "eval", "--engine", "candle", "--json", *options)
    if done.returncode != 0:
        raise SystemExit(f"hardnet eval failed:\n{done.stderr[-3000:]}")
    report = json.loads(done.stdout)
    top1 = report["top1"]["percent"] if isinstance(report["top1"], dict) else report["top1"]
    print(f"demonstration: top-1 {top1:.2f} %, expected {TOP1:.2f} %", flush=True)
    return {"top1": top1, "passed": abs(top1 - TOP1) < 0.15}


def table(rows, theirs):
    print("\n| network | batch | Candle, ms | PyTorch, ms | PyTorch without cuDNN, ms | Candle's depthwise, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        same = [other for other in theirs if (other["network"], other["batch"]) == (row["network"], row["batch"])]
        by = {other["cudnn"]: f"{other['ms']:.2f}" for other in same}
        depthwise = row["candle_depthwise_ms"]
        print(
            f"| `{row['network']}` | {row['batch']} | {row['ms']:.2f} | {by.get(True) or by.get(None) or '-'} "
            f"| {by.get(False, '-')} | {'-' if depthwise is None else f'{depthwise:.2f}'} |"
        )


def graphics():
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True)
        return done.stdout.strip() or None
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--seconds", default="2")
    parser.add_argument("--batches", default="1,8,64")
    parser.add_argument("--output", default="results.json")
    arguments = parser.parse_args()
    device = arguments.device
    results = {"device": device, "gpu": graphics(), "host": platform.platform()}
    results["tests"] = tests(device)
    results["demonstration"] = demonstration(device)
    results["speed"] = lines(run(HERE / "device_speed", device, arguments.seconds, arguments.batches), "device_speed")
    done = run(sys.executable, HERE / "torch_speed.py", device, arguments.seconds, arguments.batches)
    results["torch"] = lines(done, "torch_speed.py") if "No module named 'torch'" not in done.stderr else []
    if not results["torch"]:
        print("PyTorch is not installed: no comparison")
    table(results["speed"], results["torch"])
    Path(arguments.output).write_text(json.dumps(results, indent=1) + "\n")
    passed = results["demonstration"]["passed"] and all(test["passed"] for test in results["tests"])
    print("\nall checks passed" if passed else "\nchecks failed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
