"""Activations against definitions that no one here wrote, or that are written down a second time.

Of the 83, torch computes 30; the others stand here once more as their textbook formula, evaluated
by mpmath at 50 digits, where nothing overflows and nothing cancels. Keras and timm are compared
where they are installed; both were, by hand, on 2026-11-22 (Keras 3.15.1 on torch, timm 1.0.31):
all names equal ours to 1e-6 but Keras' leaky_relu, whose default slope is 0.2. So was Echo
(echoAI 0.1.3), whose deviations docs/activations.md lists.
"""

import os
from collections.abc import Callable

import mpmath
import pytest
import torch
from mpmath import atan, cos, erf, exp, log, mpf, sin, sqrt, tanh
from torch import nn
from torch.nn import functional as torch_f

import activations

TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "hardtanh": torch_f.hardtanh,
    "hard_sigmoid": torch_f.hardsigmoid, "softsign": torch_f.softsign, "arctan": torch.atan,
    "erf": torch.erf, "identity": nn.Identity(), "relu": torch_f.relu, "relu6": torch_f.relu6,
    "leaky_relu": torch_f.leaky_relu, "rrelu": torch_f.rrelu, "softshrink": torch_f.softshrink,
    "hardshrink": torch_f.hardshrink, "thresholded_relu": nn.Threshold(1.0, 0.0),
    "elu": torch_f.elu, "celu": torch_f.celu, "selu": torch_f.selu, "softplus": torch_f.softplus,
    "log_sigmoid": torch_f.logsigmoid, "tanhshrink": torch_f.tanhshrink, "exponential": torch.exp,
    "silu": torch_f.silu, "hard_swish": torch_f.hardswish, "gelu": torch_f.gelu,
    "gelu_tanh": nn.GELU(approximate="tanh"), "mish": torch_f.mish, "sine": torch.sin,
    "cosine": torch.cos, "prelu": lambda x: torch_f.prelu(x, torch.tensor([0.25]).to(x)),
}  # fmt: skip

PADE_ABOVE = (
    "3.35583603e-02", "5.05000375e-01", "1.65343934", "2.01001052", "0.931901999", "0.152424124",
)  # fmt: skip
PADE_BELOW = ("3.30847488e-06", "3.98021568", "5.12471206e-07", "0.301830109")


def sigma(x):
    return 1 / (1 + exp(-x))


def softplus(x):
    return log(1 + exp(x))


def relu(x):
    return x if x > 0 else mpf(0)


def gelu(x):
    return x * (1 + erf(x / sqrt(2))) / 2


def pau(x):
    above = sum(mpf(a) * x**k for k, a in enumerate(PADE_ABOVE))
    return above / (1 + abs(sum(mpf(b) * x**k for k, b in enumerate(PADE_BELOW, 1))))


def sqnl(x):
    if abs(x) > 2:
        return mpmath.sign(x)
    return x - x * x / 4 if x >= 0 else x + x * x / 4


TEXTBOOK: dict[str, Callable] = {
    "sparse_sigmoid": lambda x: min(max((x + 1) / 2, mpf(0)), mpf(1)),
    "elliott": lambda x: x / 2 / (1 + abs(x)) + mpf(1) / 2,
    "lecun_tanh": lambda x: mpf("1.7159") * tanh(2 * x / 3),
    "penalized_tanh": lambda x: tanh(x) if x > 0 else tanh(x) / 4,
    "bipolar_sigmoid": lambda x: (1 - exp(-x)) / (1 + exp(-x)),
    "gudermannian": lambda x: 2 * atan(exp(x)) - mpmath.pi / 2,
    "isru": lambda x: x / sqrt(1 + x * x),
    "sqnl": sqnl,
    "soft_clipping": lambda x: 2 * log((1 + exp(x / 2)) / (1 + exp((x - 1) / 2))),
    "richards": lambda x: (1 + exp(-x)) ** mpf("-1.5"),
    "aria2": lambda x: x * (1 + exp(-2 * x)) ** mpf("-1.5"),
    "gaussian": lambda x: exp(-x * x),
    "bounded_relu": lambda x: min(relu(x), mpf(1)),
    "squared_relu": lambda x: relu(x) ** 2,
    "nlrelu": lambda x: log(1 + relu(x)),
    "sine_relu": lambda x: x if x > 0 else (sin(x) - cos(x)) / 100,
    "sparse_plus": lambda x: mpf(0) if x <= -1 else (x + 1) ** 2 / 4 if x < 1 else x,
    "isrlu": lambda x: x if x >= 0 else x / sqrt(1 + x * x),
    "elish": lambda x: x / (1 + exp(-x)) if x >= 0 else (exp(x) - 1) / (1 + exp(-x)),
    "hard_elish": lambda x: (x if x >= 0 else exp(x) - 1) * max(mpf(0), min(mpf(1), (x + 1) / 2)),
    "shifted_softplus": lambda x: log(exp(x) / 2 + mpf(1) / 2),
    "squareplus": lambda x: (x + sqrt(x * x + 4)) / 2,
    "bent_identity": lambda x: (sqrt(x * x + 1) - 1) / 2 + x,
    "symlog": lambda x: mpmath.sign(x) * log(1 + abs(x)),
    "dsilu": lambda x: sigma(x) * (1 + x * (1 - sigma(x))),
    "eswish": lambda x: mpf("1.75") * x * sigma(x),
    "flatten_t_swish": lambda x: (x * sigma(x) if x >= 0 else mpf(0)) - mpf("0.2"),
    "quick_gelu": lambda x: x * sigma(mpf("1.702") * x),
    "hard_mish": lambda x: x / 2 * min(mpf(2), relu(x + 2)),
    "beta_mish": lambda x: x * tanh(log((1 + exp(x)) ** mpf("1.5"))),
    "mila": lambda x: x * tanh(softplus(x - mpf("0.25"))),
    "lisht": lambda x: x * tanh(x),
    "tanhexp": lambda x: x * tanh(exp(x)),
    "serf": lambda x: x * erf(softplus(x)),
    "smish": lambda x: x * tanh(log(1 + sigma(x))),
    "logish": lambda x: x * log(1 + sigma(x)),
    "phish": lambda x: x * tanh(gelu(x)),
    "gcu": lambda x: x * cos(x),
    "snake": lambda x: x + (1 - cos(2 * x)) / 2,
    "arelu": lambda x: (1 + sigma(mpf(2))) * x if x > 0 else mpf("0.9") * x,
    "swish_beta": lambda x: x * sigma(x),
    "weighted_tanh": tanh,
    "pelu": lambda x: x if x >= 0 else exp(x) - 1,
    "flexible_relu": relu,
    "star_relu": lambda x: mpf("0.8944") * relu(x) ** 2 - mpf("0.4472"),
    "mixture": relu,
    "apl": lambda x: relu(x) + mpf("0.2") * relu(mpf("0.5") - x),
    "srelu": lambda x: x if x > 0 else x / 5,
    "acon_c": lambda x: x * sigma(x),
    "smu": lambda x: (mpf("1.01") * x + mpf("0.99") * x * erf(mpf("2.475") * x)) / 2,
    "slaf": lambda x: 1 + x,
    "soft_exponential": lambda x: 10 * (exp(x / 10) - 1) + mpf("0.1"),
    "pau": pau,
}  # fmt: skip

OFF_THE_KINKS = torch.cat(
    [torch.linspace(-9.03, 9.07, 363), torch.tensor([-60.0, -25.0, 25.0, 60.0])]
).double()


def ours(name: str, x: torch.Tensor) -> torch.Tensor:
    formula = activations.get(name)
    return formula.torch_function(x, *(torch.tensor(v, dtype=x.dtype) for v in formula.initial))


def test_every_activation_has_an_oracle() -> None:
    assert {*TORCH, *TEXTBOOK} == set(activations.names())


@pytest.mark.parametrize("name", TORCH)
def test_value_and_slope_equal_torchs(name: str) -> None:
    x = OFF_THE_KINKS.clone().requires_grad_()
    y, theirs = ours(name, x), TORCH[name](x)
    torch.testing.assert_close(y, theirs, rtol=1e-9, atol=1e-9)  # softplus: linear above 20 there
    slope, their_slope = (torch.autograd.grad(each.sum(), x)[0] for each in (y, theirs))
    torch.testing.assert_close(slope, their_slope, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_value_equals_the_textbook_definition_at_fifty_digits(name: str) -> None:
    with mpmath.workdps(50):
        for x in [*OFF_THE_KINKS.tolist(), -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0]:
            truth = float(TEXTBOOK[name](mpf(x)))
            y = ours(name, torch.tensor(x, dtype=torch.float64)).item()
            assert y == pytest.approx(truth, rel=1e-12, abs=1e-13 * max(1, abs(x))), x


@pytest.mark.parametrize("name", TEXTBOOK)
def test_slope_equals_the_numerical_slope_of_the_textbook_definition(name: str) -> None:
    x = OFF_THE_KINKS[::3].clone().requires_grad_()
    slopes = torch.autograd.grad(ours(name, x).sum(), x)[0]
    with mpmath.workdps(50):
        step = mpf("1e-15")
        for at, slope in zip(x.tolist(), slopes.tolist(), strict=True):
            f = TEXTBOOK[name]
            truth = float((f(mpf(at) + step) - f(mpf(at) - step)) / (2 * step))
            assert slope == pytest.approx(truth, rel=1e-9, abs=1e-12 * max(1, abs(at))), at


def test_gelu_as_tanh_is_within_a_thousandth_of_gelu_and_not_it() -> None:
    difference = (ours("gelu", OFF_THE_KINKS) - ours("gelu_tanh", OFF_THE_KINKS)).abs().max()
    assert 1e-5 < difference < 1e-3


def test_elementwise_names_equal_keras_where_it_is_installed() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend than torch")
    names = """celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh linear
    log_sigmoid mish relu relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus
    sparse_sigmoid squareplus tanh tanh_shrink"""
    for name in names.split():
        theirs = getattr(keras.activations, name)(OFF_THE_KINKS)
        torch.testing.assert_close(
            ours(name, OFF_THE_KINKS), torch.as_tensor(theirs).double(), rtol=1e-6, atol=1e-6
        )


def test_names_equal_timms_where_it_is_installed() -> None:
    timm = pytest.importorskip("timm.layers.activations")
    names = """swish mish sigmoid tanh hard_swish hard_sigmoid hard_mish gelu gelu_tanh
    quick_gelu"""
    for name in names.split():
        theirs = getattr(timm, name)(OFF_THE_KINKS.clone())
        torch.testing.assert_close(ours(name, OFF_THE_KINKS), theirs)


def test_overflow_that_autograd_turns_into_nan_does_not_happen_here() -> None:
    """The usual way to write elu has a NaN gradient at 1000; ours has 1."""

    def naive(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, torch.exp(x) - 1)

    x = torch.tensor(1000.0, requires_grad=True)
    assert torch.autograd.grad(naive(x), x)[0].isnan()
    assert torch.autograd.grad(ours("elu", x), x)[0] == 1
