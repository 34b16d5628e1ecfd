"""Lengths like IEMOCAP's, for measurements where the corpus is not at hand.

- What matters for time is the mean, and how far beyond it the longest row of a batch lies: that is
  what padding costs.
- One generator for every measurement, so that their figures speak of the same lengths.
"""

import numpy as np
from numpy.typing import NDArray

MEAN, LONGEST = 91.0, 500  # pooled frames of IEMOCAP's turns; the longest that features keep
SIGMA = 0.65  # of the logarithm, an assumption: the mean is then a quarter above the median


def iemocap_like_lengths(
    rows: int, *, mean: float = MEAN, longest: int = LONGEST, seed: int = 0
) -> NDArray[np.int64]:
    """Lengths [rows] in pooled frames: log-normal, cut at `longest`, with this mean after the cut.

    The same seed gives the same lengths. Raises ValueError for a mean that the cut does not allow.
    """
    if not 1 <= mean <= longest / 2:
        raise ValueError(f"a mean of {mean:g} frames needs a cut at twice that, not at {longest}")
    drawn = np.random.default_rng(seed).lognormal(0.0, SIGMA, rows)
    scale = mean / drawn.mean()
    for _ in range(20):  # cutting shortens; a few rounds restore the mean
        scale *= mean / np.clip(drawn * scale, 1, longest).mean()
    lengths: NDArray[np.int64] = np.clip(drawn * scale, 1, longest).round().astype(np.int64)
    return lengths
