"""Writes balance.json: what CrossEntropyLoss does with weights of classes, and WeightedRandomSampler with one over the
size of a sample's class for its weight.

Inputs follow from a linear congruence, which `balance.rs` has too. Made with torch 2.15.0.
"""

import collections
import json
import os

import torch
from optim import values

LOGITS = torch.tensor(values(7, 20)).reshape(5, 4) * 5
LABELS = torch.tensor([2, 0, 3, 0, 2])
WEIGHTS = [0.5, 1.0, 2.0, 0.25]
SIZES = [80, 15, 5]
EPOCHS = 4000


def losses():
    out = []
    for smoothing in [0.0, 0.1, 0.5]:
        for weights in [WEIGHTS, [1.0] * 4]:
            leaf = LOGITS.clone().double().requires_grad_()
            weight = torch.tensor(weights).double()
            loss = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(leaf, LABELS)
            loss.backward()
            gradient = leaf.grad.flatten().tolist()
            out.append({"smoothing": smoothing, "weights": weights, "loss": float(loss), "gradient": gradient})
    return out


def sampler():
    """Per class: the mean number of draws in an epoch and its deviation, and the mean number of different samples."""
    labels = [label for label, size in enumerate(SIZES) for _ in range(size)]
    weights = [1 / SIZES[label] for label in labels]
    generator = torch.Generator().manual_seed(1)
    draws, different = [[] for _ in SIZES], [[] for _ in SIZES]
    for _ in range(EPOCHS):
        indices = list(torch.utils.data.WeightedRandomSampler(weights, len(labels), generator=generator))
        counts = collections.Counter(labels[index] for index in indices)
        kinds = collections.Counter(labels[index] for index in set(indices))
        for label in range(len(SIZES)):
            draws[label].append(counts[label])
            different[label].append(kinds[label])
    moments = [torch.tensor(numbers).double() for numbers in draws]
    return {
        "sizes": SIZES,
        "epochs": EPOCHS,
        "draws": [float(numbers.mean()) for numbers in moments],
        "deviations": [float(numbers.std()) for numbers in moments],
        "different": [float(torch.tensor(numbers).double().mean()) for numbers in different],
    }


if __name__ == "__main__":
    table = {"torch": torch.__version__, "losses": losses(), "sampler": sampler()}
    with open(os.path.join(os.path.dirname(__file__), "balance.json"), "w") as file:
        json.dump(table, file, indent=1)
        file.write("\n")
