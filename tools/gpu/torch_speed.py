"""Times the four networks in PyTorch on a device, channels last, with cuDNN and without; a line of JSON each.

    python torch_speed.py [cuda|cpu] [SECONDS] [BATCH,...]

It needs PyTorch, and hardnet_torch.py of tests/training beside it or in its place in the repository."""

import json
import statistics
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tests" / "training")]
import hardnet_torch

NETWORKS = ("hardnet39ds", "hardnet68ds", "hardnet68", "hardnet85")


def median(run, wait, seconds):
    times, begun = [], time.perf_counter()
    while len(times) < 7 or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        run()
        wait()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times[2:])


def main():
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    batches = [int(batch) for batch in (sys.argv[3] if len(sys.argv) > 3 else "1,8,64").split(",")]
    # Full f32, as in Candle.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for name in NETWORKS:
        network = hardnet_torch.HarDNet(hardnet_torch.published(name)).eval().to(device).to(memory_format=torch.channels_last)
        for batch in batches:
            images = torch.zeros(batch, 3, 224, 224, device=device).to(memory_format=torch.channels_last)
            for cudnn in (True, False) if device == "cuda" else (None,):
                torch.backends.cudnn.enabled = bool(cudnn)
                with torch.inference_mode():
                    ms = median(lambda: network(images), wait, seconds)
                print(json.dumps({"network": name, "batch": batch, "device": device, "cudnn": cudnn, "ms": ms,
                                  "torch": torch.__version__}), flush=True)


main()
