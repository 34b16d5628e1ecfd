"""NumPy's functions of formulas: those of torch, wherever they are evaluated."""

import numpy as np
import pytest
import torch

from activations import get, names
from activations.formula.numpy_code import compile_numpy

X = np.concatenate([np.linspace(-30, 30, 601), [0.0, -0.0, 1e-300, -1e4, 1e4, np.inf, np.nan]])


@pytest.mark.parametrize("name", names())
def test_numpy_s_function_is_torch_s(name: str) -> None:
    formula = get(name)
    values = [np.full_like(X, value) for value in formula.initial]
    found = compile_numpy(formula.program())(X, *values)
    wanted = formula.torch_function(torch.from_numpy(X), *map(torch.from_numpy, values))
    # both are right to some units in the last place, which exp and tanh do not share
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-13, atol=1e-15)


def test_parameters_broadcast_and_what_does_not_depend_on_x_has_its_shape() -> None:
    formula = get("max(x, 0) + a*min(x, 0); a=0.25")
    rows = np.array([[0.0], [0.5], [2.0]])
    found = compile_numpy(formula.program())(np.array([-2.0, 3.0]), rows)
    assert found.tolist() == [[0.0, 3.0], [-1.0, 3.0], [-4.0, 3.0]]
    slope = get("2*x").slope()
    assert compile_numpy(slope.program())(X[:3]).tolist() == [2.0, 2.0, 2.0]
