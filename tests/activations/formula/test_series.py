"""Derivatives as series: as mpmath finds them from differences, whatever the formula's size."""

import mpmath
import numpy as np
import pytest
import sympy

import activations
from activations.formula.primitives import exact_value
from activations.formula.series import taylor

X = np.array([-2.3, -0.4, 0.7, 1.9])


@pytest.mark.parametrize(
    "text",
    [
        "sin(x)*cos(2*x)*tanh(x+1)*(x-3)",
        "tanh(tanh(tanh(tanh(x))))",
        "sigmoid(x)**3/(2+x**2)",
        "max(x*x, 1)*where(x < 0.5, erf(x), exp(x))",
        "a*atan(b*x)+log(a+3); a=0.3, b=-2",
        "softplus(x)*abs(x-0.1)*min(x, 1)",
    ],
)
def test_every_order_is_the_derivative_that_differences_show(text: str) -> None:
    formula = activations.parse(text)
    values = {p.name: p.initial for p in formula.parameters}
    exact = {sympy.Symbol(name): mpmath.mpf(value) for name, value in values.items()}
    found = taylor(formula.expression, values, 3)(X)
    assert found.shape == (4, len(X))
    with mpmath.workdps(40):
        for at, orders in zip(X, found.T, strict=True):
            for order, derivative in enumerate(orders):
                wanted = mpmath.diff(
                    lambda x: exact_value(formula.expression, exact | {sympy.Symbol("x"): x}),
                    mpmath.mpf(at),
                    order,
                )
                assert derivative == pytest.approx(float(wanted), rel=1e-10, abs=1e-12)


def test_many_points_give_the_bits_of_a_few() -> None:
    function = taylor(activations.parse("x*tanh(sin(x))").expression, {}, 3)
    grid = np.linspace(-3, 3, 10_001)
    assert np.array_equal(function(grid)[:, 5_000:5_003], function(grid[5_000:5_003]))


def test_what_is_not_defined_is_nan_and_nothing_is_said() -> None:
    with np.errstate(all="raise"):
        value, slope = taylor(activations.parse("log(x)+sqrt(x)").expression, {}, 1)(X)
    assert np.isnan(value[:2]).all()
    assert np.isfinite(slope[2:]).all()
