"""Members: identities that hold across machines, names that are safe to write down."""

import dataclasses
import json
import re

import pytest

from activations import get
from activations.errors import InputError
from bench.data.members import Activation, Hyperparameters, Member, Variant

MEMBER = Member(Variant("arelu", direction="bigru"), "Session1", 3)


def test_stream_is_the_same_on_every_machine_and_in_every_version() -> None:
    # written down once: a change of this value changes every result
    assert MEMBER.stream == 3359926837031063632


def test_stream_is_shared_by_the_variants_of_a_fold_and_seed_and_by_nobody_else() -> None:
    other = dataclasses.replace(MEMBER, variant=Variant(), hyper=Hyperparameters(steps=5))
    assert other.stream == MEMBER.stream
    assert dataclasses.replace(MEMBER, seed=4).stream != MEMBER.stream
    assert dataclasses.replace(MEMBER, fold="Session2").stream != MEMBER.stream
    assert 0 <= MEMBER.stream < 2**63


def test_member_survives_json() -> None:
    assert Member.from_dict(json.loads(json.dumps(MEMBER.as_dict()))) == MEMBER


def test_a_variant_means_the_formula_it_was_made_with_whatever_the_name_means_here() -> None:
    made = Variant(Activation("nobody_registered_this", "x*a; a=0.5"), update="SiLU")
    read = Variant.from_dict(json.loads(json.dumps(made.as_dict())))
    assert read == made
    assert read.activation.formula.initial == (0.5,)
    assert (read.update.name, read.update.text) == ("SiLU", get("silu").text)
    assert read.label == "nobody_registered_this · gru · update SiLU"
    assert made != dataclasses.replace(made, activation=Activation("nobody_registered_this", "x"))


def test_an_old_record_of_an_activation_that_is_not_registered_can_be_read_but_not_drawn() -> None:
    names = Variant().names | {"activation": "nobody_registered_this"}
    read = Variant.from_dict(names)
    assert read.label == "nobody_registered_this · gru"
    with pytest.raises(InputError, match="no activation 'nobody_registered_this'"):
        _ = read.activation.formula
    assert Variant.from_dict(Variant("arelu").names) == Variant("arelu")


def test_members_of_one_variant_stack_over_folds_seeds_and_learning_rates_but_not_sizes() -> None:
    near = Member(MEMBER.variant, "Session4", 9, Hyperparameters(learning_rate=1e-3, dropout=0.0))
    wide = Member(MEMBER.variant, "Session1", 3, Hyperparameters(hidden_size=64))
    other = dataclasses.replace(MEMBER, variant=Variant("tanh", direction="bigru"))
    assert near.stack_group == MEMBER.stack_group
    assert wide.stack_group != MEMBER.stack_group
    assert other.stack_group != MEMBER.stack_group


def test_label_names_only_what_differs_from_a_plain_gru() -> None:
    assert Variant().label == "tanh · gru"
    assert Variant("relu", update="erf", reset_order="before").label == (
        "relu · gru · update erf · reset before"
    )


def test_slug_is_a_safe_file_name_that_tells_formulas_apart() -> None:
    assert Variant("tanh", direction="bigru").slug == "tanh-bigru"
    slugs = {Variant(text).slug for text in ("x*tanh(x)", "x+tanh(x)", "max(x, 0)", "tanh")}
    assert len(slugs) == 4
    assert all(re.fullmatch(r"[a-z0-9_-]{1,64}", slug) for slug in slugs)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("hidden_size", 0),
        ("steps", 0),
        ("dropout", 1.0),
        ("label_smoothing", -0.1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("l2", -1.0),
        ("clip_norm", 0.0),
    ],
)
def test_hyperparameter_out_of_range_is_named(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Hyperparameters(**{setting: value})  # type: ignore[arg-type]


def test_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="'gru' or 'bigru', not 'lstm'"):
        Variant(direction="lstm")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [("fold", ["Ses01"]), ("seed", True), ("seed", "0"), ("activation", {}), ("formulas", {})],
)
def test_a_record_of_a_member_whose_values_have_other_types_is_none(
    key: str, value: object
) -> None:
    record = Member(Variant("relu"), "Ses01", 0).as_dict()
    place = record["variant"] if key == "activation" else record
    if key == "formulas":
        place, value = record["variant"], {"activation": {}, "update": "x", "reset": "x"}
    place[key] = value
    with pytest.raises(TypeError, match="expected"):
        Member.from_dict(record)
