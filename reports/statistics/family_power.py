"""What a family's rule will find, before there is a family: by simulation.

- The moderated test lends each comparison what its scatter deserves, and the closed test asks what
  other variants do: neither degrees of freedom nor critical values are known beforehand.
- What decides is the true difference from which on a comparison is found. One set of draws gives
  the power for every difference, and the detectable difference is a quantile of it.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from reports.statistics.arrays import FloatArray
from reports.statistics.closed_test import closed_test
from reports.statistics.corrected_t import correction
from reports.statistics.moderated import many, moderated_t_tests
from reports.statistics.power import detectable_difference, probability_to_find

STUDIES = 2000  # a probability of 0.8 is known to 0.9 points
WORK = 400_000  # comparisons of one with another: large families get fewer studies
LEAST = 200  # … but these: 2.8 points
HALVINGS = 8  # of 0 … FARTHEST: a difference is known to 0.03 spreads, and spread evenly within
FARTHEST = 8.0  # spreads over folds: five folds find that of one among hundreds


@dataclass(frozen=True)
class FamilyPower:
    """What is found of one comparison among others alike; `spread` over folds is 1 point here.

    needed: [study], sorted: the true difference from which on the comparison of a simulated study
    is found; None in a small family, which the corrected t-test judges at `level`, Holm's first
    step's. degrees: of freedom that its test has in the middle of these studies.
    """

    ratio: FloatArray
    level: float
    degrees: float
    needed: FloatArray | None

    def chance(self, effect: float, spread: float) -> float:
        """Probability of finding a true difference of `effect` points; spread in points."""
        if self.needed is None:
            return probability_to_find(effect, spread, self.ratio, level=self.level)
        return float(np.searchsorted(self.needed, abs(effect) / spread) / self.needed.size)

    def detectable(self, spread: float, power: float) -> float:
        """The true difference in points that is found with probability `power`."""
        if self.needed is None:
            return detectable_difference(spread, self.ratio, level=self.level, power=power)
        return spread * float(np.quantile(self.needed, power))

    def single_level(self, power: float) -> float:
        """The level at which one test by itself detects as small a difference."""
        if self.needed is None:
            return self.level
        aim = self.detectable(1.0, power)

        def short(log_level: float) -> float:
            level = float(np.exp(log_level))
            found = probability_to_find(aim, 1.0, self.ratio, level=level, degrees=self.degrees)
            return found - power

        found: Any = optimize.brentq(short, np.log(1e-9), np.log(0.9), xtol=1e-3)
        return float(np.exp(found))


def family_power(
    test_train_ratio: npt.ArrayLike, baselines: npt.ArrayLike, *, level: float = 0.05
) -> FamilyPower:
    """Simulate a family whose comparisons scatter alike, judged as `family.judge` would.

    test_train_ratio: [fold]; baselines: [m], a name for each comparison's baseline; level:
    family-wise. Raises ValueError for fewer than two folds.
    """
    ratio = np.asarray(test_train_ratio, dtype=np.float64)
    group = np.unique(np.asarray(baselines), return_inverse=True)[1]
    if not many(group, ratio.size):
        return FamilyPower(ratio, level / group.size, ratio.size - 1, None)
    return _simulated(tuple(ratio), tuple(np.sort(group)), level)


@cache
def _simulated(ratios: tuple[float, ...], groups: tuple[int, ...], level: float) -> FamilyPower:
    ratio, group = np.array(ratios), np.array(groups)
    m, folds = group.size, ratio.size
    studies = int(np.clip(WORK // m**2, LEAST, STUDIES))
    rng = np.random.default_rng(0)

    def draw(*, deviations: float) -> FloatArray:
        own = rng.standard_normal((studies, m, folds))
        base = rng.standard_normal((studies, int(group.max()) + 1, folds))[:, group]
        return deviations * (own - base) / 2**0.5

    noise = draw(deviations=1.0)
    noise -= noise.mean(axis=-1, keepdims=True)
    # a mean is independent of the variances, and its own is the corrected one
    means = draw(deviations=(folds * correction(folds, ratio)) ** 0.5).mean(axis=-1)
    table = noise + means[..., None]
    tested = moderated_t_tests(table, ratio, group)
    asked = np.zeros((studies, m), dtype=bool)
    low, high = np.zeros(studies), np.full(studies, FARTHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        table[:, 0] = noise[:, 0] + (means[:, 0] + middle)[:, None]
        p = tested.p.copy()
        t = (means[:, 0] + middle) / tested.standard_error[:, 0]
        p[:, 0] = 2 * stats.t.sf(np.abs(t), tested.degrees[:, 0])
        asked[:, 0] = p[:, 0] < level
        moved = replace(tested, p=p)
        over = closed_test(table, moved, ratio, group, asked=asked, enough=level)
        found = over[:, 0] < level
        low, high = np.where(found, low, middle), np.where(found, middle, high)
    degrees = float(np.median(tested.degrees[:, 0]))
    within = rng.permutation(studies) / studies
    return FamilyPower(ratio, level, degrees, np.sort(low + within * (high - low)))
