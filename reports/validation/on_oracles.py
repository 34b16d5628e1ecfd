"""What could be found at all: tests that are told what nobody knows, beside the page's rule.

- Told the variances, a joint test shows what is left to gain. Told only that all variants scatter
  alike, it still has to learn the baseline's scatter from the folds, and finds less.
- A pooled-error Dunnett test takes the baseline to scatter like the rest, and its error is shown
  where that is not so: folds, whose own level cancels in a difference, hardly say.
- A closed test finds as much without: where equals are claimed, their differences from each other
  must be small, too, and those have no baseline in them.
- Critical values are those of the largest |t| of differences that share a baseline, by quadrature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from reports.statistics.arrays import BoolArray, FloatArray
from reports.statistics.corrected_t import correction
from reports.statistics.family import judge
from reports.statistics.means import seed_means
from reports.validation.family_worlds import FamilyWorld, Scatter, draw_differences
from reports.validation.rates import Rate, compared, false_positives
from reports.validation.worlds import ASSUMED, FOLD_DEVIATION, RATIO, SEED_DEVIATION, SEEDS

LEVEL = 0.05
COMPARISONS = 9
GAIN = 3.0  # points, of one variant among equals
FOLDS = RATIO.size
FREEDOM = FOLDS - 1
NODES = 40  # of each quadrature
TOLD = "told the variances"
ALIKE = "told that variants scatter alike"
POOLED = "pooled-error Dunnett"
CLOSED = "closed test, told that variants scatter alike"


@dataclass(frozen=True)
class ClosedOracle:
    """A closed test (Marcus, Peritz & Gabriel, 1976) of all comparisons, told what `ALIKE` is.

    That k of them are all zero is rejected at half of the level where the largest |t| of the k is
    beyond what it may be, and at the other half where one of the k variants lies too far from the
    mean of the others, which has no baseline in it. A difference is called real where every such
    claim that has it among its k is rejected. largest, apart [k]: both critical values; of a single
    one the whole level is the first's.
    """

    kind: str
    largest: FloatArray
    apart: FloatArray

    def shown(self, differences: FloatArray, *, steps: bool = True) -> BoolArray:
        """Which differences [study, m, fold] it calls real [study, m]; it has no steps."""
        del steps
        means, m = differences.mean(axis=-1), differences.shape[1]
        factor = correction(FOLDS, RATIO)
        error = (differences.var(axis=-1, ddof=1).mean(axis=-1) * factor) ** 0.5
        rest = differences - means[..., None]
        rest = rest - rest.mean(axis=1, keepdims=True)
        own = ((rest**2).sum(axis=(1, 2)) / ((m - 1) * FREEDOM) * factor) ** 0.5
        held = np.zeros(means.shape, dtype=bool)
        for k in range(1, m + 1):
            for claim in map(list, combinations(range(m), k)):
                some = means[:, claim]
                stands = np.abs(some).max(axis=1) <= self.largest[k - 1] * error
                if k > 1:
                    # from the mean of the others, in deviations of that: 1 + 1 / (k - 1) variances
                    away = np.abs(some - some.mean(axis=1, keepdims=True)).max(axis=1)
                    stands &= away * (k / (k - 1)) ** 0.5 <= self.apart[k - 1] * own
                held[:, claim] |= stands[:, None]
        return ~held


@dataclass(frozen=True)
class Oracle:
    """A test of all comparisons at once: [k] critical values of the largest |t| of k, the last all.

    kind: which standard error it uses.
    """

    kind: str
    critical: FloatArray

    def shown(self, differences: FloatArray, *, steps: bool = True) -> BoolArray:
        """Which differences [study, m, fold] it calls real [study, m]; steps: step down."""
        t = np.abs(differences.mean(axis=-1)) / self._error(differences)[:, None]
        if not steps:
            return np.asarray(t > self.critical[-1])
        order = np.argsort(-t, axis=-1)
        passed = np.take_along_axis(t, order, -1) > self.critical[::-1]
        shown = np.zeros(t.shape, dtype=bool)
        np.put_along_axis(shown, order, np.logical_and.accumulate(passed, axis=-1), -1)
        return shown

    def _error(self, differences: FloatArray) -> FloatArray:
        """Standard error of a mean difference [study]."""
        factor = correction(FOLDS, RATIO)
        if self.kind == TOLD:
            within = (1 - ASSUMED) * (FOLD_DEVIATION**2 + SEED_DEVIATION**2 / SEEDS)
            return np.full(len(differences), (within * factor) ** 0.5)
        if self.kind == ALIKE:
            return np.asarray((differences.var(axis=-1, ddof=1).mean(axis=-1) * factor) ** 0.5)
        # two-way residuals of variants and folds, the baseline among them; twice their variance
        table = np.concatenate([np.zeros_like(differences[:, :1]), differences], axis=1)
        table = table - table.mean(axis=-1, keepdims=True)
        rest = table - table.mean(axis=1, keepdims=True)
        variance = (rest**2).sum(axis=(1, 2)) / (differences.shape[1] * FREEDOM)
        return np.asarray((2 * variance * factor) ** 0.5)


def oracles(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Error and power of each among nine, n studies each; nominal power: the page's rule."""
    tests: list[Oracle | ClosedOracle] = [oracle(kind) for kind in (TOLD, ALIKE, POOLED)]
    tests.append(closed_oracle())
    equal = _draw("alike", n, rng)
    better = equal.copy()
    better[:, -1] += GAIN
    ours = np.abs(judge(better, RATIO, np.zeros(COMPARISONS), level=LEVEL).verdict[:, -1]) == 1
    for test in tests:
        yield _error(test, "alike", equal, promised=True)
        for steps in (True,) if test.kind == CLOSED else (False, True):
            found = test.shown(better, steps=steps)[:, -1]
            yield compared(
                f"{test.kind}{_way(test.kind, steps)}: +{GAIN:g} points in one of {COMPARISONS}",
                "alike; nominal: verdicts",
                found,
                float(ours.mean()),
            )
    worlds: tuple[Scatter, ...] = (
        "noisy baseline",
        "variants correlated 0.8, baseline apart",
        "one noisy variant",
    )
    for scatter in worlds:
        table = _draw(scatter, n, rng)
        for test in tests[1:]:
            yield _error(test, scatter, table, promised=False)


def _way(kind: str, steps: bool) -> str:
    if kind == CLOSED:
        return ""
    return ", step-down" if steps else ", single step"


def closed_oracle(comparisons: int = COMPARISONS) -> ClosedOracle:
    """The closed test with critical values that are exact where all variants scatter alike."""
    scales, weight = _scales(ALIKE, comparisons)
    sizes = range(2, comparisons + 1)
    largest = [_critical(k, scales, weight, LEVEL / 2) for k in sizes]
    # Bonferroni's; of two, each is as far from the other as the other from it
    tails = [LEVEL / 4 / (1 if k == 2 else k) for k in sizes]
    apart = stats.t.isf(tails, (comparisons - 1) * FREEDOM)
    largest = [_critical(1, scales, weight), *largest]
    return ClosedOracle(CLOSED, np.array(largest), np.r_[np.inf, apart])


def oracle(kind: str, comparisons: int = COMPARISONS) -> Oracle:
    """The test of that kind with critical values that are exact where all scatter alike."""
    scales, weight = _scales(kind, comparisons)
    critical = [_critical(k, scales, weight) for k in range(1, comparisons + 1)]
    return Oracle(kind, np.array(critical))


def _scales(kind: str, m: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the ratio of estimated to true standard error, where all are alike."""
    if kind == TOLD:
        return np.ones(1), np.ones(1)
    middle = (np.arange(NODES**2) + 0.5) / NODES**2
    if kind == POOLED:
        spread = special.chdtri(m * FREEDOM, middle) / (m * FREEDOM)
        return np.sqrt(spread), np.full(NODES**2, NODES**-2.0)
    # Σ (xⱼ - x₀)² of one contrast of folds: m - 1 times χ² of the variants, and one of m + 1 times
    # the variance, which has the baseline in it
    middle = (np.arange(NODES) + 0.5) / NODES
    own, shared = special.chdtri((m - 1) * FREEDOM, middle), special.chdtri(FREEDOM, middle)
    spread = (own[:, None] + (m + 1) * shared[None, :]) / (2 * m * FREEDOM)
    return np.sqrt(spread).ravel(), np.full(NODES**2, NODES**-2.0)


def _critical(k: int, scales: FloatArray, weight: FloatArray, level: float = LEVEL) -> float:
    """What the largest |t| of k differences with one baseline exceeds with probability `level`."""
    node, mass = np.polynomial.hermite_e.hermegauss(NODES)
    mass = mass / mass.sum()

    def beyond(c: float) -> float:
        reach = c * 2**0.5 * scales[:, None]
        within = (special.ndtr(reach + node) - special.ndtr(node - reach)) ** k
        return float(weight @ within @ mass) - (1 - level)

    found: Any = optimize.brentq(beyond, 1.0, 12.0)
    return float(found)


def _draw(scatter: Scatter, n: int, rng: np.random.Generator) -> FloatArray:
    return seed_means(
        draw_differences(FamilyWorld(comparisons=COMPARISONS, scatter=scatter), n, rng)
    )


def _error(
    test: Oracle | ClosedOracle, scatter: Scatter, table: FloatArray, *, promised: bool
) -> Rate:
    shown = test.shown(table).any(axis=1)
    name = f"{test.kind}, any of {COMPARISONS}" + ("" if promised else " (for contrast)")
    return false_positives(name, scatter, shown, LEVEL, promised=promised)
