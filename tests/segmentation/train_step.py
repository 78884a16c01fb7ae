"""One step of FC-HarDNet-70 in training mode in PyTorch, in float64: writes train_step.json.

    python train_step.py > train_step.json

Weights and images by ../golden/formula.py; the class of a pixel in row y and column x of image n is (3 y + 5 x + 7 n) mod
19, and every eleventh pixel is ignored. Stored: the cross entropy of all other pixels, the norm of its gradient by every
parameter, and the sum over the channels of every running statistic after the pass. Made with torch 2.15.0.
"""

import json

import fc_hardnet
import torch
import torch.nn.functional as F

BATCH, HEIGHT, WIDTH, CLASSES, IGNORED = 2, 65, 98, 19, 250


def labels():
    n, y, x = torch.meshgrid(torch.arange(BATCH), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    classes = (3 * y + 5 * x + 7 * n) % CLASSES
    return torch.where((y * WIDTH + x) % 11 == 10, IGNORED, classes)


net = fc_hardnet.with_formula(fc_hardnet.FcHarDNet(CLASSES)).train()
logits = net(fc_hardnet.image(BATCH, HEIGHT, WIDTH))
loss = F.cross_entropy(logits, labels(), ignore_index=IGNORED)
loss.backward()
report = {
    "loss": loss.item(),
    "gradient_norms": {name: float(f"{p.grad.norm().item():.9g}") for name, p in net.named_parameters()},
    "running_sums": {name: float(f"{b.sum().item():.9g}") for name, b in net.named_buffers() if "running" in name},
}
print(json.dumps(report, indent=0))
