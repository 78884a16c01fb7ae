"""Times whole training steps in PyTorch: forward, cross entropy, backward, SGD with momentum.

    python torch_step.py VARIANT SIDE BATCH STEPS THREADS

Prints one line of JSON: milliseconds of each step, the first left out, and the peak of the process's memory in MiB.
"""

import json
import resource
import sys
import time

import torch
from hardnet_torch import HarDNet, published

variant, side, batch, steps, threads = sys.argv[1], *map(int, sys.argv[2:6])
torch.set_num_threads(threads)
torch.manual_seed(0)
net = HarDNet(published(variant)).train()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=6e-5)
images = torch.randn(batch, 3, side, side)
labels = torch.randint(0, 1000, (batch,))
times = []
for _ in range(steps + 1):
    start = time.perf_counter()
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(images), labels)
    loss.backward()
    optimizer.step()
    loss.item()
    times.append(1000 * (time.perf_counter() - start))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"ms": times[1:], "peak_mib": peak, "version": torch.__version__}))
