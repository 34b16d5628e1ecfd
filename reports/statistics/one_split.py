"""One official split of a corpus: no folds, so that seeds and speakers carry the inference.

- Two things would come out differently another time: training again (seeds) and other people
  (speakers of the test set). A difference has to stand out from both, so their variances add up.
- What both share, a seed that suits a speaker, is in both and counted twice: too careful.
- Nothing here speaks of another training set. A corpus split once cannot.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray


@dataclass(frozen=True, kw_only=True)
class SplitErrors:
    """Means [m] of differences in points, their standard errors and degrees of freedom [m]."""

    mean: FloatArray
    standard_error: FloatArray
    degrees: FloatArray


def split_errors(by_seed: npt.ArrayLike, by_speaker: npt.ArrayLike) -> SplitErrors:
    """Errors of differences on one split.

    by_seed: [..., seed], the difference of each seed in points; NaN: missing. by_speaker: [...,
    speaker], what each speaker adds to the mean of them (`permutation.block_contributions`).
    Variance: s² / n over seeds plus n s² of the speakers' contributions, whose sum is the mean.
    Degrees of freedom: the fewer of both (Satterthwaite's let 6 to 9 % through where both matter
    and one of them is counted in twos or threes). Raises ValueError for fewer than two seeds or
    speakers.
    """
    seeds, speakers = np.asarray(by_seed, np.float64), np.asarray(by_speaker, np.float64)
    count = np.isfinite(seeds).sum(axis=-1)
    people = speakers.shape[-1]
    if count.min(initial=2) < 2 or people < 2:
        raise ValueError("one split needs two seeds and two speakers to say how sure a mean is")
    from_seeds = np.nanvar(seeds, axis=-1, ddof=1) / count
    from_speakers = people * speakers.var(axis=-1, ddof=1)
    total = from_seeds + from_speakers
    return SplitErrors(
        mean=np.nanmean(seeds, axis=-1),
        standard_error=np.sqrt(total),
        degrees=np.asarray(np.minimum(count, people) - 1.0),
    )
