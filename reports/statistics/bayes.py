"""Bayesian correlated t-test: how likely is it that a variant is worse, equal, better?

- A p-value cannot say "equal": with five folds most comparisons are simply not significant.
- One point of UAR either way is called equal by default, since published results of the same
  system differ by about as much (IAAN: 66.3 in the paper, 67.2 in its repository).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import TTest, corrected_t_test


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Where the true difference lies: three probabilities that add up to one, and an interval.

    worse, equal, better: below −rope, within ±rope, above rope. low, high: the credible interval
    in points at `credibility`; with this prior it coincides with the corrected t-test's interval.
    """

    worse: float
    equal: float
    better: float
    rope: float
    mean: float
    low: float
    high: float
    credibility: float


def correlated_t_posterior(
    differences: npt.ArrayLike,
    test_train_ratio: npt.ArrayLike,
    *,
    rope: float = 1.0,
    credibility: float = 0.95,
) -> Posterior:
    """Bayesian correlated t-test (Corani & Benavoli, 2015; Benavoli et al., JMLR 18, 2017).

    differences: [fold], in points, seeds averaged. test_train_ratio: [fold], n_test / n_train.
    rope: half the width of the region of practical equivalence, in points, at least 0.
    The correlation between folds is taken as ρ = n_test / (n_test + n_train), each fold's own
    and averaged as ρ/(1 − ρ) = n_test / n_train; the prior is the matching one (flat mean,
    1/σ²), so the posterior is Student's t with k − 1 degrees of freedom at the mean difference,
    scaled by the corrected standard error.
    Raises ValueError as `corrected_t_test` does and for a negative rope.
    """
    if rope < 0:
        raise ValueError("rope must not be negative")
    return posterior_of(
        corrected_t_test(differences, test_train_ratio, confidence=credibility), rope=rope
    )


def posterior_of(test: TTest, *, rope: float = 1.0) -> Posterior:
    """The posterior that belongs to a t-test: Student's t at its mean, scaled by its error.

    With a moderated test the prior of the variance is the family's, as in `moderated`.
    """
    worse = _below(-rope, test)
    better = _below(-rope, test, sign=-1)
    return Posterior(
        worse=worse,
        equal=max(0.0, 1.0 - worse - better),
        better=better,
        rope=rope,
        mean=test.mean,
        low=test.low,
        high=test.high,
        credibility=test.confidence,
    )


def probability_better(
    scores: npt.ArrayLike, test_train_ratio: npt.ArrayLike, *, rope: float = 0.0
) -> FloatArray:
    """P(row's variant is better than column's by more than rope) [variant, variant].

    scores: [variant, fold] in points, seeds averaged; a fold that either of a pair lacks (NaN) is
    left out for that pair. NaN on the diagonal and where fewer than two folds are common.
    """
    table = np.asarray(scores, dtype=np.float64)
    ratio = np.asarray(test_train_ratio, dtype=np.float64)
    matrix = np.full((len(table), len(table)), np.nan)
    for row in range(len(table)):
        for column in range(len(table)):
            difference = table[row] - table[column]
            usable = np.isfinite(difference)
            if row != column and usable.sum() >= 2:
                posterior = correlated_t_posterior(difference[usable], ratio[usable], rope=rope)
                matrix[row, column] = posterior.better
    return matrix


def _below(bound: float, test: TTest, *, sign: int = 1) -> float:
    """Posterior mass of sign · difference below the bound; a tie at the bound counts half."""
    distance = bound - sign * test.mean
    if test.standard_error == 0:
        return float(np.heaviside(distance, 0.5 if bound == 0 else 0.0))
    return float(special.stdtr(test.degrees_of_freedom, distance / test.standard_error))
