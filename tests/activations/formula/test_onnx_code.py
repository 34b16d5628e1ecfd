"""Formulas as ONNX operators, in onnxruntime: the whole catalogue in one graph built by hand."""

import itertools

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from activations.formula.onnx_code import compile_onnx, onnx_source
from activations.formula.parser import parse
from activations.registry import get, names

# whatever float32 holds, near and far; what is not finite; and close to 0, where digits are lost
X = np.concatenate(
    [
        np.linspace(-30, 30, 2401),
        np.linspace(-1e-3, 1e-3, 101),
        [np.nan, np.inf, -np.inf, 1e10, -1e10, 3e38, -3e38],
    ]
).astype(np.float32)


class Graph:
    """Nodes of an ONNX graph of the one input x, by name of their output."""

    def __init__(self):
        self.nodes = []
        self.numbers = itertools.count()

    def op(self, name, *inputs, **attributes):
        output = f"v{next(self.numbers)}"
        self.nodes.append(helper.make_node(name, inputs, [output], **attributes))
        return output

    def constant(self, value):
        return self.op("Constant", value_float=value)

    def apply(self, formula):
        """The formula of x at its initial parameters."""
        function = compile_onnx(formula.program(), self.op, self.constant)
        return function("x", *map(self.constant, formula.initial))[0]

    def run(self, outputs, x=X):
        given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
        found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        model = helper.make_model(
            helper.make_graph(self.nodes, "formulas", given, found),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=10,
        )
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"x": x})


def torchs(formula, dtype):
    parameters = [torch.tensor(value, dtype=dtype) for value in formula.initial]
    return formula.torch_function(torch.from_numpy(X).to(dtype), *parameters).numpy()


def test_every_formula_of_the_catalogue_is_the_same_function_in_onnxruntime():
    formulas = [get(name) for name in names()]
    graph = Graph()
    near = np.isfinite(X) & (np.abs(X) < 100)
    found = graph.run([graph.apply(formula) for formula in formulas])
    for formula, ours in zip(formulas, found, strict=True):
        ours = np.broadcast_to(ours, X.shape)
        exact, rounded = torchs(formula, torch.float64), torchs(formula, torch.float32)
        # 8 roundings of float32, relative to the largest value on the way: 1, x or the result
        scale = np.maximum(np.abs(exact), 1 + np.abs(X))
        error = np.abs(ours[near] - exact[near])
        assert (error <= 8 * 2.0**-24 * scale[near]).all(), formula.name
        # far out, and for what is not finite: torch's float32, infinities and NaN included
        np.testing.assert_allclose(
            ours[~near], rounded[~near], rtol=1e-5, atol=1e-30, err_msg=formula.name
        )


@pytest.mark.parametrize("text", ["expm1(x)", "log1p(x)", "softplus(x)", "log(sigmoid(x))"])
def test_no_digit_is_lost_near_zero_or_far_out(text):
    formula = parse(text)
    graph = Graph()
    (ours,) = graph.run([graph.apply(formula)])
    exact = torchs(formula, torch.float64)
    lowest = -1 if text == "log1p(x)" else -80
    near = (lowest < X) & (X < 80)
    # relative to the value itself, however small; log(sigmoid) may lose what is next to log(1)
    near &= (text != "log(sigmoid(x))") | (X < 0)
    error = np.abs(ours[near] - exact[near])
    assert (error <= 16 * 2.0**-24 * np.abs(exact[near])).all()


def test_the_source_reads_as_operators():
    assert onnx_source(parse("x*tanh(2*x**3)").program()) == (
        "def formula(x):\n"
        "    s0 = op('Mul', x, x)\n"
        "    return (op('Mul', op('Tanh', op('Mul', op('Mul', x, s0), constant(2.0))), x),)\n"
    )
