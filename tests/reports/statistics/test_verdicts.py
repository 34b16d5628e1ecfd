import numpy as np
import pytest

from reports.statistics.family import judge
from reports.statistics.moderated import FEWEST
from reports.statistics.units import known_by_unit, merged_units, ratio_by_unit, shared_units
from reports.statistics.verdicts import (
    family_verdicts,
    permission,
)

RATIO = np.full(5, 0.33)
CHANCE = 25.0


def _study(
    gain: float, *, comparisons: int = 1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of variants and of their baseline [m, 5, 5], nothing diverged."""
    rng = np.random.default_rng(seed)
    baseline = 65 + rng.standard_normal((1, 5, 5))
    variants = 65 + gain + rng.standard_normal((comparisons, 5, 5))
    shape = (comparisons, 5, 5)
    return variants, np.broadcast_to(baseline, shape).copy(), np.zeros(shape, dtype=bool)


def test_eight_points_lost_are_not_hidden_by_one_diverged_run_of_the_baseline() -> None:
    variants, baselines, diverged = _study(-8.0)
    assert family_verdicts(variants, baselines, diverged, RATIO, [0]).verdict.tolist() == [-1]
    baselines[:, 2, 3], diverged[:, 2, 3] = CHANCE, True
    found = family_verdicts(variants, baselines, diverged, RATIO, [0])
    assert np.isnan(found.judged.verdict[0])
    assert found.without is not None
    assert found.without.verdict.tolist() == [-1]
    assert found.depends.tolist() == [True]


def test_equal_variant_is_not_better_because_the_baseline_diverged_once_in_every_fold() -> None:
    variants, baselines, diverged = _study(0.0)
    baselines[:, :, 0], diverged[:, :, 0] = CHANCE, True
    found = family_verdicts(variants, baselines, diverged, RATIO, [0])
    assert found.judged.verdict.tolist() == [1]
    assert found.depends.tolist() == [True]
    assert np.isnan(found.verdict[0])


def test_diverged_runs_that_change_nothing_leave_the_verdict() -> None:
    variants, baselines, diverged = _study(8.0)
    baselines[:, :, 0], diverged[:, :, 0] = baselines[:, :, 1], True
    found = family_verdicts(variants, baselines, diverged, RATIO, [0])
    assert found.verdict.tolist() == [1]
    assert not found.depends.any()


def test_verdict_that_has_no_fold_left_without_diverged_runs_depends_on_them() -> None:
    variants, baselines, diverged = _study(-8.0, comparisons=2)
    diverged[0, 4] = True
    found = family_verdicts(variants, baselines, diverged, RATIO, [0, 0])
    assert found.comparable.tolist() == [False, True]
    assert found.depends.tolist() == [True, False]


def test_small_families_are_judged_one_by_one_and_larger_ones_together() -> None:
    rng = np.random.default_rng(1)
    for m, rule in ((FEWEST - 1, "corrected"), (FEWEST, "moderated")):
        found = judge(rng.standard_normal((m, 5)), RATIO, np.zeros(m))
        assert found.rule == rule
        assert str(FEWEST) in found.why


def test_scores_that_do_not_vary_give_no_verdict() -> None:
    assert np.isnan(judge(np.full((1, 5), 3.0), RATIO, [0]).verdict).all()
    assert np.isnan(judge(np.full((8, 5), 3.0), RATIO, np.zeros(8)).verdict).all()


def test_both_speakers_of_a_session_are_one_unit() -> None:
    folds = np.repeat(np.arange(6), 4)
    dialogs = np.array([f"s{fold // 2}d{k}" for fold in range(6) for k in range(4)])
    assert shared_units(folds, dialogs).tolist() == [0, 0, 1, 1, 2, 2]
    apart = [f"{fold} {dialog}" for fold, dialog in zip(folds, dialogs, strict=True)]
    assert shared_units(folds, apart).tolist() == list(range(6))


def test_repeated_divisions_of_one_corpus_are_units_of_their_own() -> None:
    # two divisions of four dialogues into two folds; in the second, "b" is split between both
    folds = np.repeat(np.arange(4), [3, 2, 3, 2])
    ids = np.array(["a1", "b1", "b2", "c1", "d1", "a1", "c1", "b1", "b2", "d1"])
    dialogs = np.array([name[0] for name in ids])
    assert shared_units(folds, dialogs, ids).tolist() == [0, 1, 2, 2]
    assert shared_units(folds, dialogs).tolist() == [0, 0, 0, 0]  # which is why names are needed


def test_units_of_an_unfinished_study_average_the_folds_there_are() -> None:
    units = [0, 0, 1]
    assert known_by_unit([[1.0, np.nan, 3.0]], units).tolist() == [[1.0, 3.0]]
    assert known_by_unit([[1.0], [5.0], [np.nan]], units, axis=0)[:1].tolist() == [[3.0]]
    found = ratio_by_unit([0.1, 0.2, np.nan], units)
    assert found[0] == pytest.approx(0.3)
    assert np.isnan(found[1])


def test_merged_folds_have_the_mean_of_their_scores_and_the_sum_of_their_ratios() -> None:
    table, ratio = merged_units(
        np.array([[1.0, 3.0, 4.0, 8.0]]), np.array([0.1, 0.2, 0.3, 0.1]), [0, 0, 1, 1]
    )
    assert table.tolist() == [[2.0, 6.0]]
    assert ratio == pytest.approx([0.3, 0.4])


@pytest.mark.parametrize(
    ("missing", "selection", "departures", "standing", "said"),
    [
        (0, "dev", (), "confirmatory", ""),
        (3, "dev", (), "interim", "3 of 25 planned runs"),
        (0, "oracle", (), "descriptive", "chosen on the test set"),
        (3, "oracle", (), "descriptive", "chosen on the test set"),
        (0, "dev", ("the baseline is not the planned one",), "exploratory", "not the planned one"),
    ],
)
def test_only_one_look_at_a_complete_plan_may_conclude(
    missing: int, selection: str, departures: tuple[str, ...], standing: str, said: str
) -> None:
    found = permission(
        missing=missing, runs=25, selection=selection, level=0.05, departures=departures
    )
    assert found.standing == standing
    assert said in found.why
