"""Makes what tests/timm.rs compares with: what timm's transforms for evaluation make of images, by Pillow.

    pip install timm==1.0.29 torchvision==0.29.2 torch==2.15.0 pillow==13.0.0 numpy
    python3 make_fixtures.py

writes `fixtures.json` beside itself. Images are noise by a formula that the Rust tests repeat. Pixels are those before
`ToTensor`; they and the tensors are stored as FNV-1a hashes of their bytes.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import torch
from timm.data.transforms_factory import transforms_imagenet_eval

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "pillow"))
from make_fixtures import fnv1a, noise

SIZES = [(50, 37), (37, 50), (64, 64), (61, 20), (20, 61), (33, 32), (9, 4), (1, 7), (200, 90), (57, 55)]
# Side of the square, crop fraction, means, standard deviations.
SETTINGS = [
    (28, 0.875, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    (31, 1.0, (0.5, 0.3, 0.1), (0.25, 0.5, 0.75)),
    (25, 0.95, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
]


def main():
    cases = []
    for mode in ("center", "squash", "border"):
        for interpolation in ("bilinear", "bicubic", "lanczos"):
            for setting, (side, fraction, mean, std) in enumerate(SETTINGS):
                if interpolation == "lanczos" and setting > 0:
                    continue
                transform = transforms_imagenet_eval(
                    side, crop_pct=fraction, crop_mode=mode, interpolation=interpolation, mean=mean, std=std
                )
                for width, height in SIZES:
                    for channels in (1, 3) if interpolation == "bicubic" else (3,):
                        pixels = noise(width, height, channels).convert("RGB")
                        for step in transform.transforms[:2]:
                            pixels = step(pixels)
                        tensor = pixels
                        for step in transform.transforms[2:]:
                            tensor = step(tensor)
                        assert tensor.shape == (3, side, side) and tensor.dtype == torch.float32
                        cases.append({
                            "mode": mode, "interpolation": interpolation, "setting": setting,
                            "from": [width, height], "channels": channels,
                            "pixels_fnv": fnv1a(pixels.tobytes()), "tensor_fnv": fnv1a(tensor.numpy().tobytes()),
                        })  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in ("timm", "torchvision", "torch", "pillow")}
    lines = ",\n".join(json.dumps(case) for case in cases)
    names = ("side", "crop_pct", "mean", "std")
    settings = json.dumps([dict(zip(names, setting)) for setting in SETTINGS])
    head = f'"versions": {json.dumps(versions)},\n"settings": {settings}'
    (HERE / "fixtures.json").write_text(f'{{\n{head},\n"cases": [\n{lines}\n]\n}}\n')


if __name__ == "__main__":
    main()
