"""The rule that gives the page its verdicts, over families and worlds of scatter."""

from collections.abc import Iterator

import numpy as np

from reports.statistics.arrays import BoolArray, FloatArray
from reports.statistics.family import Rule, judge
from reports.statistics.means import seed_means
from reports.validation.family_worlds import (
    NOISY,
    SCATTERS,
    FamilyWorld,
    Scatter,
    draw_differences,
)
from reports.validation.rates import Rate, compared, false_positives
from reports.validation.worlds import RATIO

LEVEL = 0.05
MARGIN = 1.0
GAIN = 3.0  # points, of one variant among equals
AT_ONCE = 500  # studies: 500 families of 166 take 17 MB a table
# comparisons, baselines, share of the studies asked for, worlds
FAMILIES: tuple[tuple[int, int, float, tuple[Scatter, ...]], ...] = (
    (2, 1, 1.0, ("alike", "one noisy variant", "runs from t3")),
    (3, 1, 1.0, SCATTERS),
    (4, 2, 1.0, SCATTERS),
    (6, 1, 1.0, SCATTERS),
    (9, 1, 1.0, SCATTERS),
    (18, 2, 1.0, SCATTERS),
    (82, 2, 0.2, tuple(NOISY)),
    (83, 1, 0.2, SCATTERS),
)
COLLAPSED = 20.0  # points lost by three variants: what chance is from a good network
# comparisons, baselines, share of the studies asked for, how many of them gain
POWER_FAMILIES = (
    (1, 1, 1.0, 1),
    (3, 1, 1.0, 1),
    (4, 2, 1.0, 1),
    (6, 1, 1.0, 1),
    (9, 1, 1.0, 1),
    (9, 1, 1.0, 3),
    (9, 1, 1.0, 9),
    (18, 2, 1.0, 1),
    (82, 2, 0.2, 1),
)
WORDS = {1: "one", 3: "three", 9: "all"}


def families(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Family-wise error in every world of scatter, n studies each, and power beside today's."""
    for comparisons, baselines, share, scatters in FAMILIES:
        for scatter in scatters:
            world = FamilyWorld(comparisons=comparisons, baselines=baselines, scatter=scatter)
            shown = _shown(world, max(20, round(n * share)), rng)
            yield false_positives(
                f"verdicts, any of {comparisons}",
                world.name,
                shown.any(axis=1),
                LEVEL,
                promised=True,
            )
    # what is left of a family when some of it is plainly different must not pay for that …
    for comparisons in (6, 9):
        for scatter in SCATTERS:
            world = FamilyWorld(comparisons=comparisons, scatter=scatter)
            shown = _shown(world, n, rng, gains=np.repeat([-COLLAPSED, 0], [3, comparisons - 3]))
            yield false_positives(
                f"verdicts, any of {comparisons - 3} beside three {COLLAPSED:g} points worse",
                world.name,
                shown[:, 3:].any(axis=1),
                LEVEL,
                promised=True,
            )
    # … but for a noisy one that is left alone, whose own test may have all of the level
    world = FamilyWorld(comparisons=9, scatter="one noisy variant")
    yield false_positives(
        f"verdicts, a noisy one beside eight {COLLAPSED:g} points worse (for contrast)",
        world.name,
        _shown(world, n, rng, gains=np.repeat([0, -COLLAPSED], [1, 8]))[:, 0],
        LEVEL,
        promised=False,
    )
    for scatter in ("alike", "one noisy variant", "two kinds of scatter"):
        world = FamilyWorld(comparisons=9, scatter=scatter)
        yield false_positives(
            f"called equal, any of 9 that differ by {MARGIN:g}",
            world.name,
            _called_equal(world, n, rng).any(axis=1),
            LEVEL,
            promised=True,
        )
    for comparisons, baselines, share, gaining in POWER_FAMILIES:
        world = FamilyWorld(comparisons=comparisons, baselines=baselines)
        studies = max(20, round(n * share))
        gains = np.repeat([GAIN, 0], [gaining, comparisons - gaining])
        rules: tuple[Rule | None, Rule | None] = (None, "corrected")
        found, alone = (_shown(world, studies, rng, gains=gains, rule=r)[:, 0] for r in rules)
        yield compared(
            f"verdicts, +{GAIN:g} points in {WORDS[gaining]} of {comparisons}",
            "alike; nominal: corrected t-test",
            found,
            float(alone.mean()),
        )


def _called_equal(world: FamilyWorld, studies: int, rng: np.random.Generator) -> BoolArray:
    """Whether a comparison whose true difference is the margin is called equal [study, m]."""
    table = seed_means(draw_differences(world, studies, rng)) + MARGIN
    verdict = judge(table, RATIO, world.groups, level=LEVEL, margin=MARGIN).verdict
    return np.asarray(verdict == 0)


def _shown(
    world: FamilyWorld,
    studies: int,
    rng: np.random.Generator,
    *,
    gains: FloatArray | None = None,
    rule: Rule | None = None,
) -> BoolArray:
    """Whether a comparison is called better or worse [study, m]; gains: true differences [m]."""
    rows = []
    for start in range(0, studies, AT_ONCE):
        table = seed_means(draw_differences(world, min(AT_ONCE, studies - start), rng))
        if gains is not None:
            table += gains[:, None]
        verdict = judge(table, RATIO, world.groups, level=LEVEL, rule=rule, hasty=True).verdict
        rows.append(np.abs(np.nan_to_num(verdict)) == 1)
    return np.concatenate(rows)
