"""Every shipped activation: found by everyone's names, numerically sound, the same after a trip."""

import pickle
import re
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import sympy
import torch
from torch.nn.modules import activation as torch_activations

import activations
from activations import Formula, InputError
from activations.catalogue.refused import REFUSED
from activations.formula.primitives import exact_value

ALL = activations.names()
FLOAT32_MAX = 3.4028234663852886e38
# kinks and thresholds of the catalogue, both sides of them, and values far out
GRID = sorted(
    sign * value
    for sign in (-1.0, 1.0)
    for value in (
        0.0, 1e-300, 1e-30, 1e-8, 1e-3, 0.1, 0.25, 0.4999, 0.5, 0.5001, 0.9, 1.0, 1.0001, 1.5,
        2.0, 2.5, 3.0, 3.0001, 4.7, 6.0, 8.3, 10.0, 14.0, 20.0, 37.0, 50.0, 90.0, 120.0, 1e3, 1e5,
        1e9, 1e20,
    )
)  # fmt: skip


def parameters(formula: Formula, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.tensor(value, dtype=dtype, requires_grad=True) for value in formula.initial]


def value_and_slopes(
    formula: Formula, at: list[float], dtype: torch.dtype = torch.float64
) -> list[dict[str, float]]:
    """Value and slope by every input at each x; the parameters have a copy for each."""
    x = torch.tensor(at, dtype=dtype, requires_grad=True)
    given = [each.detach().expand_as(x) for each in parameters(formula, dtype)]
    inputs = [x, *(each.clone().requires_grad_() for each in given)]
    y = formula.torch_function(*inputs)
    slopes = torch.autograd.grad(y, inputs, torch.ones_like(y))
    found = {"value": y} | dict(zip(formula.inputs, slopes, strict=True))
    return [{name: each[i].item() for name, each in found.items()} for i in range(len(at))]


def test_catalogue_has_at_least_seventy_one_activations_and_no_name_twice() -> None:
    assert len(ALL) >= 71
    every = [n for name in ALL for n in (name, *activations.get(name).aliases)]
    keys = [n.replace("_", "").lower() for n in every]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ALL)
def test_value_and_every_derivative_equal_mpmath_at_fifty_digits(name: str) -> None:
    formula = activations.get(name)
    expressions = {"value": formula.expression} | {n: formula.derivative(n) for n in formula.inputs}
    with mpmath.workdps(50):
        for x, ours in zip(GRID, value_and_slopes(formula, GRID), strict=True):
            at = {sympy.Symbol("x"): mpmath.mpf(x)} | {
                sympy.Symbol(p.name): mpmath.mpf(p.initial) for p in formula.parameters
            }
            for output, expression in expressions.items():
                truth = float(exact_value(expression, at))
                # x times a rounded gate, and powers of x: the error grows with |x|
                tolerance = 2e-13 * max(1.0, abs(x)) + 2e-13 * abs(truth)
                if np.isinf(truth) or np.isinf(ours[output]):
                    assert abs(truth) > 1e300, (output, x)
                else:
                    assert abs(ours[output] - truth) <= tolerance, (output, x, ours[output], truth)


@pytest.mark.parametrize("name", ALL)
def test_finite_float32_input_never_gives_nan_and_overflows_only_where_the_truth_does(
    name: str,
) -> None:
    formula = activations.get(name)
    x_symbol = sympy.Symbol("x")
    at = {sympy.Symbol(p.name): mpmath.mpf(p.initial) for p in formula.parameters}
    far = (FLOAT32_MAX, 1e30, 1e20, 1e10, 500.0, 100.0, 88.0, 1e-38, 1e-45, 0.0)
    grid = [signed for x in far for signed in (x, -x)]
    for x, results in zip(grid, value_and_slopes(formula, grid, torch.float32), strict=True):
        assert not any(np.isnan(list(results.values()))), (x, results)
        with mpmath.workdps(50):
            truth = exact_value(formula.expression, at | {x_symbol: mpmath.mpf(x)})
        if abs(truth) < 0.99 * FLOAT32_MAX:
            assert np.isfinite(results["value"]), x


@pytest.mark.parametrize("name", ALL)
def test_nan_in_gives_nan_out(name: str) -> None:
    formula = activations.get(name)
    x = torch.tensor([float("nan"), 1.0])
    y = formula.torch_function(x, *parameters(formula, torch.float32))
    assert y.isnan().tolist() == [True, False]


@pytest.mark.parametrize("name", ALL)
def test_gradients_equal_finite_differences(name: str) -> None:
    formula = activations.get(name)
    generator = torch.Generator().manual_seed(3)
    x = 4 * torch.rand(25, generator=generator, dtype=torch.float64) - 2
    kinks = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    x = x[(x[:, None] - kinks).abs().min(dim=1).values > 0.01].requires_grad_()
    # each parameter broadcasts over x, so its gradient is a sum
    torch.autograd.gradcheck(formula.torch_function, (x, *parameters(formula)), atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_text_reads_back_to_the_same_formula(name: str) -> None:
    formula = activations.get(name)
    again = activations.parse(formula.text)
    assert again.expression == formula.expression
    assert again.text == formula.text
    assert [(p.name, p.initial, p.scope) for p in again.parameters] == [
        (p.name, p.initial, p.scope) for p in formula.parameters
    ]


@pytest.mark.parametrize("name", ALL)
def test_pickle_gives_an_equal_formula_with_the_same_hash(name: str) -> None:
    formula = activations.get(name)
    assert formula.torch_function is not None  # what was derived must not stand in the way
    again = pickle.loads(pickle.dumps(formula))
    assert again == formula
    assert hash(again) == hash(formula)


def test_text_is_the_same_in_another_process_with_another_hash_seed() -> None:
    code = "import activations; [print(activations.get(n).text) for n in activations.names()]"
    texts = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "12345", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert texts == [activations.get(name).text for name in ALL]


def test_every_source_is_given_and_every_arxiv_number_is_well_formed() -> None:
    for name in ALL:
        source = activations.get(name).source
        assert len(source) >= 5, name
        for number in re.findall(r"arXiv:(\S+?)[;,]?(?:\s|$)", source):
            assert re.fullmatch(r"\d{4}\.\d{4,5}", number), (name, number)


TORCH = [n for n in torch_activations.__all__ if n not in ("Threshold",)]
# names as the libraries export them: Keras 3.15, timm 1.0.31, densechen/AReLU at 08512d5,
# Echo at 2ddead8
KERAS = """celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax
softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
PReLU LeakyReLU ThresholdedReLU"""
TIMM = """silu swish mish relu relu6 leaky_relu elu prelu celu selu gelu gelu_tanh quick_gelu
sigmoid tanh hard_sigmoid hard_swish hard_mish hardsigmoid hardswish identity"""
ARELU = """APL AReLU GELU Maxout Mixture SLAF Swish ReLU ReLU6 Sigmoid LeakyReLU ELU PReLU SELU Tanh
RReLU CELU Softplus PAU"""
ECHO = """WeightedTanh Swish ESwish Aria2 Mila ISRU BentIdentity BentID SoftClipping Mish BetaMish
ELiSH HardELiSH SineReLU FlattenTSwish FTS SQNL ISRLU SoftExponential CELU HardTanh LogSigmoid
TanhShrink HardShrink SoftShrink SoftMin LogSoftMax MaxOut SReLU BReLU APL NLReLU LecunTanh Silu
FReLU"""


@pytest.mark.parametrize("name", sorted({*TORCH, *" ".join((KERAS, TIMM, ARELU, ECHO)).split()}))
def test_every_librarys_name_is_known_or_refused_with_a_reason(name: str) -> None:
    if re.sub("_", "", name).lower() in REFUSED:
        with pytest.raises(InputError, match="is not an elementwise activation: "):
            activations.get(name)
    else:
        assert activations.get(name).name in ALL


def test_width_changing_and_vector_functions_are_refused_by_reason() -> None:
    for name in ("GLU", "maxout", "softmax", "log_softmax", "sparsemax", "MultiheadAttention"):
        with pytest.raises(InputError, match="is not an elementwise activation: ") as caught:
            activations.get(name)
        assert "\n" not in str(caught.value)


def test_arelu_is_the_formula_of_the_paper_with_its_clamp() -> None:
    formula = activations.get("arelu")
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64)
    for alpha in (-1.0, 0.01, 0.4, 0.99, 7.0):
        for beta in (-3.0, 2.0):
            a, b = torch.tensor(alpha).double(), torch.tensor(beta).double()
            positive = torch.relu(x) * (1 + torch.sigmoid(b))
            negative = -torch.relu(-x) * torch.clamp(a, 0.01, 0.99)
            torch.testing.assert_close(formula.torch_function(x, a, b), positive + negative)
    assert formula.initial == (0.9, 2.0)
    assert formula.facts is not None
    assert formula.facts.lipschitz == pytest.approx(1 + 1 / (1 + np.exp(-2)))
