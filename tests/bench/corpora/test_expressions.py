"""Expressions from files: they match as `re` does, and none takes longer than anybody waits."""

import re
import signal
import time

import pytest

from activations.errors import InputError
from bench.corpora import expressions
from bench.corpora.expressions import Expression


def test_named_groups_that_are_not_empty_are_what_a_whole_text_says() -> None:
    expression = Expression(re.compile(r"(?P<speaker>\w+)-(?P<take>\d*)(?P<label>x)?"), "pattern")
    assert expression.groups("anna-") == {"speaker": "anna"}
    assert expression.groups("anna-07x") == {"speaker": "anna", "take": "07", "label": "x"}
    assert expression.groups("anna-07x more") is None
    assert expression.names == {"speaker", "take", "label"}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+b", "a" * 60),
        ("(a|a)*b", "a" * 60),
        ("(a|aa)+b", "a" * 90),
        (".*.*.*.*.*.*.*x", "a" * 400),
    ],
)
def test_an_expression_that_would_take_years_is_named(
    pattern: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 0.1)
    handler = signal.getsignal(signal.SIGVTALRM)
    expression = Expression(re.compile(pattern), "corpus.pattern.file")
    began = time.process_time()
    with pytest.raises(InputError, match=r"corpus\.pattern\.file: .* takes too long to match 'aaa"):
        expression.groups(text)
    assert time.process_time() - began < 2.0
    assert signal.getsignal(signal.SIGVTALRM) == handler
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_many_texts_that_take_a_little_too_long_are_together_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 0.1)
    expression = Expression(re.compile("(a+)+b"), "pattern.file")
    began = time.process_time()
    with pytest.raises(InputError, match="takes too long"):
        list(map(expression.groups, ["a" * 16] * 10_000))  # milliseconds each
    assert time.process_time() - began < 2.0


def test_many_texts_that_take_no_time_are_matched() -> None:
    expression = Expression(re.compile(r"(?:.*/)?(?:(?P<speaker>\w+)-(?P<label>\w+))"), "pattern")
    assert all(expression.groups(f"a/b/speaker{n}-label") for n in range(20_000))
