"""Prints the digests that `src/scheme.rs` compares its names for pytorchcv with: FNV-1a 64 of `key shape` lines.

    pip install pytorchcv torch requests
    python pytorchcv_keys.py

Made with pytorchcv 0.0.74 (its state dict's order, without `num_batches_tracked`).
"""

from pytorchcv.model_provider import get_model

for name in ("hardnet39ds", "hardnet68ds", "hardnet68", "hardnet85"):
    digest = 0xCBF29CE484222325
    for key, value in get_model(name, pretrained=False).state_dict().items():
        if not key.endswith("num_batches_tracked"):
            for byte in f"{key} {'x'.join(map(str, value.shape))}\n".encode():
                digest = ((digest ^ byte) * 0x100000001B3) % 2**64
    print(name, hex(digest))
