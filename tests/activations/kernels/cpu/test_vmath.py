"""The vector functions of vmath.h, against float64 over all of float32's range."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from activations.kernels import cpu
from activations.kernels.cpu.compiler import load_library

# bounds in units in the last place: a quarter above the largest error seen over every 37th float32
FUNCTIONS = {
    "exp": (np.exp, 1.3),
    "expm1": (np.expm1, 2.1),
    "sigmoid": (special.expit, 3.1),
    "tanh": (np.tanh, 3.2),
    "log": (np.log, 1.2),
    "log1p": (np.log1p, 1.2),
    "softplus": (lambda x: np.logaddexp(0, x), 3.5),
    "erf": (special.erf, 1.9),
    "atan": (np.arctan, 2.6),
    "sin": (np.sin, 2.0),
    "cos": (np.cos, 2.0),
    "abs": (np.abs, 0.0),
    "sqrt": (np.sqrt, 0.5),
}
SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1.0,
    -1.0,
    1e-45,
    -1e-45,
    3.4028235e38,
    -3.4028235e38,
]
EDGES = [88.5, 88.72, 88.73, -87.3, -88.0, -103.0, -104.0, -105.0, 9.0, 10.0, 4.0, 29999.0, 30001.0]
TINIEST = 1.17549435e-38  # below it a float has fewer bits, and a sigmoid may already be 0


@pytest.fixture(scope="module")
def library():
    header = (Path(cpu.__file__).parent / "vmath.h").read_text()
    loop = "for (int64_t i = 0; i < n; i += LANES) store(y + i, v_{0}(load(x + i)));"
    return load_library(
        header
        + "\n".join(
            f"void run_{name}(const float *x, float *y, int64_t n) {{ {loop.format(name)} }}"
            for name in [*FUNCTIONS, "sign"]
        )
    )


@pytest.fixture(scope="module")
def arguments():
    every = np.arange(0, 2**32, 4093, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = np.random.default_rng(0).standard_normal(1 << 18).astype(np.float32) * 4
    edges = np.array(SPECIAL + EDGES, np.float32)
    x = np.concatenate([edges, usual, every])
    return x[: len(x) // 16 * 16].copy()


def call(library, name, x):
    y = np.empty_like(x)
    getattr(library, f"run_{name}")(
        x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(x))
    )
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vector_function_is_right_to_a_few_units_in_the_last_place(library, arguments, name):
    function, bound = FUNCTIONS[name]
    y = call(library, name, arguments)
    with np.errstate(all="ignore"):
        exact = function(arguments.astype(np.float64))
        rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded)
        unit = np.maximum(np.spacing(np.abs(rounded)), np.spacing(np.float32(TINIEST)))
        error = np.abs(y - exact)[finite] / unit[finite]
    error[np.abs(exact[finite]) < TINIEST] = np.minimum(error[np.abs(exact[finite]) < TINIEST], 0)
    worst = np.argmax(error)
    assert error[worst] <= bound, f"{name}({arguments[finite][worst]!r})"
    np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
    infinite = np.isinf(exact)
    np.testing.assert_array_equal(y[infinite], exact[infinite])


def test_sign_of_zero_and_nan_is_zero(library):
    x = np.array([0.0, -0.0, np.nan, 1e-45, -1e-45, np.inf, -np.inf, 2.0] * 2, np.float32)
    np.testing.assert_array_equal(call(library, "sign", x), [0, 0, 0, 1, -1, 1, -1, 1] * 2)
