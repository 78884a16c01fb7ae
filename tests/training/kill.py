"""Kills `hardnet train` at random moments and shows that nothing finished is lost.

    python kill.py path/to/hardnet [kills] [seed]

A small network is trained for some epochs without a stop. Then the same run is started anew, killed (SIGKILL), resumed and
killed again, so many times, at moments drawn over the time that an epoch and its files take. After each kill every file that
has its name must be whole, and no finished epoch may be missing from the state. In the end the run is finished: its weights
must have the bytes of the run that was never stopped.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
from hardnet_torch import initial, save, small_config, write_idx
from safetensors import safe_open

EPOCHS, IMAGES, SIDE = 8, 480, 32


def files(folder):
    """The number of finished epochs by the state, after every file was read whole."""
    finished = 0
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".safetensors"):
            with safe_open(path, "np") as file:
                for key in file.keys():
                    assert np.isfinite(file.get_tensor(key)).all(), (name, key)
                if name.startswith("state"):
                    finished = len(json.loads(file.metadata()["hardnet-train"])["history"])
        elif name.endswith(".jsonl"):
            with open(path) as file:
                epochs = [json.loads(line)["epoch"] for line in file]
            assert epochs == list(range(1, len(epochs) + 1)), epochs
        elif name.endswith(".svg"):
            with open(path) as file:
                assert file.read().endswith("</svg>\n")
        elif name.endswith(".json"):
            with open(path) as file:
                json.load(file)
    return finished


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    program = os.path.abspath(sys.argv[1])
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    chance = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    os.chdir(tempfile.mkdtemp())
    config = small_config(3)
    save(initial(config, 0), config, "small.safetensors")
    numbers = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 3
    images = numbers.integers(0, 60, (IMAGES, SIDE, SIDE)) + 120 * (np.arange(SIDE) % 6 < 3) * (labels == 1)[:, None, None]
    images += 120 * (np.arange(SIDE)[:, None] % 6 < 3) * (labels == 2)[:, None, None]
    write_idx("train-images-idx3-ubyte", images)
    write_idx("train-labels-idx1-ubyte", labels)
    new = [
        program, "train", "-q", "-q", "--threads", "1", "-j", "1", "--checkpoint-every", "4", "--weights", "small.safetensors",
        "--data-dir", "train-images-idx3-ubyte", "--hold-out", "60", "--img-size", str(SIDE), "--crop-pct", "1",
        "--epochs", str(EPOCHS), "-b", "32", "--crop", "padded", "--crop-padding", "3", "--ema", "0.9", "-o",
    ]
    began = time.time()
    subprocess.run(new + ["whole"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.time() - began
    print(f"{EPOCHS} epochs without a stop: {seconds:.1f} s")

    resume = [program, "train", "-q", "-q", "--threads", "1", "-j", "1", "--checkpoint-every", "4", "--resume", "killed"]
    finished, killed = 0, 0
    while killed < kills:
        begins = os.path.exists("killed/state.safetensors")
        command = resume if begins else new + ["killed", "--force"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Two epochs' time: enough to get anywhere, and to be killed while files are written.
        time.sleep(chance.uniform(0, 2 * seconds / EPOCHS))
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read().decode()
            # It came to its end: begin anew.
            assert digest("killed/last.safetensors") == digest("whole/last.safetensors")
            os.rename("killed", f"done-{killed}")
            finished = 0
            continue
        process.kill()
        process.wait()
        killed += 1
        now = files("killed") if os.path.isdir("killed") else 0
        left = [name for name in os.listdir("killed") if name.endswith(".partial")] if os.path.isdir("killed") else []
        print(f"kill {killed}: {now} finished epochs" + (f", in the middle of {left[0]}" if left else ""))
        assert now >= finished, (now, finished)
        finished = now
    if os.path.exists("killed/state.safetensors"):
        subprocess.run(resume, check=True, stdout=subprocess.DEVNULL)
        assert files("killed") == EPOCHS
        for name in ["last.safetensors", "best.safetensors"]:
            assert digest(f"killed/{name}") == digest(f"whole/{name}"), name
    print(f"{kills} kills: every file whole, no finished epoch lost, the same bytes in the end")


main()
