"""Write a HarDNet variant as ONNX, with the weights of formula.py.

    python build_onnx.py hardnet68 out.onnx

BatchNorm is left in the graph: folding it is the engine's own job.
Batch is dynamic, height and width are 224.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))
import formula  # noqa: E402
from variants import VARIANTS, link  # noqa: E402


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def param(self, name, shape):
        self.weights.append(numpy_helper.from_array(formula.tensor(name, shape), name))
        return name

    def op(self, kind, inputs, **attrs):
        self.count += 1
        out = f"v{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=out, **attrs))
        return out

    def conv(self, x, prefix, cin, cout, kernel, stride, depthwise=False):
        leaf = "dwconv" if depthwise else "conv"
        w = self.param(f"{prefix}.{leaf}.weight", (cout, 1 if depthwise else cin, kernel, kernel))
        pad = [kernel // 2] * 4
        y = self.op("Conv", [x, w], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pad, group=cin if depthwise else 1)
        bn = [self.param(f"{prefix}.norm.{s}", (cout,)) for s in ("weight", "bias", "running_mean", "running_var")]
        y = self.op("BatchNormalization", [y, *bn], epsilon=1e-5)
        return y if depthwise else self.op("Clip", [y, "zero", "six"])


def build(name):
    stem, second, m, ks, depths, trans, down, ds = VARIANTS[name]
    g = Graph()
    g.weights += [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0), ("six", 6))]
    x = g.conv("x", "base.0", 3, stem[0], 3, 2)
    x = g.conv(x, "base.1", stem[0], stem[1], second, 1)
    if ds:
        x = g.conv(x, "base.2", stem[1], stem[1], 3, 2, depthwise=True)
    else:
        x = g.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    index, ch = 3, stem[1]
    for b, depth in enumerate(depths):
        outs, widths = [x], [ch]
        for layer in range(1, depth + 1):
            cout, cin, sources = link(layer, ch, ks[b], m)
            t = outs[sources[0]] if len(sources) == 1 else g.op("Concat", [outs[s] for s in sources], axis=1)
            p = f"base.{index}.layers.{layer - 1}"
            if ds:
                t = g.conv(t, f"{p}.layer1", cin, cout, 1, 1)
                t = g.conv(t, f"{p}.layer2", cout, cout, 3, 1, depthwise=True)
            else:
                t = g.conv(t, p, cin, cout, 3, 1)
            outs.append(t)
            widths.append(cout)
        keep = [i for i in range(1, depth + 1) if i % 2 == 1 or i == depth]
        x, ch = g.op("Concat", [outs[i] for i in keep], axis=1), sum(widths[i] for i in keep)
        index += 1
        if name == "hardnet85" and b == len(depths) - 1:
            index += 1  # the dropout keeps its slot
        x = g.conv(x, f"base.{index}", ch, trans[b], 1, 1)
        ch, index = trans[b], index + 1
        if down[b]:
            if ds:
                x = g.conv(x, f"base.{index}", ch, ch, 3, 2, depthwise=True)
            else:
                x = g.op("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
            index += 1
    x = g.op("Flatten", [g.op("GlobalAveragePool", [x])], axis=1)
    w, b = g.param(f"base.{index}.3.weight", (1000, ch)), g.param(f"base.{index}.3.bias", (1000,))
    g.nodes.append(helper.make_node("Gemm", [x, w, b], ["y"], transB=1))
    graph = helper.make_graph(
        g.nodes, name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1000])],
        g.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    onnx.save(build(sys.argv[1]), sys.argv[2])
