"""Formula: one expression, and what is derived from it."""

import dataclasses
import math
import subprocess
import sys

import pytest
import sympy
import torch

import activations
from activations import Formula, Parameter, parse
from activations.formula.program import build_program
from activations.formula.text import to_text


def test_slope_at_a_kink_is_the_one_the_contract_chooses() -> None:
    def slope(text: str, x: float) -> float:
        at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(parse(text).torch_function(at), at)[0].item()

    assert slope("max(x, 0)", 0.0) == 0  # the second where both are equal
    assert slope("max(0, x)", 0.0) == 1
    assert slope("min(x, 0)", 0.0) == 1  # the first where both are equal
    assert slope("min(0, x)", 0.0) == 0
    assert slope("abs(x)", 0.0) == 0
    assert slope("x*sign(x)", -2.0) == -1
    assert slope("where(x < 0, 3*x, 2*x)", 0.0) == 2


def test_branch_not_taken_never_reaches_the_slope() -> None:
    formula = parse("where(x > 0, log(x), exp(x)) + where(x < 5, exp(-x), 1/x)*where(x < 5, 1, x)")
    x = torch.tensor([-1.0, 0.0, 1e4], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(formula.torch_function(x).sum(), x)
    e = math.e
    torch.testing.assert_close(slope, torch.tensor([1 / e - e, 0.0, 1e-4], dtype=torch.float64))


def test_parameters_broadcast_and_their_gradients_are_summed_over_what_was_broadcast() -> None:
    formula = parse("max(x, 0) + a*min(x, 0) + b*x; a=0.25, b=1.0")
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    a = torch.rand(3, 1, 4, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    ours = torch.autograd.grad((formula.torch_function(x, a, b) * weight).sum(), (a, b))
    theirs = torch.autograd.grad(
        ((torch.relu(x) - a * torch.relu(-x) + b * x) * weight).sum(), (a, b)
    )
    for mine, torchs in zip(ours, theirs, strict=True):
        assert mine.shape == torchs.shape
        torch.testing.assert_close(mine, torchs)


def test_parameter_larger_than_x_widens_the_result_and_xs_gradient_is_summed() -> None:
    formula = parse("a*x; a=1.0")
    x = torch.tensor([2.0], requires_grad=True)
    a = torch.tensor([1.0, 2.0, 3.0])
    y = formula.torch_function(x, a)
    assert y.tolist() == [2.0, 4.0, 6.0]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [6.0]


def test_vmap_over_the_function_equals_a_loop() -> None:
    formula = activations.get("arelu")
    x, a, b = torch.randn(4, 7), torch.rand(4), torch.randn(4)
    together = torch.func.vmap(formula.torch_function)(x, a, b)
    one_by_one = torch.stack([formula.torch_function(*each) for each in zip(x, a, b, strict=True)])
    torch.testing.assert_close(together, one_by_one)


def test_wrong_number_of_parameters_is_an_error_that_names_them() -> None:
    with pytest.raises(ValueError, match=r"2 parameters \('alpha', 'beta'\), got 1"):
        activations.get("arelu").torch_function(torch.zeros(1), torch.zeros(1))


def test_third_derivative_of_tanh_is_the_textbooks() -> None:
    x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    value = activations.get("tanh").torch_function(x)
    for _ in range(3):
        (value,) = torch.autograd.grad(value, x, create_graph=True)
    t = math.tanh(0.5)
    assert value.item() == pytest.approx(-2 * (1 - t * t) * (1 - 3 * t * t), rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["relu", "hardtanh", "thresholded_relu", "identity", "slaf"])
def test_constant_slopes_keep_type_and_shape(name: str, dtype: torch.dtype) -> None:
    formula = activations.get(name)
    x = torch.randn(2, 3, dtype=dtype, requires_grad=True)
    initial = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in formula.initial]
    y = formula.torch_function(x, *initial)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    for gradient, tensor in zip(
        torch.autograd.grad(y.sum(), (x, *initial)), (x, *initial), strict=True
    ):
        assert (gradient.dtype, gradient.shape) == (dtype, tensor.shape)


def test_constant_is_as_precise_as_x() -> None:
    formula = parse("where(x > 0, 0.1, 0.3) + 0*x + tanh(x)*sqrt(2/pi)")
    y = formula.torch_function(torch.tensor(1e-300, dtype=torch.float64))
    assert y.item() == pytest.approx(0.1, rel=1e-15)


def test_value_and_slopes_share_their_work() -> None:
    program = activations.get("silu").program(derivatives=True)
    assert program.names == ("value", "x")
    code = str((program.steps, program.outputs))
    assert code.count("Sigmoid") == 1


def test_program_of_a_formula_that_swallows_nan_lets_it_through_only_there() -> None:
    assert "IsNan" in str(activations.get("hardshrink").program())
    assert "IsNan" not in str(activations.get("elu").program())


def test_temporaries_do_not_collide_with_parameters() -> None:
    formula = parse("tanh(t0*x)*t0 + tanh(t0*x)**2*t1; t0=0.5, t1=2.0")
    x = torch.tensor(0.7, dtype=torch.float64)
    t0, t1 = torch.tensor(0.5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    expected = torch.tanh(t0 * x) * t0 + torch.tanh(t0 * x) ** 2 * t1
    torch.testing.assert_close(formula.torch_function(x, t0, t1), expected)


def test_parameters_named_like_functions_of_torch_or_python_are_only_names() -> None:
    formula = parse("isnan*x + constant*maximum*tanh(x); isnan=1.0, constant=2.0, maximum=3.0")
    x = torch.tensor(0.7)
    y = formula.torch_function(x, *map(torch.tensor, formula.initial))
    torch.testing.assert_close(y, x + 6 * torch.tanh(x))


def test_program_computes_only_what_it_is_asked_for() -> None:
    formula = activations.get("prelu")
    assert formula.program().names == ("value",)
    assert formula.program(value=False, derivatives=True).names == ("x", "a")
    with pytest.raises(ValueError, match="'b'"):
        build_program(formula.inputs, formula.expression, ("b",))


def test_derivative_by_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="depends on x, a, not on 'y'"):
        activations.get("prelu").derivative("y")


def test_derivatives_are_light() -> None:
    assert to_text(activations.get("relu").derivative()) == "where(x > 0, 1, 0)"
    assert to_text(activations.get("tanh").derivative()) == "1 - tanh(x)**2"
    assert activations.get("identity").derivative() == 1


def test_formula_is_frozen_and_compares_by_content() -> None:
    one, other = parse("x*sigmoid(x)"), parse("sigmoid(x) * x")
    assert one == other
    assert len({one, other}) == 1
    assert one != parse("x*tanh(x)")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "new"  # type: ignore[misc]


def test_formula_made_in_python_works_like_one_that_was_typed() -> None:
    from activations.formula.primitives import Tanh

    x, a = sympy.symbols("x a")
    made = Formula(
        name="mine", expression=a * Tanh(x), parameters=(Parameter(name="a", initial=2.0),)
    )
    assert made.text == "a*tanh(x); a=2.0"
    assert activations.get(made).torch_function(torch.tensor(0.0), torch.tensor(2.0)) == 0


def test_latex_of_every_shipped_formula_has_balanced_braces_and_no_class_names() -> None:
    for name in activations.names():
        latex = activations.get(name).latex
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
        assert not any(word in latex for word in ("Maximum", "Where", "operatorname", "Sigmoid"))
    assert activations.get("silu").latex == r"x \sigma\left(x\right)"
    assert r"\begin{cases} x & \left|x\right| > " in activations.get("hardshrink").latex


def test_importing_the_package_and_its_errors_costs_neither_torch_nor_sympy() -> None:
    code = (
        "import sys, activations, activations.errors;"
        "print([m for m in ('torch', 'sympy', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_all_there() -> None:
    for name in activations.__all__:
        assert getattr(activations, name) is not None
    with pytest.raises(AttributeError):
        activations.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("text", "by", "slope"),
    [
        ("max(x, 0) + a*min(x, 0); a=0.1", "x", "where(x <= 0, a, 1)"),
        ("max(x, 0) + a*min(x, 0); a=0.1", "a", "min(x, 0)"),
        ("a*max(x, 0)**2; a=1.0", "x", "where(x > 0, 2*a*max(x, 0), 0)"),
        ("max(a*x, x) + max(x, 0); a=2.0", "x", "where(x > 0, 1, 0) + where(a*x > x, a, 1)"),
        (
            "tanh(x)*max(3 - x, 0)",
            "x",
            "(1 - tanh(x)**2)*max(3 - x, 0) + where(3 - x > 0, -tanh(x), 0)",
        ),
    ],
)
def test_slopes_select_instead_of_multiplying_by_zeros(text: str, by: str, slope: str) -> None:
    assert to_text(parse(text).derivative(by)) == slope
