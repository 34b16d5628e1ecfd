"""The C written from every formula, against the formula in float64."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch

from activations.formula.parser import parse
from activations.kernels import cpu
from activations.kernels.cell import Cell
from activations.kernels.cpu.c_code import c_source
from activations.kernels.cpu.compiler import load_library
from activations.registry import get, names

# no grid point is a kink of an activation: a float on one side of it may be a double on the other
GRID = np.float32(np.linspace(-7.97, 7.97, 2048))
EXTREMES = np.float32(np.repeat([-3.4e38, -1e20, -1e4, -90, 0, 1e-40, 90, 1e4, 1e20, 3.4e38], 16))


@pytest.fixture(scope="module")
def library():
    """One library with every formula: value and slopes over an array."""
    parts = [(Path(cpu.__file__).parent / "vmath.h").read_text()]
    for number, name in enumerate(names()):
        cell = Cell(get("identity"), get("identity"), get(name))
        source = c_source(cell)
        candidate = source[source.index("#define CANDIDATE") :].partition("\n")[2]
        parts.append(candidate.replace("candidate_", f"f{number}_"))
        parts.append(
            f"""
            void run_{number}(const float *x, const float *p, float *value, float *again,
                              float *slopes, int64_t n, int64_t parameters)
            {{
                vf given[16], d_p[16], d_x;
                for (int64_t j = 0; j < parameters; j++)
                    given[j] = splat(p[j]);
                for (int64_t i = 0; i < n; i += LANES) {{
                    store(value + i, f{number}_value(load(x + i), given));
                    store(again + i, f{number}_gradient(load(x + i), given, &d_x, d_p));
                    store(slopes + i, d_x);
                    for (int64_t j = 0; j < parameters; j++)
                        store(slopes + (j + 1) * n + i, d_p[j]);
                }}
            }}"""
        )
    return load_library("\n".join(parts))


def call(library, name, x):
    """Value, the value that comes with the slopes, and slopes [1 + P, n]."""
    initial = np.array(get(name).initial, np.float32)
    value, again = np.empty_like(x), np.empty_like(x)
    slopes = np.empty((1 + len(initial), len(x)), np.float32)
    pointers = (a.ctypes.data_as(ctypes.c_void_p) for a in (x, initial, value, again, slopes))
    getattr(library, f"run_{names().index(name)}")(
        *pointers, ctypes.c_int64(len(x)), ctypes.c_int64(len(initial))
    )
    return value, again, slopes


def exact(name, x):
    formula = get(name)
    inputs = [torch.tensor(x, dtype=torch.float64)]
    inputs += [
        torch.full_like(inputs[0], float(np.float32(initial))) for initial in formula.initial
    ]
    for each in inputs:
        each.requires_grad_()
    value = formula.torch_function(*inputs)
    slopes = torch.autograd.grad(value.sum(), inputs)
    return value.detach().numpy(), torch.stack(slopes).numpy()


@pytest.mark.parametrize("name", names())
def test_emitted_c_computes_the_formula_and_its_slopes(library, name):
    value, again, slopes = call(library, name, GRID)
    wanted, wanted_slopes = exact(name, GRID)
    # 2e-6: two dozen roundings, relative to the largest term a formula of this size subtracts
    scale = np.maximum(1, np.abs(wanted)) + np.abs(GRID)
    np.testing.assert_array_less(np.abs(value - wanted), 2e-6 * scale)
    np.testing.assert_array_less(np.abs(again - wanted), 2e-6 * scale)
    scale = np.maximum(1, np.abs(wanted_slopes)) + GRID**2
    np.testing.assert_array_less(np.abs(slopes - wanted_slopes), 2e-6 * scale)


@pytest.mark.parametrize("name", names())
def test_emitted_c_gives_no_nan_for_any_finite_x(library, name):
    value, again, slopes = call(library, name, EXTREMES)
    assert not np.isnan(value).any()
    assert not np.isnan(again).any()
    overflow = np.isinf(again)  # a formula may itself exceed float32 near its end; x * 1.75 does
    assert not np.isnan(slopes[:, ~overflow]).any()


@pytest.mark.parametrize("name", names())
def test_emitted_c_passes_a_nan_on(library, name):
    value, again, _ = call(library, name, np.full(16, np.nan, np.float32))
    assert np.isnan(value).all()
    assert np.isnan(again).all()


def test_parameters_are_arguments_and_not_part_of_the_code():
    one, other = (parse(f"max(x,0)+a*min(x,0); a={a}") for a in (0.25, 0.5))
    assert c_source(Cell(one, one, one)) == c_source(Cell(other, other, other))


def test_powers_are_products_of_squares():
    formula = parse("x**7 + (x+1)**-2")
    source = c_source(Cell(formula, formula, formula))
    assert "pow" not in source
    assert "x * s0 * s1" in source
