"""Looking more than once: what each look may spend of the level.

- A study that is judged, grown and judged again has several chances of a false alarm: looking at
  5, 10, 20 and 40 seeds raises 5 % to 8 or 9 %.
- How far it may grow has to be known beforehand: it is the last look's information that the first
  one's share is measured against.
- Levels assume that looks are correlated as sums are. Averages over seeds on the same folds are
  correlated more, which makes the levels careful.
"""

from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from reports.statistics.arrays import FloatArray

POINTS = 1201  # of the grid over a z statistic: levels are good to four digits


def look_levels(fractions: Sequence[float], *, level: float = 0.05) -> tuple[float, ...]:
    """Return the two-sided level at which each look may judge, so that all together keep `level`.

    fractions: information at each look ÷ at the last one planned, rising, in (0, 1]. Spends
    level · ln(1 + (e − 1) t) by t, about equally at each look (Lan & DeMets, Biometrika 70, 1983).
    Looks at which nothing is left to spend have level 0.
    Raises ValueError unless the fractions rise within (0, 1].
    """
    times = np.asarray(fractions, dtype=np.float64)
    if not times.size or times[0] <= 0 or times[-1] > 1 or (np.diff(times) <= 0).any():
        raise ValueError("looks must have rising shares of the planned information, up to 1")
    spent = level * np.log1p((np.e - 1.0) * times)
    bounds: list[float] = []
    grid = density = np.zeros(0)  # of the sum √t · z among studies that no look has stopped
    for k, share in enumerate(np.diff(spent, prepend=0.0)):
        if k == 0:
            bounds.append(float(stats.norm.isf(share / 2)))
        else:
            step = float(np.sqrt(times[k] - times[k - 1]))
            here = (grid, density, float(np.sqrt(times[k])), step, float(share))
            bounds.append(float(optimize.brentq(_overspent, 0.0, 12.0, args=here)))
        edge = bounds[-1] * np.sqrt(times[k])
        fresh = np.linspace(-edge, edge, POINTS)
        density = _carried(grid, density, fresh, times, k)
        grid = fresh
    return tuple(float(2 * stats.norm.sf(z)) for z in bounds)


def _overspent(
    z: float, grid: FloatArray, density: FloatArray, root: float, step: float, share: float
) -> float:
    """What a bound z at this look would spend, less its share."""
    edge = z * root
    tail = stats.norm.sf((edge - grid) / step) + stats.norm.cdf((-edge - grid) / step)
    return float(np.trapezoid(density * tail, grid)) - share


def _carried(
    grid: FloatArray, density: FloatArray, fresh: FloatArray, times: FloatArray, look: int
) -> FloatArray:
    """The density of √t · z on the fresh grid, of studies that go on after this look."""
    if look == 0:
        return np.asarray(stats.norm.pdf(fresh, scale=np.sqrt(times[0])), dtype=np.float64)
    step = np.sqrt(times[look] - times[look - 1])
    kernel = stats.norm.pdf(fresh[:, None], loc=grid[None], scale=step)
    return np.asarray(np.trapezoid(kernel * density, grid, axis=1), dtype=np.float64)
