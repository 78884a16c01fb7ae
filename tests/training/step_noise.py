"""How far one training step of a network moves by rounding alone: norms of gradients in PyTorch against those in float64.

    python step_noise.py hardnet85 hardnet68

The step of train_step.py. Printed per run: the largest difference of a parameter's norm, relative to what is above 1, whose it is, the
median over the parameters, and the largest difference of a logit. Runs in float32 differ in the order of sums (threads, and whether
oneDNN computes); runs in float64 have every value of the images changed by at most a part of it, chosen at random.
"""

import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))

import formula
from hardnet_torch import HarDNet, published

BATCH, SIDE, CLASSES, SEEDS = 4, 64, 10, 6


def step(variant, dtype, x):
    net = HarDNet(published(variant, CLASSES, dropout=False)).to(dtype)
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(formula.tensor(name, tuple(value.shape))).to(dtype))
    logits = net.train()(x.to(dtype))
    torch.nn.functional.cross_entropy(logits, torch.arange(BATCH)).backward()
    return {name: p.grad.norm().double().item() for name, p in net.named_parameters()}, logits.detach().double()


def report(what, found, expected):
    norms = expected[0]
    errors = sorted((abs(found[0][name] - norm) / max(1, abs(norm)), name) for name, norm in norms.items())
    logits = (found[1] - expected[1]).abs().max().item()
    worst, name = errors[-1]
    print(f"{what}: {worst:.2e} at {name}, median {errors[len(errors) // 2][0]:.2e}, logits {logits:.2e}", flush=True)


x = torch.from_numpy(formula.tensor("x", (BATCH, 3, SIDE, SIDE)))
for variant in sys.argv[1:]:
    exact = step(variant, torch.float64, x)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        report(f"{variant}, f32, {threads} threads", step(variant, torch.float32, x), exact)
    torch.set_num_threads(1)
    with torch.backends.mkldnn.flags(enabled=False):
        report(f"{variant}, f32 without oneDNN", step(variant, torch.float32, x), exact)
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        for part in (1e-7, 1e-6):
            moved = x.double() * (1 + part * (2 * torch.rand(x.shape, dtype=torch.float64) - 1))
            report(f"{variant}, f64, images changed by {part:g}", step(variant, torch.float64, moved), exact)
