r"""Three epochs of hardnet39ds on 2,000 images of Fashion-MNIST in PyTorch, beside the program's.

    python fashion_mnist.py prepare FOLDER
    hardnet train -o FOLDER/run --weights FOLDER/initial.safetensors --data-dir FOLDER/train-images-idx3-ubyte \
        --epochs 3 -b 50 --lr 0.01 --crop none --flip 0 --img-size 32 --crop-pct 1 --seed 3
    python fashion_mnist.py compare FOLDER > fashion_mnist.json

`prepare` writes initial weights (the authors' rule, seed 1), the 2,000 images (every thirtieth), and the losses of six PyTorch
runs with them. The batches are the same images in the same order of batches; the runs differ in the order of the images within
a batch, so that every sum over a batch is rounded otherwise and everything else is the same: within five steps that grows to
tenths of a nat. `compare` has the mean losses of the epochs, and how many standard deviations of PyTorch's the program's are
from their mean.
"""

import json
import os
import sys

import numpy as np
import torch
from hardnet_torch import initial, published, read_idx, save, write_idx
from PIL import Image
from torch import nn

DATA = "/usr/share/datasets/fashion-mnist/"
COUNT, SIDE, EPOCHS, BATCH, SEED = 2000, 32, 3, 50, 3
# The smaller the rate, the smaller the noise beside which a wrong gradient shows.
RATE, MOMENTUM, DECAY = 0.01, 0.9, 6e-5
# By how many places the images of each batch are rotated.
RUNS = [0, 7, 17, 23, 31, 43]


def philox(counter, key):
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (second >> 32) ^ counter[1] ^ key[0], second & 0xFFFFFFFF,
            (first >> 32) ^ counter[3] ^ key[1], first & 0xFFFFFFFF,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def order(seed, epoch, count):
    """The order of an epoch's samples, as the program draws it."""
    state = {"block": 0, "left": []}

    def bits():
        if not state["left"]:
            state["left"] = philox([state["block"], 1, epoch, 0], [seed & 0xFFFFFFFF, seed >> 32])
            state["block"] += 1
        return state["left"].pop(0)

    def below(end):
        product = bits() * end
        if (product & 0xFFFFFFFF) < end:
            while (product & 0xFFFFFFFF) < 2**32 % end:
                product = bits() * end
        return product >> 32

    numbers = list(range(count))
    for last in range(count - 1, 0, -1):
        other = below(last + 1)
        numbers[last], numbers[other] = numbers[other], numbers[last]
    return numbers


def tensors(images):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    out = torch.empty(len(images), 3, SIDE, SIDE)
    for at, image in enumerate(images):
        pixels = np.array(Image.fromarray(image).resize((SIDE, SIDE), Image.BILINEAR).convert("RGB"))
        out[at] = ((torch.from_numpy(pixels).float() / 255 - mean) / std).permute(2, 0, 1)
    return out


def run(config, inputs, labels, rotation):
    net = initial(config, 1).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    losses = []
    for epoch in range(EPOCHS):
        numbers = order(SEED, epoch, COUNT)
        for start in range(0, COUNT, BATCH):
            chosen = numbers[start : start + BATCH]
            chosen = chosen[rotation:] + chosen[:rotation]
            loss = nn.functional.cross_entropy(net(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        print(f"rotated by {rotation}: epoch {epoch + 1}, loss {np.mean(losses[-COUNT // BATCH:]):.4f}", file=sys.stderr)
    return losses


def prepare(folder):
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    images, labels = read_idx(DATA + "train-images-idx3-ubyte.gz")[::30], read_idx(DATA + "train-labels-idx1-ubyte.gz")[::30]
    assert len(images) == COUNT
    write_idx(f"{folder}/train-images-idx3-ubyte", images)
    write_idx(f"{folder}/train-labels-idx1-ubyte", labels)
    config = published("hardnet39ds", 10, dropout=False)
    save(initial(config, 1), config, f"{folder}/initial.safetensors")
    inputs, labels = tensors(images), torch.from_numpy(labels.astype(np.int64))
    runs = {f"rotated by {rotation}": run(config, inputs, labels, rotation) for rotation in RUNS}
    with open(f"{folder}/torch.json", "w") as file:
        json.dump({"torch": torch.__version__, "runs": runs}, file)


def compare(folder):
    with open(f"{folder}/torch.json") as file:
        table = json.load(file)
    with open(f"{folder}/run/metrics.jsonl") as file:
        own = np.array([json.loads(line)["train_loss"] for line in file])
    epochs = {name: np.reshape(losses, (EPOCHS, COUNT // BATCH)).mean(1) for name, losses in table["runs"].items()}
    runs = np.array(list(epochs.values()))
    mean, deviation = runs.mean(0), runs.std(0, ddof=1)
    distance = (own - mean) / deviation
    rounded = lambda numbers: [round(float(number), 4) for number in numbers]
    json.dump({
        "what": f"hardnet39ds, {COUNT} images of Fashion-MNIST at {SIDE}x{SIDE}, {EPOCHS} epochs of batches of {BATCH}",
        "torch": table["torch"],
        "mean_loss_of_epochs": {"hardnet": rounded(own), **{name: rounded(losses) for name, losses in epochs.items()}},
        "of_pytorch": {"mean": rounded(mean), "standard_deviation": rounded(deviation)},
        "deviations_of_hardnet_from_that_mean": rounded(distance),
    }, sys.stdout, indent=1)
    print()
    # Of one more run of PyTorch's, one in a hundred or so would be further away in some epoch.
    assert np.abs(distance).max() < 4, distance


{"prepare": prepare, "compare": compare}[sys.argv[1]](sys.argv[2])
