"""Writes optim.json: what torch.optim.SGD, clip_grad_norm_, CrossEntropyLoss and the learning-rate schedulers do.

Inputs follow from a linear congruence, which `oracle.rs` has too.
"""

import json
import os
import warnings

import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR, StepLR

warnings.filterwarnings("ignore")


def values(seed, count):
    """`count` multiples of 2^-20 in [-1, 1)."""
    state, out = seed, []
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        out.append((state >> 10) / 2**20 - 1)
    return out


SGD = [
    {"lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "clip": None},
    {"lr": 1e-4, "momentum": 0.0, "nesterov": False, "weight_decay": 6e-5, "clip": None},
    {"lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 6e-5, "clip": None},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 6e-5, "clip": None},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "clip": 1.5},
]


def sgd(case):
    """The two parameters after five steps with given gradients; the second has no weight decay."""
    shapes = [(3, 4), (5,)]
    parameters = [torch.nn.Parameter(torch.tensor(values(1 + i, 20)[: torch.Size(s).numel()]).reshape(s)) for i, s in enumerate(shapes)]
    groups = [
        {"params": parameters[:1], "weight_decay": case["weight_decay"]},
        {"params": parameters[1:], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=case["lr"], momentum=case["momentum"], nesterov=case["nesterov"])
    norms = []
    for step in range(5):
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.tensor(values(100 + 10 * step + i, parameter.numel())).reshape(parameter.shape)
        most = case["clip"] if case["clip"] is not None else float("inf")
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, most)))
        optimizer.step()
    return {**case, "norms": norms, "values": [p.detach().flatten().tolist() for p in parameters]}


def schedules():
    """Learning rates of `epochs` units; `warmup` of them rise linearly."""
    cases = []
    for decay, warmup in [("constant", 0), ("cosine", 0), ("step", 0), ("constant", 3), ("cosine", 4), ("step", 2)]:
        epochs, rate, start, least, every, factor = 20, 0.05, 0.1, 1e-3, 6, 0.2
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
        after = {
            "constant": lambda: ConstantLR(optimizer, factor=1.0, total_iters=1),
            "cosine": lambda: CosineAnnealingLR(optimizer, T_max=epochs - warmup, eta_min=least),
            "step": lambda: StepLR(optimizer, step_size=every, gamma=factor),
        }[decay]
        if warmup:
            first = LinearLR(optimizer, start_factor=start, end_factor=1.0, total_iters=warmup)
            scheduler = SequentialLR(optimizer, [first, after()], milestones=[warmup])
        else:
            scheduler = after()
        rates = []
        for _ in range(epochs):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        cases.append({"decay": decay, "warmup": warmup, "start": start, "least": least, "every": every,
                      "factor": factor, "rate": rate, "rates": rates})
    return cases


def losses():
    logits = torch.tensor(values(7, 12)).reshape(3, 4) * 5
    labels = torch.tensor([2, 0, 3])
    out = []
    for smoothing in [0.0, 0.1, 0.5]:
        leaf = logits.clone().double().requires_grad_()
        loss = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(leaf, labels)
        loss.backward()
        out.append({"smoothing": smoothing, "loss": float(loss), "gradient": leaf.grad.flatten().tolist()})
    return out


if __name__ == "__main__":
    cases = [sgd(case) for case in SGD]
    table = {"torch": torch.__version__, "sgd": cases, "schedules": schedules(), "losses": losses()}
    with open(os.path.join(os.path.dirname(__file__), "optim.json"), "w") as file:
        json.dump(table, file, indent=1)
        file.write("\n")
