"""Draws the pictures of docs/quantization.md, from what the program says of two trained networks.

    cargo build -p hardnet-cli
    python docs/images/quantization.py target/debug/hardnet
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from drawing import HERE, Drawing

ROOT = HERE.parents[1]
DEMONSTRATION = ROOT / "weights" / "demo" / "fashion_mnist"
NETWORKS = {
    "hardnet39ds: 1x1 and depthwise layers": DEMONSTRATION / "hardnet39ds.safetensors",
    "a narrow network of HarDNet68's kind: dense 3x3 layers": ROOT / "tests" / "quantize" / "narrow.safetensors",
}
LEFT, WIDTH, HEIGHT, TOP = 60, 740, 200, 78


def report(hardnet, weights):
    with tempfile.TemporaryDirectory() as folder:
        images = ["--images", str(DEMONSTRATION / "sample.tar")]
        command = [hardnet, "quantize", "-q", "--json", str(weights), f"{folder}/out.safetensors", *images]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def layers_picture(reports):
    drawing = Drawing(820, 2 * (HEIGHT + 84) + 20, "Signal to noise by layer, in dB")
    drawing.circle(306, 21, 4, "f0")
    drawing.text(316, 26, "rounded weights alone")
    drawing.circle(506, 21, 4, "f1")
    drawing.text(516, 26, "maps, with the errors of all layers before")
    for at, (title, found) in enumerate(reports.items()):
        top = TOP + at * (HEIGHT + 84)
        layers = found["layers"]
        of = lambda key: [(x, layer[key]) for x, layer in enumerate(layers) if layer[key] is not None]
        weights, maps = of("weights_db"), of("map_db")
        y = lambda value: top + HEIGHT * (1 - value / 60)
        x = lambda layer: LEFT + (layer + 0.5) * WIDTH / len(layers)
        drawing.text(LEFT, top - 12, title, "strong")
        for level in range(0, 61, 10):
            drawing.line(LEFT, y(level), LEFT + WIDTH, y(level), "axis" if level == 0 else "grid")
            drawing.text(LEFT - 8, y(level) + 4, str(level), "end note")
        for points, style in ((weights, "f0"), (maps, "f1")):
            for layer, value in points:
                drawing.circle(x(layer), y(min(value, 60)), 3.5, style)
        drawing.text(LEFT, top + HEIGHT + 22, "first layer", "note")
        drawing.text(LEFT + WIDTH, top + HEIGHT + 22, "last layer before the classifier", "note end")
        agreement = found["agreement"]
        text = f"logits: {agreement['logits_db']:.1f} dB; same class for {agreement['same_class']} of {agreement['images']}"
        drawing.text(LEFT + WIDTH, top - 12, text, "end")
    drawing.save("quantization-layers.svg")


def deviations_picture():
    choices = json.loads((ROOT / "tests" / "quantize" / "choices.json").read_text())
    drawing = Drawing(820, 320, f"Signal to noise of the logits by the width of ranges, {choices['images']:,} images")
    suffix = " deviations"
    names = {"demonstration": "hardnet39ds", "narrow": "narrow"}
    top, height = 56, 210
    for at, (network, rows) in enumerate(choices["networks"].items()):
        points = [(float(row["name"].removesuffix(suffix)), row["logits_db"]) for row in rows if suffix in row["name"]]
        if at == 0:
            least, most = 0, 50
            x = lambda deviations: LEFT + (deviations - 2) * WIDTH / 23
            y = lambda value: top + height * (most - value) / (most - least)
            for level in range(least, most + 1, 10):
                drawing.line(LEFT, y(level), LEFT + WIDTH, y(level), "axis" if level == least else "grid")
                drawing.text(LEFT - 8, y(level) + 4, str(level), "end note")
            for deviations, _ in points:
                drawing.text(x(deviations), top + height + 20, f"{deviations:g}", "middle note")
            drawing.text(LEFT + WIDTH, top + height + 42, "standard deviations on both sides of a channel's mean", "note end")
        for deviations, value in points:
            drawing.circle(x(deviations), y(value), 4, f"f{at}")
        drawing.circle(LEFT + 8 + at * 120, top + height + 38, 4, f"f{at}")
        drawing.text(LEFT + 18 + at * 120, top + height + 42, names[network])
    drawing.save("quantization-deviations.svg")


def main():
    hardnet = str(Path(sys.argv[1]).resolve())
    layers_picture({title: report(hardnet, weights) for title, weights in NETWORKS.items()})
    deviations_picture()


if __name__ == "__main__":
    main()
