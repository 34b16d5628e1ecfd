"""`import reports`: what a notebook user gets."""

import doctest
from importlib import import_module

import matplotlib as mpl
import pytest

import reports

HOMES = sorted({f"reports.{home}" for home in reports._HOME.values()} | {"reports"})


@pytest.mark.parametrize("home", HOMES)
def test_examples_of_docstrings_are_true(home, request):
    if home == "reports.study":  # writes a whole report
        request.getfixturevalue("two_figures")
    mpl.use("Agg")
    found = doctest.testmod(import_module(home), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0
    assert found.attempted > 0


def test_a_name_that_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'drow'"):
        _ = reports.drow
