import numpy as np
import pytest
from scipy import stats

from reports.statistics.family import judge_split
from reports.statistics.one_split import split_errors


def _worlds(of_seeds: float, of_speakers: float, of_both: float, n: int) -> tuple[np.ndarray, ...]:
    """Differences of equals by seed [n, 5] and by speaker [n, 8], which add up to one mean."""
    rng = np.random.default_rng(3)
    parts = (
        of_seeds * rng.standard_normal((n, 5, 1))
        + of_speakers * rng.standard_normal((n, 1, 8))
        + of_both * rng.standard_normal((n, 5, 8))
    ) / 8
    return parts.sum(axis=2), parts.mean(axis=1)


@pytest.mark.parametrize(
    "scatter", [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 2, 1), (2, 1, 1)], ids=str
)
def test_one_split_finds_no_more_than_five_percent_among_equals(
    scatter: tuple[float, float, float],
) -> None:
    found = split_errors(*_worlds(*scatter, 4000))
    p = 2 * stats.t.sf(np.abs(found.mean) / found.standard_error, found.degrees)
    assert (p < 0.05).mean() < 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5


def test_with_equal_speakers_it_is_a_t_test_of_the_seeds() -> None:
    seeds = np.array([[1.0, 2.0, 4.0, 3.0]])
    found = split_errors(seeds, np.full((1, 9), 2.5 / 9))
    expected = stats.ttest_1samp(seeds[0], 0.0)
    assert found.mean / found.standard_error == pytest.approx([expected.statistic])
    assert found.degrees.tolist() == [3.0]
    assert judge_split(seeds, np.full((1, 9), 2.5 / 9)).p == pytest.approx([expected.pvalue])


def test_one_seed_or_one_speaker_is_refused() -> None:
    for seeds, speakers in ((1, 4), (4, 1)):
        with pytest.raises(ValueError, match="two seeds and two speakers"):
            split_errors(np.ones((1, seeds)), np.ones((1, speakers)))
