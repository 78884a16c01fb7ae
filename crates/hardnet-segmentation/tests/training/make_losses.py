"""Writes losses.json: losses and gradients of segmentation by PyTorch 2.15.0 in f64, and colors by Pillow 13.0.0.

Logits and truth are those of the formulas below, which `tests/training.rs` repeats. The bootstrapped loss is written
from its description in `training/loss.rs`.

    python3 make_losses.py > losses.json      # in an environment with PyTorch
    python3 make_losses.py colors > colors.json   # in one with Pillow
"""

import json
import sys


def logit(i, seed):
    return ((i * i * 7919 + i * 40503 + seed * 9973) % 65521) / 8192.0 - 4.0


def true_class(pixel, classes):
    return 255 if pixel % 7 == 3 else (pixel * 5 + pixel // 11) % classes


def losses():
    import torch
    import torch.nn.functional as F

    assert torch.__version__.startswith("2.15.0")

    def case(classes, pixels, seed, bootstrap):
        values = [logit(i, seed) for i in range(classes * pixels)]
        # The test's logits are f32.
        logits = torch.tensor(values, dtype=torch.float32).double().reshape(classes, pixels).requires_grad_()
        truth = torch.tensor([true_class(pixel, classes) for pixel in range(pixels)])
        each = F.cross_entropy(logits.T, truth, ignore_index=255, reduction="none")
        if bootstrap is None:
            loss = F.cross_entropy(logits.T, truth, ignore_index=255)
        else:
            least, threshold = bootstrap
            hardest = each.sort(descending=True).values
            above = hardest[hardest > threshold]
            loss = (above if len(above) > least else hardest[:least]).mean()
        loss.backward()
        gradient = [float(f"{value:.10g}") for value in logits.grad.flatten().tolist()]
        arguments = {"classes": classes, "pixels": pixels, "seed": seed, "bootstrap": bootstrap}
        return {**arguments, "loss": loss.item(), "gradient": gradient}

    shapes = [(2, 20, 1), (5, 60, 2)]
    kinds = [None, (10, 0.3), (10, 5.0), (15, 100.0), (20, 0.0)]
    print(json.dumps([case(*shape, kind) for shape in shapes for kind in kinds]))


def colors():
    import PIL
    from PIL import Image, ImageEnhance

    assert PIL.__version__ == "13.0.0"
    picture = Image.frombytes("RGB", (9, 5), bytes((i * 37 + i // 5) % 256 for i in range(135)))

    def case(brightness, contrast, saturation):
        image = ImageEnhance.Brightness(picture).enhance(brightness)
        image = ImageEnhance.Contrast(image).enhance(contrast)
        image = ImageEnhance.Color(image).enhance(saturation)
        return {"factors": [brightness, contrast, saturation], "samples": list(image.tobytes())}

    # Eighths are the same in f32 and f64.
    factors = [(1, 1, 1), (0.625, 1.375, 1), (1.375, 0.75, 0.625), (1.125, 1.25, 1.375)]
    print(json.dumps([case(*each) for each in factors]))


colors() if "colors" in sys.argv else losses()
