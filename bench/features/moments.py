"""Means and deviations of frames, from each utterance's own: what normalisation is made of."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Moments:
    """Of all frames of each utterance, before cap and pooling: counts [U], means [U, I], summed
    squared deviations from them, squares [U, I].
    """

    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    squares: NDArray[np.float64]

    def normalisation(
        self, rows: NDArray[np.int64] | NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What to subtract from and multiply with frames [I], by all frames of these utterances.

        The mean and one over the standard deviation (of the population, as scipy's zscore), from
        the utterances' own moments (Chan, Golub & LeVeque, 1979), which does not cancel as sums of
        squares do. A feature that is constant, up to float32's rounding, is multiplied by 0.
        """
        counts = self.counts[rows][:, None].astype(np.float64)
        total = counts.sum()
        mean = (counts * self.means[rows]).sum(axis=0) / total
        between = (counts * (self.means[rows] - mean) ** 2).sum(axis=0)
        deviation = np.sqrt((self.squares[rows].sum(axis=0) + between) / total)
        varies = deviation > 1e-6 * np.maximum(1.0, np.abs(mean))
        return mean, np.where(varies, 1 / np.where(varies, deviation, 1), 0)


def normalisation(
    moments: Moments, groups: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What to subtract from and multiply with each utterance's frames: two arrays [U, I].

    groups [U]: utterances are normalised with those of the same group, by `Moments.normalisation`;
    None: they stay as they are.
    """
    centre, scale = np.zeros_like(moments.means), np.ones_like(moments.means)
    if groups is not None:
        _, number = np.unique(groups, return_inverse=True)
        order = np.argsort(number, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
            centre[rows], scale[rows] = moments.normalisation(rows)
    return centre, scale
