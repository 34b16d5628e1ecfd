"""Training on a part of the examples: nested, every class in it, the rest never seen."""

import dataclasses
import itertools

import numpy as np
import pytest

from bench.data.batches import Order
from bench.data.folds import Fold
from bench.data.members import Hyperparameters, Member, Variant
from bench.data.subset import training_part
from tests.bench import tiny

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 0.9, 1.0)
DATA = tiny.data(examples=600)
FOLD = DATA.folds["S1"]


def member(fraction: float, seed: int = 3, variant: Variant | None = None) -> Member:
    hyper = dataclasses.replace(tiny.SMALL, train_fraction=fraction)
    return Member(variant or Variant(), "S1", seed, hyper)


def part(fraction: float, seed: int = 3, fold: Fold = FOLD) -> set[int]:
    return set(training_part(member(fraction, seed), DATA.examples, fold).tolist())


def test_a_larger_part_contains_the_smaller_ones_and_the_largest_is_all() -> None:
    parts = [part(fraction) for fraction in FRACTIONS]
    assert all(small < large for small, large in itertools.pairwise(parts))
    assert parts[-1] == set(FOLD.train.tolist())


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_part_has_its_share_of_every_class_and_at_least_one_example(fraction: float) -> None:
    labels = DATA.examples.labels
    counts = np.bincount(labels[sorted(part(fraction))], minlength=4)
    whole = np.bincount(labels[FOLD.train], minlength=4)
    assert np.abs(counts - fraction * whole).max() <= 0.5
    few = dataclasses.replace(FOLD, train=FOLD.train[:6])
    assert set(labels[sorted(part(fraction, fold=few))]) == set(labels[few.train])


def test_seeds_draw_other_parts_and_variants_the_same() -> None:
    assert part(0.5, seed=3) != part(0.5, seed=4)
    other = member(0.5, variant=Variant("relu", direction="bigru"))
    assert set(training_part(other, DATA.examples, FOLD).tolist()) == part(0.5)


def test_what_two_folds_share_they_take_alike() -> None:
    halves = [dataclasses.replace(FOLD, train=FOLD.train[k:]) for k in (0, 40)]
    first, second = (part(0.5, fold=fold) for fold in halves)
    shared = set(halves[1].train.tolist())
    assert len((first & shared) ^ second) < 0.15 * len(second)


def test_a_member_sees_its_part_only_whatever_its_companions_see() -> None:
    members = [member(0.1), member(1.0), member(0.5)]
    order = Order(members, DATA)
    seen = np.concatenate([order.examples(step).numpy() for step in range(60)], axis=1)
    for own, rows in zip(members, seen, strict=True):
        assert set(rows.tolist()) == set(training_part(own, DATA.examples, FOLD).tolist())
    alone = Order([members[0]], DATA)
    assert (alone.examples(7).numpy() == order.examples(7).numpy()[0]).all()


def test_members_of_the_whole_training_set_are_called_as_before_and_others_are_not() -> None:
    assert member(1.0).as_dict() == Member(Variant(), "S1", 3, tiny.SMALL).as_dict()
    assert member(0.5).as_dict()["hyperparameters"]["train_fraction"] == 0.5


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_a_share_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"train_fraction must be in \(0, 1\]"):
        Hyperparameters(train_fraction=fraction)
