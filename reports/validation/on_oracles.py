"""What could be found at all: tests that are told what nobody knows, beside the page's rule.

- Told the variances, a joint test shows what is left to gain. Told only that all variants scatter
  alike, it still has to learn the baseline's scatter from the folds, and finds less.
- A pooled-error Dunnett test finds more because it takes the baseline to scatter like the rest. Its
  error is shown where that is not so: folds, whose own level cancels in a difference, do not say.
- Critical values are those of the largest |t| of differences that share a baseline, by quadrature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

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
    tests = [oracle(kind) for kind in (TOLD, ALIKE, POOLED)]
    equal = _draw("alike", n, rng)
    better = equal.copy()
    better[:, -1] += GAIN
    ours = np.abs(judge(better, RATIO, np.zeros(COMPARISONS), level=LEVEL).verdict[:, -1]) == 1
    for test in tests:
        yield _error(test, "alike", equal, promised=True)
        for steps in (False, True):
            found = test.shown(better, steps=steps)[:, -1]
            yield compared(
                f"{test.kind}, {'step-down' if steps else 'single step'}: +{GAIN:g} points in one "
                f"of {COMPARISONS}",
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


def _critical(k: int, scales: FloatArray, weight: FloatArray) -> float:
    """What the largest |t| of k differences with one baseline exceeds with probability LEVEL."""
    node, mass = np.polynomial.hermite_e.hermegauss(NODES)
    mass = mass / mass.sum()

    def beyond(c: float) -> float:
        reach = c * 2**0.5 * scales[:, None]
        within = (special.ndtr(reach + node) - special.ndtr(node - reach)) ** k
        return float(weight @ within @ mass) - (1 - LEVEL)

    found: Any = optimize.brentq(beyond, 1.0, 12.0)
    return float(found)


def _draw(scatter: Scatter, n: int, rng: np.random.Generator) -> FloatArray:
    return seed_means(
        draw_differences(FamilyWorld(comparisons=COMPARISONS, scatter=scatter), n, rng)
    )


def _error(test: Oracle, scatter: Scatter, table: FloatArray, *, promised: bool) -> Rate:
    shown = test.shown(table).any(axis=1)
    name = f"{test.kind}, any of {COMPARISONS}" + ("" if promised else " (for contrast)")
    return false_positives(name, scatter, shown, LEVEL, promised=promised)
