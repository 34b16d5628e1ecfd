"""What a family's moderated test will find, before there is a family: by simulation.

- The moderated test lends each comparison what its scatter deserves, so its degrees of freedom are
  not known beforehand. The most it may lend would promise 62 % where 48 % are found.
- What decides is the true difference at which a comparison is just found. One set of draws gives
  the power for every difference, and the detectable difference is a quantile of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import correction
from reports.statistics.moderated import FEWEST, moderated_t_tests
from reports.statistics.one_baseline import first_step
from reports.statistics.power import detectable_difference, probability_to_find

DRAWS = (
    40_000  # comparisons: a probability of one half is known to 0.25 %, a little worse in families
)


@dataclass(frozen=True)
class FamilyPower:
    """What is found of one comparison among others alike; `spread` over folds is 1 point here.

    needed: [draw], sorted: the true difference from which on a simulated comparison is found;
    None in a small family, which the corrected t-test judges at `level`, Holm's first step's.
    """

    ratio: FloatArray
    level: float
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


def family_power(
    test_train_ratio: npt.ArrayLike, baselines: npt.ArrayLike, *, level: float = 0.05
) -> FamilyPower:
    """Simulate a family whose comparisons scatter alike, judged as `family.judge` would.

    test_train_ratio: [fold]; baselines: [m], a name for each comparison's baseline; level:
    family-wise. Raises ValueError for fewer than two folds.
    """
    ratio = np.asarray(test_train_ratio, dtype=np.float64)
    group = np.unique(np.asarray(baselines), return_inverse=True)[1]
    m, folds = group.size, ratio.size
    if m < FEWEST:
        return FamilyPower(ratio, level / m, None)
    rng = np.random.default_rng(0)
    studies = -(-DRAWS // m)
    own = rng.standard_normal((studies, m, folds))
    shared = rng.standard_normal((studies, int(group.max()) + 1, folds))[:, group]
    found = moderated_t_tests((own - shared) / 2**0.5, ratio, group)
    # a mean is independent of the variances, and its own is the corrected one
    means = correction(folds, ratio) ** 0.5 * rng.standard_normal((studies, m))
    first = first_step(found.share, group, folds - 1, level=level)[:, None]
    critical = stats.t.isf(first / 2, found.degrees) * found.standard_error
    return FamilyPower(ratio, level / m, np.sort((critical - means).ravel()))
