"""How the tool is really used: many seeds, many looks, many baselines, speakers as folds.

- Each line shows what a use did to the error without our rule ("for contrast") and what it does
  with the rule that the page follows.
- A rule that gives no verdict at all cannot be wrong: interim and exploratory reports appear as
  what their verdicts would have cost.
"""

from collections.abc import Iterator

import numpy as np

from activations.wording import counted
from reports.statistics.arrays import BoolArray, FloatArray
from reports.statistics.family import judge
from reports.statistics.means import seed_means
from reports.statistics.spending import look_levels
from reports.statistics.units import merged_units
from reports.statistics.verdicts import family_verdicts
from reports.validation.family_worlds import FamilyWorld, draw_differences, draw_runs
from reports.validation.rates import Rate, false_positives
from reports.validation.worlds import ASSUMED, FOLD_DEVIATION, RATIO, SEED_DEVIATION, SESSIONS
from studies.seeds import SeedRule, seed_noise

LEVEL = 0.05
LOOKS = (5, 10, 20, 40)  # seeds
SESSION_MATES = 0.5  # correlation of two speakers' differences beyond what all folds share
CHANCE = -40.0  # points below the scores of a run that works
LOSS = 8.0
FAMILY = 4  # comparisons: judged one by one, at their full level
REPEATS = 3  # times that the same people are dealt into five folds
PEOPLE = 40  # of such a corpus
RULE = SeedRule(start=3, until=0.3, most=20)


def uses(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Every use, n studies each."""
    yield from _many_seeds(n, rng)
    yield from _looks(n, rng)
    yield from _seeds_by_rule(max(20, n // 2), rng)
    yield from _baselines(n, rng)
    yield from _speakers_as_folds(n, rng)
    yield from _diverged(max(20, n // 4), rng)
    yield from _repeats(n, rng)
    yield from _peeked(n, rng)


def lasting_differences(n: int, seeds: int, rng: np.random.Generator) -> FloatArray:
    """Differences of two equals [study, fold, seed]; what seeds do not average away is correlated.

    That part is correlated between folds by what the correction assumes. A seed's luck is drawn
    anew in every fold, so averages of few seeds are correlated less, and of many seeds nearly so.
    """
    shared = np.sqrt(ASSUMED) * rng.standard_normal((n, 1, 1))
    own = np.sqrt(1 - ASSUMED) * rng.standard_normal((n, SESSIONS.size, 1))
    luck = rng.standard_normal((n, SESSIONS.size, seeds))
    return np.asarray(FOLD_DEVIATION * (shared + own) + SEED_DEVIATION * luck)


def evenly_correlated_runs(
    n: int, variants: int, seeds: int, rng: np.random.Generator
) -> FloatArray:
    """Scores of equals around 0 [study, variant, fold, seed], correlated between folds as assumed
    whatever the number of seeds: no rule for seeds can hide behind the test's caution.
    """
    half = np.sqrt(0.5)  # a difference of two variants has twice a variant's variance
    table = np.zeros((n, variants, SESSIONS.size, seeds))
    for deviation, count in ((FOLD_DEVIATION, 1), (SEED_DEVIATION, seeds)):
        shared = rng.standard_normal((n, variants, 1, count))
        own = rng.standard_normal((n, variants, SESSIONS.size, count))
        table += half * deviation * (np.sqrt(ASSUMED) * shared + np.sqrt(1 - ASSUMED) * own)
    return table


def _many_seeds(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    for seeds in (1, 5, 20, 100):
        shown = _single(lasting_differences(n, seeds, rng))
        yield false_positives(
            f"corrected t-test, {counted(seeds, 'seed')}",
            "what seeds cannot average away is correlated as assumed",
            shown,
            LEVEL,
            promised=True,
        )


def _looks(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """The same world, judged whenever seeds were added, until something is found."""
    runs = lasting_differences(n, LOOKS[-1], rng)
    name = "looks at " + ", ".join(map(str, LOOKS)) + " seeds"
    levels = look_levels([seeds / LOOKS[-1] for seeds in LOOKS], level=LEVEL)
    every = np.stack([_single(runs[:, :, :seeds]) for seeds in LOOKS])
    spending = np.stack(
        [
            _single(runs[:, :, :seeds], level=level)
            for seeds, level in zip(LOOKS, levels, strict=True)
        ]
    )
    yield false_positives(
        "verdict at every look (for contrast)", name, every.any(axis=0), LEVEL, promised=False
    )
    yield false_positives(
        "verdicts at looks that were planned, level spent",
        name,
        spending.any(axis=0),
        LEVEL,
        promised=True,
    )
    yield false_positives(
        "verdict once, when the plan is complete", name, every[-1], LEVEL, promised=True
    )


def _seeds_by_rule(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Seeds added until they are enough, then one verdict; beside it, seeds added by who leads."""
    runs = evenly_correlated_runs(n, FAMILY + 1, RULE.most, rng)
    groups = np.zeros(FAMILY)
    ruled, peeked = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    counts = np.zeros(n)
    for study, table in enumerate(runs):
        seeds: int | None = RULE.start
        while seeds is not None:
            means = table[:, :, :seeds].mean(axis=-1)
            shown = judge(means[1:] - means[0], RATIO, groups, level=LEVEL).verdict
            found = bool((np.abs(shown) == 1).any())
            peeked[study] |= found
            counts[study], ruled[study] = seeds, found
            seeds = RULE.next(seed_noise(table[:, :, :seeds]))
    world = f"seeds from {RULE.start} to {RULE.most}, mean {counts.mean():.0f}"
    yield false_positives(
        f"verdicts, any of {FAMILY}, at every round of the rule (for contrast)",
        world,
        peeked,
        LEVEL,
        promised=False,
    )
    yield false_positives(
        f"verdicts, any of {FAMILY}, once the rule for seeds has ended",
        world,
        ruled,
        LEVEL,
        promised=True,
    )


def _baselines(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Ten equal variants, each tried as the baseline of one that interests."""
    runs = seed_means(draw_runs("alike", 11, n, rng))
    shown = np.stack(
        [_single((runs[:, 0] - runs[:, k])[..., None]) for k in range(1, runs.shape[1])]
    )
    yield false_positives(
        "any of ten baselines tried (for contrast)",
        "alike",
        shown.any(axis=0),
        LEVEL,
        promised=False,
    )
    yield false_positives("the planned baseline", "alike", shown[0], LEVEL, promised=True)


def _speakers_as_folds(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Ten folds of one speaker each; a session's two train on the same sessions."""
    sessions = SESSIONS.size
    ratio = np.full(2 * sessions, RATIO.mean() / 2)
    # a session's mean of both speakers is correlated with other sessions' as assumed
    beyond = SESSION_MATES + (1 - SESSION_MATES) / 2
    common = ASSUMED / (1 - ASSUMED) * beyond
    shared = np.sqrt(common) * rng.standard_normal((n, 1, 1))
    of_session = np.sqrt(SESSION_MATES) * rng.standard_normal((n, sessions, 1))
    of_speaker = np.sqrt(1 - SESSION_MATES) * rng.standard_normal((n, sessions, 2))
    differences = (shared + of_session + of_speaker).reshape(n, 1, 2 * sessions)
    units = np.repeat(np.arange(sessions), 2)
    world = "speakers of a session correlated by half of the rest"
    for name, (table, shares), promised in (
        ("speakers as ten folds (for contrast)", (differences, ratio), False),
        ("speakers as folds, sessions as units", merged_units(differences, ratio, units), True),
    ):
        verdict = judge(table, shares, [0], level=LEVEL).verdict
        yield false_positives(name, world, np.abs(verdict[:, 0]) == 1, LEVEL, promised=promised)


def _diverged(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Runs that diverged count as chance: what they make up and what they hide."""
    world = FamilyWorld(comparisons=1)
    runs = draw_differences(world, n, rng)
    none = np.zeros(runs.shape, dtype=bool)
    once, in_each = none.copy(), none.copy()
    once[:, :, 2, 3] = True
    in_each[:, :, :, 0] = True
    for name, lost, gain, wrong in (
        ("equal, the baseline diverged once in every fold: called better", in_each, 0.0, 1.0),
        (
            f"{LOSS:g} points worse, one run of the baseline diverged: undecided",
            once,
            -LOSS,
            np.nan,
        ),
    ):
        naive, ruled = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        for study in range(n):
            baseline = np.where(lost[study], CHANCE, 0.0)
            variant = runs[study] + gain
            found = family_verdicts(variant, baseline, lost[study], RATIO, [0], level=LEVEL)
            naive[study] = _is(found.judged.verdict[0], wrong)
            ruled[study] = _is(found.verdict[0], wrong) and not found.depends[0]
        yield false_positives(
            f"{name} (for contrast)", "runs diverged", naive, LEVEL, promised=False
        )
        yield false_positives(name, "runs diverged", ruled, LEVEL, promised=True)


def _repeats(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """The same people dealt into five folds three times: fifteen differences of one corpus."""
    folds = 5
    each = PEOPLE // folds
    ratio = np.full(REPEATS * folds, 1 / (folds - 1))
    people = each**0.5 * rng.standard_normal((n, PEOPLE))  # lasting; a fold's mean has variance 1
    dealt = rng.permuted(np.broadcast_to(np.arange(PEOPLE), (n, REPEATS, PEOPLE)), axis=2)
    tested = np.take_along_axis(people[:, None], dealt, axis=2)
    tested = tested.reshape(n, REPEATS * folds, each).mean(axis=2)
    shared = np.sqrt(1 / folds) * rng.standard_normal((n, 1))
    own = np.sqrt(1 - 1 / folds) * rng.standard_normal((n, REPEATS * folds))
    trained = shared + own  # what training sets that overlap make of it: correlated as assumed
    test = f"corrected t-test, {REPEATS} × {folds} folds"
    for world, differences in (
        ("the same people dealt anew", tested),
        ("training sets that overlap, as assumed", trained),
        ("both alike", tested + trained),
    ):
        for name, share, promised in (
            (f"{REPEATS * folds} folds as independent (for contrast)", 1e-9, False),
            (test, 1.0, True),
        ):
            verdict = judge(differences[:, None], share * ratio, [0], level=LEVEL).verdict
            shown = np.abs(verdict[:, 0]) == 1
            yield false_positives(name, world, shown, LEVEL, promised=promised)


def _peeked(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Estimates of four of five seeds are read, and where they show nothing seeds are added."""
    planned, grown = 5, 20
    runs = evenly_correlated_runs(n, 2, grown, rng)
    differences = runs[:, 1] - runs[:, 0]
    early, whole, later = (
        _single(differences[:, :, :seeds]) for seeds in (planned - 1, planned, grown)
    )
    yield false_positives(
        f"one verdict, at {grown} seeds where {planned - 1} showed nothing (for contrast)",
        f"interim estimates of {planned} planned seeds",
        np.where(early, whole, later),
        LEVEL,
        promised=False,
    )


def _is(verdict: float, wrong: float) -> bool:
    return bool(np.isnan(verdict)) if np.isnan(wrong) else verdict == wrong


def _single(runs: FloatArray, *, level: float = LEVEL) -> BoolArray:
    """Whether one comparison [study, fold, seed] is called better or worse [study]."""
    verdict = judge(seed_means(runs)[:, None], RATIO, [0], level=level).verdict
    return np.asarray(np.abs(verdict[:, 0]) == 1)
