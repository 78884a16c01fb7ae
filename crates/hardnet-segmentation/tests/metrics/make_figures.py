"""Writes figures.json: what NumPy 2.4.6 makes of counts that `tests/metrics.rs` counts too.

The formulas are those of FC-HarDNet's `ptsemseg/metrics.py` (`runningScore`): a histogram over the pixels whose true
label is a class, and figures of it with `nanmean`. Truth and prediction are pseudo-random by `values`, which the test
repeats. Figures are stored as the bits of an f64.

    python3 make_figures.py > figures.json
"""

import json
import struct

import numpy as np

assert np.__version__ == "2.4.6"


def values(seed, count):
    """The high bytes of a linear congruential generator."""
    state, out = seed, np.empty(count, np.int64)
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = state >> 56
    return out


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def histogram(truth, found, n):
    counted = (truth >= 0) & (truth < n)
    return np.bincount(n * truth[counted] + found[counted], minlength=n**2).reshape(n, n)


def figures(hist):
    right = np.diag(hist)
    accuracy = right / hist.sum(axis=1)
    iou = right / (hist.sum(axis=1) + hist.sum(axis=0) - right)
    share = hist.sum(axis=1) / hist.sum()
    return {
        "pixel_accuracy": bits(right.sum() / hist.sum()),
        "mean_accuracy": bits(np.nanmean(accuracy)),
        "mean_iou": bits(np.nanmean(iou)),
        "frequency_weighted_iou": bits((share[share > 0] * iou[share > 0]).sum()),
        "accuracy": [bits(abs(x)) for x in accuracy],
        "iou": [bits(abs(x)) for x in iou],
    }


def case(n, shown, count, agree):
    """`n` classes, of which `shown` occur in truth; the prediction is right where a third stream is below `agree`."""
    hist = np.zeros((n, n))
    for image in range(3):
        truth, found, coin = (values(100 * image + n + k, count) for k in range(3))
        truth = np.where(truth >= 240, 255, truth % shown)
        found = np.where((coin < agree) & (truth < n), truth, found % n)
        hist += histogram(truth, found, n)
    return {"classes": n, "shown": shown, "pixels": count, "agree": agree, **figures(hist)}


with np.errstate(invalid="ignore"):
    cases = [
        case(2, 2, 50, 200),
        case(7, 7, 300, 128),
        case(8, 8, 300, 230),
        case(19, 19, 2000, 200),
        case(19, 11, 700, 180),
        case(150, 140, 3000, 100),
        case(200, 200, 3000, 220),
    ]
print(json.dumps(cases, separators=(",", ":")))
