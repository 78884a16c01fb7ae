"""Writes crops.json: the distribution of torchvision's RandomResizedCrop.get_params on some sizes of picture.

For each case, 19 quantiles (5 %, 10 %, ..) of the crop's share of the area, its width over height, and the place of its
left and upper edge, with their means and standard deviations, from 200,000 draws.
"""

import json
import os

import numpy as np
import torch
import torchvision
from torchvision.transforms import RandomResizedCrop

CASES = [
    ((40, 30), (0.08, 1.0), (3 / 4, 4 / 3)),
    ((28, 28), (0.5, 1.0), (0.8, 1.25)),
    ((200, 300), (0.08, 0.3), (0.5, 2.0)),
    ((12, 90), (0.2, 1.0), (3 / 4, 4 / 3)),
]
DRAWS = 200_000


def main():
    torch.manual_seed(0)
    out = {"torchvision": torchvision.__version__, "torch": torch.__version__, "draws": DRAWS, "cases": []}
    for (width, height), scale, ratio in CASES:
        image = torch.empty(3, height, width)
        draws = np.array([RandomResizedCrop.get_params(image, scale, ratio) for _ in range(DRAWS)], dtype=float)
        top, left, h, w = draws.T
        columns = {"area": w * h / (width * height), "ratio": w / h, "left": left, "top": top}
        levels = np.arange(1, 20) / 20
        quantiles = {name: [round(float(q), 6) for q in np.quantile(values, levels)] for name, values in columns.items()}
        means = {name: round(float(values.mean()), 6) for name, values in columns.items()}
        deviations = {name: round(float(values.std()), 6) for name, values in columns.items()}
        out["cases"].append({
            "size": [width, height], "scale": scale, "ratio": ratio,
            "quantiles": quantiles, "means": means, "deviations": deviations,
        })
    path = os.path.join(os.path.dirname(__file__), "crops.json")
    with open(path, "w") as file:
        json.dump(out, file, indent=1)
        file.write("\n")


main()
