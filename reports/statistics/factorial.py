"""Effects of activation and of direction: contrasts of a balanced design.

- Comparing each variant with the baseline asks many questions of few folds. Where every activation
  was run in every direction, averaging over directions asks "does this activation help at all?"
  with more runs behind each answer, and averaging over activations asks the same of the direction.
- A contrast is a weighted sum of scores of the same fold and seed, so it is one number per fold
  once seeds are averaged, and the corrected t-test applies to it as to any paired difference. No
  model has to be fitted and none can fail to converge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import TTest, corrected_t_test
from reports.statistics.means import seed_means
from reports.statistics.multiplicity import holm

Factor = Literal["activation", "direction", "activation × direction"]


@dataclass(frozen=True, kw_only=True)
class FactorContrast:
    """A level of a factor against its reference, in points.

    activation: mean over directions. direction: mean over activations. activation × direction: how
    much more the activation gains over the reference in this direction than in the other one.
    test: None where fewer than two folds have every run of the contrast with a common seed. p_holm:
    adjusted over the contrasts of the same factor.
    """

    factor: Factor
    level: str
    reference: str
    test: TTest | None
    p_holm: float


def factor_contrasts(
    scores: npt.ArrayLike,
    activations: Sequence[str],
    directions: Sequence[str],
    test_train_ratio: npt.ArrayLike,
    *,
    baseline: str,
    reference_direction: str,
    confidence: float = 0.95,
) -> tuple[FactorContrast, ...]:
    """Return all contrasts of activations × directions against baseline and reference direction.

    scores: [activation, direction, fold, seed] in points, NaN: missing. test_train_ratio: [fold].
    A seed counts in a fold where every run of the contrast has it. Assumes what the corrected
    t-test assumes (Nadeau & Bengio, 2003). Raises ValueError where a factor has a single level, or
    a reference is none of its levels.
    """
    table = np.asarray(scores, dtype=np.float64)
    if min(len(activations), len(directions)) < 2:
        raise ValueError("factor effects need two activations that were run in two directions")
    base, usual = list(activations).index(baseline), list(directions).index(reference_direction)
    others = [a for a in range(len(activations)) if a != base]
    ways = [d for d in range(len(directions)) if d != usual]
    ratio = np.asarray(test_train_ratio, dtype=np.float64)

    def contrast(factor: Factor, level: str, reference: str, weights: FloatArray) -> FactorContrast:
        test = _test(table, weights, ratio, confidence)
        return FactorContrast(
            factor=factor, level=level, reference=reference, test=test, p_holm=float("nan")
        )

    of_activation, of_direction, crossed = [], [], []
    for a in others:
        weights = np.zeros(table.shape[:2])
        weights[a], weights[base] = 1 / len(directions), -1 / len(directions)
        of_activation.append(contrast("activation", activations[a], baseline, weights))
    for d in ways:
        weights = np.zeros(table.shape[:2])
        weights[:, d], weights[:, usual] = 1 / len(activations), -1 / len(activations)
        of_direction.append(contrast("direction", directions[d], reference_direction, weights))
        for a in others:
            weights = np.zeros(table.shape[:2])
            weights[a, d] = weights[base, usual] = 1.0
            weights[a, usual] = weights[base, d] = -1.0
            crossed.append(
                contrast(
                    "activation × direction",
                    f"{activations[a]} in {directions[d]}",
                    f"{baseline}, {reference_direction}",
                    weights,
                )
            )
    return tuple(c for family in (of_activation, of_direction, crossed) for c in _adjusted(family))


def _test(
    table: FloatArray, weights: FloatArray, ratio: FloatArray, confidence: float
) -> TTest | None:
    """The corrected t-test of Σ weights · scores, of the cells that the weights name."""
    named = weights != 0
    paired = np.tensordot(weights[named], table[named], axes=1)  # [fold, seed], NaN with any gap
    differences = seed_means(paired)
    usable = np.isfinite(differences)
    if usable.sum() < 2:
        return None
    return corrected_t_test(differences[usable], ratio[usable], confidence=confidence)


def _adjusted(family: Sequence[FactorContrast]) -> list[FactorContrast]:
    adjusted = holm([c.test.p if c.test else np.nan for c in family])
    return [replace(c, p_holm=float(p)) for c, p in zip(family, adjusted, strict=True)]
