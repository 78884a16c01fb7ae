"""Writes scores.json: classes that PyTorch 2.15.0 finds by interpolation, softmax and argmax.

Logits are those of `logit` below, which `tests/scores.rs` repeats. A pixel whose two best values differ by less than
1e-4 is stored as 255: there, rounding may decide.

    python3 make_scores.py > scores.json
"""

import json

import torch
import torch.nn.functional as F

assert torch.__version__.startswith("2.15.0")


def logits(classes, width, height, seed):
    i = torch.arange(classes * height * width, dtype=torch.int64)
    mixed = (i * 2654435761 + seed * 40503) % 65521
    return (mixed.double() / 8192.0).float().reshape(1, classes, height, width)


def view(classes, stored, size, corners, base, seed):
    map = F.interpolate(logits(classes, *stored, seed), size[::-1], mode="bilinear", align_corners=corners)
    return map if size == base else F.interpolate(map, base[::-1], mode="bilinear", align_corners=False)


def labels(map):
    best = map.topk(2, dim=1)
    clear = best.values[:, 0] - best.values[:, 1] > 1e-4
    return torch.where(clear, best.indices[:, 0], 255)[0].flatten().tolist()


def case(classes, views, corners, base, output, probabilities):
    maps = [view(classes, stored, size, corners, base, seed) for seed, (stored, size) in enumerate(views)]
    if probabilities and len(maps) > 1:
        maps = [map.softmax(dim=1) for map in maps]
    merged = sum(maps)
    if output != base:
        merged = F.interpolate(merged, output[::-1], mode="bilinear", align_corners=False)
    found = "".join(f"{label:02x}" for label in labels(merged))
    return {
        "classes": classes, "views": views, "corners": corners, "base": base, "output": output,
        "probabilities": probabilities, "labels": found,
    }  # fmt: skip


one = [[(7, 5), (28, 20)]]
cases = [case(4, one, corners, (28, 20), (28, 20), False) for corners in (True, False)]
cases.append(case(3, [[(8, 6), (29, 21)]], True, (29, 21), (17, 33), False))
cases.append(case(3, [[(8, 6), (29, 21)]], False, (29, 21), (40, 21), False))
pair = [[(8, 6), (32, 24)], [(8, 6), (32, 24)]]
cases.append(case(5, pair, True, (32, 24), (32, 24), False))
several = [[(6, 5), (24, 18)], [(8, 6), (32, 24)], [(10, 8), (40, 30)]]
cases.append(case(5, several, False, (32, 24), (32, 24), True))
cases.append(case(5, several, True, (32, 24), (50, 13), True))
print(json.dumps(cases, separators=(",", ":")))
