"""What is told about activations: complete, ready for JSON, and drawn."""

import json
import time
import warnings
from pathlib import Path

import pytest
from matplotlib.image import imread

import activations
from activations import InputError
from activations.description import describe, figure, listing, plot

KEYS = {"name", "aliases", "family", "formula", "parameters", "source"}


def test_listing_has_a_row_with_the_promised_keys_for_every_activation() -> None:
    rows = listing()
    assert [row["name"] for row in rows] == activations.names()
    assert all(row.keys() >= KEYS for row in rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    arelu = next(row for row in rows if row["name"] == "arelu")
    assert [(p["name"], p["initial"]) for p in arelu["parameters"]] == [
        ("alpha", 0.9),
        ("beta", 2.0),
    ]


@pytest.mark.parametrize("name", activations.names())
def test_detail_of_every_activation_is_json_with_checked_facts(name: str) -> None:
    told = describe(name)
    json.dumps(told, allow_nan=False)
    assert told["facts_are"] == "checked"
    assert [*told["derivatives"]] == [*activations.get(name).inputs]


def test_detail_of_a_typed_formula_says_that_its_facts_are_estimated() -> None:
    told = describe("a*x*tanh(x); a=2.0")
    assert told["facts_are"] == "estimated"
    assert told["facts"]["range"] == [0.0, "inf"]
    assert told["facts"]["odd"] is False
    assert told["derivatives"] == {
        "x": "a*x*(1 - tanh(x)**2) + a*tanh(x)",
        "a": "x*tanh(x)",
    }
    assert told["latex"] == r"a x \tanh\left(x\right)"


@pytest.mark.parametrize(
    "formula",
    ["*".join(f"sin({k}*x)" for k in range(1, 61)), "tanh(" * 40 + "x" + ")" * 40],
    ids=["sixty factors", "forty nested"],
)
def test_detail_of_a_large_formula_takes_less_than_two_seconds(formula: str) -> None:
    before = time.process_time()
    told = describe(formula)
    assert time.process_time() - before < 2.0
    assert told["facts"]["smoothness"] == "inf"
    assert all(len(text) < 20_000 for text in told["derivatives"].values())


def test_detail_of_what_grows_beyond_every_number_says_nothing_on_the_way() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert describe("exp(exp(x))")["facts"]["lipschitz"] == "inf"


def test_detail_of_nonsense_is_an_input_error() -> None:
    with pytest.raises(InputError):
        describe("nonsense")


def test_figure_shows_the_function_its_slope_and_each_parameters_slope() -> None:
    fig, axes = figure(activations.get("arelu"))
    drawn = [line.get_label() for line in axes.get_lines()]
    assert drawn[-4:] == ["f = arelu (alpha=0.9, beta=2)", "∂f/∂x", "∂f/∂alpha", "∂f/∂beta"]
    texts = [text.get_text() for legend in fig.legends for text in legend.get_texts()]
    assert texts == drawn[-4:]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_writes_a_picture_in_the_suffixs_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plot.{suffix}"
    plot("max(x, 0) + a*min(x, 0); a=0.25", path)
    assert path.stat().st_size > 2000
    if suffix == "png":
        assert imread(path).std() > 0.05  # not a blank page


def test_plot_to_an_impossible_place_or_format_says_so_in_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "a.png", tmp_path / "a.txtt", tmp_path / "nosuffix"):
        with pytest.raises(InputError) as caught:
            plot("tanh", path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
