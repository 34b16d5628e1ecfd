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
    (4, 1, 1.0, SCATTERS),
    (6, 1, 1.0, SCATTERS),
    (9, 1, 1.0, SCATTERS),
    (18, 2, 1.0, SCATTERS),
    (82, 2, 0.2, tuple(NOISY)),
    (83, 1, 0.2, SCATTERS),
)
POWER_FAMILIES = (
    (1, 1, 1.0),
    (4, 1, 1.0),
    (6, 1, 1.0),
    (9, 1, 1.0),
    (18, 2, 1.0),
    (82, 2, 0.2),
)


def families(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Family-wise error in every world of scatter, n studies each, and power beside today's."""
    for comparisons, baselines, share, scatters in FAMILIES:
        for scatter in scatters:
            world = FamilyWorld(comparisons=comparisons, baselines=baselines, scatter=scatter)
            shown = _shown(world, max(20, round(n * share)), rng, gain=0.0)
            yield false_positives(
                f"verdicts, any of {comparisons}",
                world.name,
                shown.any(axis=1),
                LEVEL,
                promised=True,
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
    for comparisons, baselines, share in POWER_FAMILIES:
        world = FamilyWorld(comparisons=comparisons, baselines=baselines)
        studies = max(20, round(n * share))
        found = _shown(world, studies, rng, gain=GAIN)[:, -1]
        alone = _shown(world, studies, rng, gain=GAIN, rule="corrected")[:, -1]
        yield compared(
            f"verdicts, +{GAIN:g} points in one of {comparisons}",
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
    gain: float,
    rule: Rule | None = None,
) -> FloatArray:
    """Whether a comparison is called better or worse [study, m]; the last one is truly better."""
    rows = []
    for start in range(0, studies, AT_ONCE):
        runs = draw_differences(world, min(AT_ONCE, studies - start), rng)
        table = seed_means(runs)
        table[:, -1] += gain
        verdict = judge(table, RATIO, world.groups, level=LEVEL, rule=rule).verdict
        rows.append(np.abs(np.nan_to_num(verdict)) == 1)
    return np.concatenate(rows)
