"""`import reports`: what a notebook user gets, and what it costs."""

import doctest
import subprocess
import sys
from importlib import import_module

import matplotlib as mpl
import pytest

import reports

HOMES = sorted({f"reports.{home}" for home in reports._HOME.values()} | {"reports"})


@pytest.mark.parametrize("home", HOMES)
def test_examples_of_docstrings_are_true(home):
    mpl.use("Agg")
    found = doctest.testmod(import_module(home), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0
    if home != "reports.analysis.comparisons":  # only a class of settings is offered from there
        assert found.attempted > 0


def test_import_is_cheap_and_everything_offered_exists():
    code = (
        "import sys, reports\n"
        "heavy = {'torch', 'matplotlib', 'sympy', 'pandas', 'xarray', 'scipy', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert set(reports.__all__) <= set(dir(reports))\n"
        "for name in reports.__all__: assert getattr(reports, name).__doc__\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'drow'"):
        _ = reports.drow
