"""Declared facts hold: checked in mpmath, apart from how they were found."""

from functools import cache
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy

import activations
from activations import Formula
from activations.formula.estimate import estimate_facts
from activations.formula.facts import Facts
from activations.formula.primitives import exact_value

ALL = activations.names()
X = sympy.Symbol("x")
KINKS = (-6.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 600.0)
# dense where activations bend, then far out; not symmetric, so that it seldom hits a kink
WIDE = [*np.linspace(-9.03, 9.07, 363), *np.geomspace(10, 1e8, 30), *-np.geomspace(10, 1e8, 30)]
FAR = (1e12, -1e12, 1e40, -1e40, 3.0e40, -3.0e40)


def evaluator(formula: Formula, expression: sympy.Expr):
    at = {sympy.Symbol(p.name): mpmath.mpf(str(p.initial)) for p in formula.parameters}
    return lambda x: exact_value(expression, at | {X: mpmath.mpf(x)})


@cache
def on_the_grid(name: str, slopes: bool = False) -> dict[float, mpmath.mpf]:
    """Values, or slopes, of an activation by x: several tests look at the same ones."""
    formula = activations.get(name)
    f = evaluator(formula, formula.derivative() if slopes else formula.expression)
    return {x: f(x) for x in (*WIDE, *KINKS)}


def facts_of(name: str) -> tuple[Formula, Facts]:
    formula = activations.get(name)
    assert formula.facts is not None
    return formula, formula.facts


@pytest.mark.parametrize("name", ALL)
def test_values_stay_within_the_declared_range_and_come_close_to_its_ends(name: str) -> None:
    formula, facts = facts_of(name)
    f = evaluator(formula, formula.expression)
    values = [float(value) for value in (*on_the_grid(name).values(), *map(f, FAR))]
    low, high = facts.range
    assert min(values) >= low - 1e-9 * max(1, abs(low))
    assert max(values) <= high + 1e-9 * max(1, abs(high)) if np.isfinite(high) else True
    # the grid's step of 0.05 misses an extremum by little; logarithms grow slowly
    assert min(values) <= (low + 2e-3 * max(1, abs(low)) if np.isfinite(low) else -25)
    assert max(values) >= (high - 2e-3 * max(1, abs(high)) if np.isfinite(high) else 25)


@pytest.mark.parametrize("name", ALL)
def test_monotone_exactly_when_no_slope_is_negative(name: str) -> None:
    _, facts = facts_of(name)
    values = [value for _, value in sorted(on_the_grid(name).items())]
    falls = any(b < a - 1e-40 for a, b in pairwise(values))
    steep = any(slope < -1e-40 for slope in on_the_grid(name, slopes=True).values())
    assert facts.monotone == (not falls and not steep)


@pytest.mark.parametrize("name", ALL)
def test_odd_exactly_when_declared(name: str) -> None:
    formula, facts = facts_of(name)
    f = evaluator(formula, formula.expression)
    with mpmath.workdps(50):
        odd = all(abs(f(x) + f(-x)) <= 1e-40 * (1 + abs(f(x))) for x in WIDE[::5])
    assert facts.odd == odd


@pytest.mark.parametrize("name", ALL)
def test_zero_at_zero_exactly_when_declared(name: str) -> None:
    formula, facts = facts_of(name)
    assert facts.zero_at_zero == (evaluator(formula, formula.expression)(0) == 0)


@pytest.mark.parametrize("name", ALL)
def test_no_slope_exceeds_the_lipschitz_constant_and_one_comes_close(name: str) -> None:
    formula, facts = facts_of(name)
    slope = evaluator(formula, formula.derivative())
    beside_kinks = [k + sign * mpmath.mpf("1e-10") for k in KINKS for sign in (-1, 1)]
    slopes = on_the_grid(name, slopes=True)
    there = [*(slopes[x] for x in WIDE), *map(slope, beside_kinks)]
    steepest = max(abs(float(each)) for each in there)
    if facts.lipschitz == np.inf:
        assert facts.smoothness == -1 or steepest > 100
    else:
        assert steepest <= facts.lipschitz * (1 + 1e-9)
        assert steepest >= facts.lipschitz * (1 - 2e-3)


@pytest.mark.parametrize("name", ALL)
def test_as_many_derivatives_are_continuous_as_declared_and_the_next_is_not(name: str) -> None:
    formula, facts = facts_of(name)
    expression = formula.expression
    top = 3 if facts.smoothness == np.inf else int(facts.smoothness) + 1
    with mpmath.workdps(60):
        step = mpmath.mpf("1e-30")
        for order in range(top + 1):
            g = evaluator(formula, expression)
            jump = max(abs(g(k + step) - g(k - step)) / (1 + abs(g(k + step))) for k in KINKS)
            if order <= facts.smoothness:
                assert jump < 1e-20, order
            else:
                assert jump > 1e-8, order
            expression = expression.diff(X)


# soft_exponential levels off at 1e27, which an estimate must take for infinity
@pytest.mark.parametrize("name", [name for name in ALL if name != "soft_exponential"])
def test_estimate_finds_the_declared_facts(name: str) -> None:
    formula, facts = facts_of(name)
    found = estimate_facts(formula)
    assert found.range == pytest.approx(facts.range, rel=1e-9, abs=1e-9)
    assert found.lipschitz == pytest.approx(facts.lipschitz, rel=1e-9)
    assert (found.monotone, found.odd, found.zero_at_zero) == (
        facts.monotone,
        facts.odd,
        facts.zero_at_zero,
    )
    if name != "pau":  # its slope jumps by 2e-7, less than an estimate can tell
        assert found.smoothness == facts.smoothness


def test_estimate_for_a_typed_formula_sees_jump_kink_and_growth() -> None:
    step = estimate_facts(activations.parse("where(x > 1, 1, 0)*tanh(x)"))
    assert step.smoothness == -1
    assert step.lipschitz == np.inf
    assert step.range == pytest.approx((0.0, 1.0))
    leaky = estimate_facts(activations.parse("max(x, 0) + a*min(x, 0); a=3.0"))
    assert (leaky.smoothness, leaky.lipschitz) == (0, pytest.approx(3.0))
    assert leaky.range == (-np.inf, np.inf)
    assert estimate_facts(activations.parse("x**2")).lipschitz == np.inf
