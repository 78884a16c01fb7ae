"""What PaddleSeg's own HarDNet gives in float64: writes paddleseg.json.

    pip install paddlepaddle==3.3.1 paddleseg==2.8.0
    python paddleseg.py > paddleseg.json

Weights and images by ../golden/formula.py, under the names of the authors' PyTorch code. Stored as by fc_hardnet.py, but
for the parts: their names are PaddleSeg's. Statistics are left out of `parameters`.
"""

import json
import pathlib
import re
import sys

import numpy as np
import paddle

sys.path = [path for path in sys.path if pathlib.Path(path or ".").resolve() != pathlib.Path(__file__).parent]
from paddleseg.models.hardnet import HarDNet  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import formula  # noqa: E402

SIZES = ((64, 96), (97, 75), (66, 81))
PIXELS = tuple((row, column) for row in range(4) for column in range(4))


def canonical(name):
    """The authors' name of a parameter."""
    name = re.sub(r"^stem\.", "base.", name)
    name = re.sub(r"^encoder\.blks\.(\d+)", lambda match: f"base.{int(match[1]) + 4}", name)
    name = name.replace("decoder.conv1x1_up", "conv1x1_up").replace("decoder.dense_blocks_up", "denseBlocksUp")
    name = name.replace("cls_head", "finalConv").replace("._conv.", ".conv.")
    name = name.replace("._batch_norm._mean", ".norm.running_mean").replace("._batch_norm._variance", ".norm.running_var")
    return name.replace("._batch_norm.", ".norm.")


def pixels(logits):
    height, width = logits.shape[2:]
    at = [(row * (height - 1) // 3, column * (width - 1) // 3) for row, column in PIXELS]
    return [[round(float(v), 7) for v in logits[0, :, row, column]] for row, column in at]


def main():
    paddle.set_default_dtype("float64")
    net = HarDNet(19)
    state = net.state_dict()
    for name, value in state.items():
        value.set_value(formula.tensor(canonical(name), tuple(value.shape)).astype(np.float64))
    net.eval()
    runs = []
    for height, width in SIZES:
        image = formula.tensor("x", (1, 3, height, width)).astype(np.float64)
        with paddle.no_grad():
            logits = net(paddle.to_tensor(image))[0].numpy()
        runs.append({"size": [height, width], "modules": [], "pixels": pixels(logits)})
    trained = [p for name, p in state.items() if not name.endswith(("_mean", "_variance"))]
    names = [f"{name} {'x'.join(map(str, value.shape))}" for name, value in state.items()]
    report = {"parameters": sum(int(np.prod(p.shape)) for p in trained), "runs": runs, "names": names}
    print(json.dumps(report).replace('{"size"', '\n{"size"'))


if __name__ == "__main__":
    main()
