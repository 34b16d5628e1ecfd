"""YAML 1.2: numbers are what they look like, keys are said once, and `#` belongs to a path."""

import math
from typing import Any

import pytest
import yaml

from activations.errors import InputError
from studies import yaml_text
from studies.loading import load
from studies.workspace import Workspace


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("0300", 300), ("010", 10), ("0o17", 15), ("0x1F", 31), ("-7", -7), ("+7", 7)],
        *[("1e-4", 1e-4), ("1.0e-04", 1e-4), (".5", 0.5), ("5.", 5.0), ("-.inf", -math.inf)],
        *[("1:30", "1:30"), ("1_000", "1_000"), ("0b11", "0b11"), ("2026-02-30", "2026-02-30")],
        *[("no", "no"), ("on", "on"), ("true", True), ("~", None), ("null", None), ("", None)],
        *[("[1, x]", [1, "x"]), ("{a: 010}", {"a": 10})],
    ],
)
def test_values_are_what_the_core_schema_says(text: str, value: Any) -> None:
    read = yaml_text.read(text)
    assert (read, type(read)) == (value, type(value))


def test_what_is_written_is_read_as_the_same_by_both_versions() -> None:
    data = {"text": ["1e-4", "0300", "no", "1:30", "", "~", "5."], "numbers": [1e-4, 300, 1e300]}
    written = yaml_text.write(data)
    assert yaml_text.read(written) == yaml.safe_load(written) == data


def test_merge_keys_fill_in_what_is_not_said() -> None:
    text = "a: &base {x: 1, y: 2}\nb: {<<: *base, y: 3}\nc: {<<: [*base, {z: 4}]}"
    read = yaml_text.read(text)
    assert read["b"] == {"x": 1, "y": 3}
    assert read["c"] == {"x": 1, "y": 2, "z": 4}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2", "'a' is given twice"),
        ("{a: {<<: {x: 1}, <<: {x: 2}}}", "'<<' is given twice"),
        ("[1, 2]: 3", "a key is a list or a mapping"),
        ("!!int abc", "not of its kind"),
        ("!!timestamp 2026-02-30", "not of its kind"),
        ("9" * 5000, "not of its kind"),
        ("[" * 2000 + "]" * 2000, "nested too deeply"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_read_is_an_error_of_yaml(text: str, problem: str) -> None:
    with pytest.raises(yaml.YAMLError, match=problem):
        yaml_text.read(text)


def test_an_override_is_taken_whole(workspace: Workspace) -> None:
    changes = ["corpus.format=iemocap", "corpus.path=/data #1/x", "training.steps=0300"]
    spec = load("paper", [*changes, "description=#1", "seeds=010"], workspace=workspace)
    assert spec.corpus.path == "/data #1/x"
    assert spec.training.steps == 300
    assert spec.description == "#1"
    assert spec.seeds == tuple(range(10))
    with pytest.raises(InputError, match=r"training\.steps: .*not '1:30'"):
        load("paper", ["training.steps=1:30"], workspace=workspace)
    with pytest.raises(InputError, match=r"variants\.activation"):
        load("paper", ["variants.activation=[tanh, relu] # but not elu"], workspace=workspace)
