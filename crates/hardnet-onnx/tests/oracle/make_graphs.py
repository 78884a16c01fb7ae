"""Write the graphs of tests/golden/build_onnx.py, an independent exporter, as text: one file for each network.

    pip install onnx==1.23.2 numpy==2.4.6
    python crates/hardnet-onnx/tests/oracle/make_graphs.py

A line is a node: the operator, the parameters that it reads with their shapes, constants that are not ONNX's defaults,
and after `<` the lines (from 0) that wrote what it reads, or `image`.
"""

import sys
from pathlib import Path

import onnx

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[3] / "tests" / "golden"))
import build_onnx
from variants import VARIANTS

DEFAULTS = {"group": 1, "pads": [0, 0, 0, 0], "dilations": [1, 1]}


def text(value):
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}"


def parameters(named):
    """Names and shapes; one of the same module and shape as the one before it is its last part alone."""
    before = None
    for name, shape in named:
        module, leaf = name.rsplit(".", 1)
        yield f".{leaf}" if (module, shape) == before else f"{name}[{text(shape)}]"
        before = module, shape


def lines(model):
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    scalars = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer if not t.dims}
    written = {model.graph.input[0].name: "image"}
    for number, node in enumerate(model.graph.node):
        words = [node.op_type]
        words += [f"{scalars[name]:g}" for name in node.input if name in scalars]
        words += parameters([(name, shapes[name]) for name in node.input if name in shapes and name not in scalars])
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        words += [f"{k}={text(v)}" for k, v in sorted(attributes.items()) if DEFAULTS.get(k) != v]
        words += ["<", *(written[name] for name in node.input if name not in shapes)]
        written[node.output[0]] = str(number)
        yield " ".join(words)


for name in VARIANTS:
    (FOLDER / f"{name}.txt").write_text("\n".join(lines(build_onnx.build(name))) + "\n")
