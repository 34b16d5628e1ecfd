"""How much do variants differ at all? The spread of their true scores, with an interval.

- Eighty comparisons with one baseline can all be undecided, each for the width of its own interval,
  while all variants together say sharply how far apart they can be: their means scatter as much as
  folds and seeds make them scatter, or more.
- Scores of variants on folds, seeds averaged, as a two-way layout of random effects (Searle,
  Casella & McCulloch 1992, ch. 4): variant + fold + what is left. The interval of the variants'
  variance is Williams's (1962, Biometrika 49, 278–281), whose error is at most the level's.
- Folds share training data, so a mean over folds scatters more than independent folds would let it
  (Nadeau & Bengio 2003). What of that goes into the spread is not known; so the upper end takes
  none of it out and the lower end all: both are on the safe side.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True, kw_only=True)
class EffectSpread:
    """The standard deviation of variants' true scores, in the scores' unit, with an interval.

    residual: standard deviation of what is left in a mean over folds. F, p: of no spread at all,
    with folds that share training data. variants: that it is of.
    """

    sd: float
    low: float
    high: float
    residual: float
    F: float
    p: float
    variants: int
    confidence: float


def effect_spread(
    means: npt.ArrayLike, ratio: npt.ArrayLike, *, confidence: float = 0.95
) -> EffectSpread | None:
    """The spread of variants' true scores from means [variant, fold] over seeds.

    ratio: [fold] n_test / n_train. None with fewer than three variants or two folds. Raises
    ValueError for missing scores: the layout has to be complete.
    """
    table = np.asarray(means, dtype=np.float64)
    if not np.isfinite(table).all():
        raise ValueError("a spread needs every variant's score on every fold")
    variants, folds = table.shape
    if variants < 3 or folds < 2:
        return None
    own, fold = table.mean(axis=1), table.mean(axis=0)
    between_df, left_df = variants - 1, (variants - 1) * (folds - 1)
    between = folds * ((own - table.mean()) ** 2).sum() / between_df
    left = ((table - own[:, None] - fold + table.mean()) ** 2).sum() / left_df
    shared = 1.0 + folds * float(np.mean(np.asarray(ratio, dtype=np.float64)))
    tail = (1.0 - confidence) / 2.0

    def end(quantile: float, inflation: float) -> float:
        critical = stats.f.ppf(quantile, between_df, left_df)
        excess = between_df * (between - critical * inflation * left)
        return float(np.sqrt(max(0.0, excess / (folds * stats.chi2.ppf(quantile, between_df)))))

    F = float(between / (shared * left))
    return EffectSpread(
        sd=float(np.sqrt(max(0.0, (between - left) / folds))),
        low=end(1.0 - tail, shared),
        high=end(tail, 1.0),
        residual=float(np.sqrt(left / folds)),
        F=F,
        p=float(stats.f.sf(F, between_df, left_df)),
        variants=variants,
        confidence=confidence,
    )
