"""How consistent a difference is over folds; how large it is, points of UAR say best."""

from dataclasses import dataclass

import numpy.typing as npt

from reports.statistics.arrays import vector


@dataclass(frozen=True, kw_only=True)
class EffectSizes:
    """Consistency over folds.

    d_z: mean difference / standard deviation of the differences (Cohen, 1988), NaN where they do
    not vary. wins: folds in which the variant scores more.
    """

    d_z: float
    wins: int


def effect_sizes(differences: npt.ArrayLike) -> EffectSizes:
    """Return the effect sizes of paired differences [fold] in points.

    The spread over folds is descriptive: folds share training data, so d_z is not the effect size
    of independent repetitions. Raises ValueError for fewer than two folds or missing values.
    """
    paired = vector(differences, "differences", least=2)
    spread = float(paired.std(ddof=1))
    return EffectSizes(
        d_z=float(paired.mean()) / spread if spread > 0 else float("nan"),
        wins=int((paired > 0).sum()),
    )
