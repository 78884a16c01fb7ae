"""ONNX files of two small networks as other programs write them, and their logits: what src/onnx/tests.rs reads.

    pip install torch==2.15.0 onnx==1.23.2 onnxscript==0.7.2 safetensors numpy
    python make_files.py torch
    pip install paddlepaddle==3.3.1 paddle2onnx==2.1.0 numpy
    python make_files.py paddle

`torch` writes files of both exporters of torch.onnx and `networks.json`, with the logits of PyTorch in float64 for the
image `x` of 32x32 pixels; `paddle` writes those of Paddle2ONNX. Weights are those of tests/golden/formula.py.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[3] / "tests"
sys.path += [str(TESTS / "golden"), str(TESTS / "training")]
import formula  # noqa: E402

SIDE = 32


def config(depthwise):
    block = {"layers": 4, "growth": 4, "multiplier": 1.7, "dropout": 0.1, "transition": 8, "downsample": False}
    return {
        "in_channels": 3,
        "stem": {
            "convs": [
                {"channels": 4, "kernel": 3, "stride": 2},
                {"channels": 6, "kernel": 1 if depthwise else 3, "stride": 1},
            ],
            "padding": "symmetric",
        },
        "blocks": [block],
        "depthwise": depthwise,
        "downsample": "depthwise" if depthwise else "max_pool",
        "activation": "relu6",
        "head": {"classes": 3, "dropout": 0.1},
    }


NETWORKS = {"dense": config(False), "depthwise": config(True)}


def without_traces(path):
    """Takes out the stack traces of nodes, which are most of a small file and name folders of this machine."""
    import onnx

    model = onnx.load(path)
    for item in [model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        del item.metadata_props[:]
    onnx.save(model, path)


def torch_files():
    import torch
    from hardnet_torch import HarDNet

    expected = {}
    for name, network in NETWORKS.items():
        net = HarDNet(network)
        for key, value in net.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(formula.tensor(key, tuple(value.shape))))
        net.eval()
        x = torch.from_numpy(formula.tensor("x", (1, 3, SIDE, SIDE)))
        names = {"input_names": ["input"], "output_names": ["output"], "opset_version": 18}
        if name == "depthwise":
            torch.onnx.export(net, (x,), str(HERE / f"{name}.torchscript.onnx"), dynamo=False, **names)
        else:
            options = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
            torch.onnx.export(net, (x,), str(HERE / f"{name}.unfolded.onnx"), dynamo=False, **options, **names)
        dynamo = HERE / f"{name}.dynamo.onnx"
        torch.onnx.export(net, (x,), str(dynamo), dynamo=True, external_data=False, **names)
        without_traces(dynamo)
        with torch.no_grad():
            logits = net.double()(x.double())[0].tolist()
        expected[name] = {"config": network, "logits": logits}
    (HERE / "networks.json").write_text(json.dumps(expected, indent=1) + "\n")


def paddle_files():
    import paddle
    from paddle import nn

    class Conv(nn.Layer):
        def __init__(self, cin, cout, kernel, stride=1, depthwise=False):
            super().__init__()
            conv = nn.Conv2D(cin, cout, kernel, stride, kernel // 2, groups=cin if depthwise else 1, bias_attr=False)
            setattr(self, "dwconv" if depthwise else "conv", conv)
            self.norm = nn.BatchNorm2D(cout)
            self.depthwise = depthwise

        def forward(self, x):
            if self.depthwise:
                return self.norm(self.dwconv(x))
            return nn.functional.relu6(self.norm(self.conv(x)))

    class Block(nn.Layer):
        def __init__(self, cin, layers, k, m, depthwise):
            super().__init__()
            self.links, widths, built = [], [cin], []
            for layer in range(1, layers + 1):
                powers = [p for p in range(10) if layer % 2**p == 0]
                sources, width = [layer - 2**p for p in powers], float(k)
                for _ in powers[1:]:
                    width *= m
                width = int(int(width + 1) / 2) * 2
                read = sum(widths[s] for s in sources)
                if depthwise:
                    one = nn.Layer()
                    one.layer1, one.layer2 = Conv(read, width, 1), Conv(width, width, 3, depthwise=True)
                    one.forward = lambda x, one=one: one.layer2(one.layer1(x))
                    built.append(one)
                else:
                    built.append(Conv(read, width, 3))
                self.links.append(sources)
                widths.append(width)
            self.layers = nn.LayerList(built)
            self.keep = [i for i in range(1, layers + 1) if i % 2 == 1 or i == layers]
            self.channels = sum(widths[i] for i in self.keep)

        def forward(self, x):
            outs = [x]
            for layer, sources in zip(self.layers, self.links):
                read = paddle.concat([outs[s] for s in sources], 1) if len(sources) > 1 else outs[sources[0]]
                outs.append(layer(read))
            return paddle.concat([outs[i] for i in self.keep], 1)

    for name, network in NETWORKS.items():
        depthwise, [block] = network["depthwise"], network["blocks"]
        stem, hidden = network["stem"]["convs"], block["transition"]
        first, second = stem[0]["channels"], stem[1]["channels"]
        down = Conv(second, second, 3, 2, True) if depthwise else nn.MaxPool2D(3, 2, 1)
        body = Block(second, block["layers"], block["growth"], block["multiplier"], depthwise)
        head = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(hidden, 3))
        base = [Conv(3, first, 3, 2), Conv(first, second, stem[1]["kernel"]), down, body, nn.Dropout(0.1)]
        net = nn.Layer()
        net.base = nn.Sequential(*base, Conv(body.channels, hidden, 1), head)
        net.forward = net.base.forward
        for key, value in net.state_dict().items():
            theirs = key.replace("_mean", "running_mean").replace("_variance", "running_var")
            shape = tuple(value.shape)
            linear = len(shape) == 2
            array = formula.tensor(theirs, shape[::-1] if linear else shape)
            value.set_value(np.ascontiguousarray(array.T) if linear else array)
        net.eval()
        spec = paddle.static.InputSpec([1, 3, SIDE, SIDE], "float32", "x")
        paddle.onnx.export(net.base, str(HERE / f"{name}.paddle"), input_spec=[spec], opset_version=13)


if __name__ == "__main__":
    torch_files() if sys.argv[1] == "torch" else paddle_files()
