"""A measured rate, what was promised, and whether it was kept."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

# a rate that is exact is called liberal once in 740 simulations: three standard errors' worth
SURPRISE = float(stats.norm.sf(3.0))


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One line of the validation.

    measured, nominal: a share in 0 … 1 (or estimate ÷ truth for quantity "bias"); error: the
    simulation's standard error. promised: the test's assumptions hold in this world, so it must
    keep its level; elsewhere the line only shows what happens. n: simulated studies.
    """

    test: str
    world: str
    quantity: str
    measured: float
    nominal: float
    error: float
    n: int
    promised: bool

    @property
    def verdict(self) -> str:
        """What the measurement says, where chance would hardly do it (one in 740, each side)."""
        if self.quantity == "bias":
            low, high = (stats.norm.cdf(z) for z in (self._deviation, -self._deviation))
        else:  # few studies and small rates are skewed: the binomial itself, not its error bar
            hits = round(self.measured * self.n)
            low = stats.binom.cdf(hits, self.n, self.nominal)
            high = stats.binom.sf(hits - 1, self.n, self.nominal)
        words = ("below", "above", "as predicted")
        if self.quantity == "false positives":
            words = ("conservative", "liberal", "at its level")
        return words[0] if low < SURPRISE else words[1] if high < SURPRISE else words[2]

    @property
    def _deviation(self) -> float:
        return (self.measured - self.nominal) / self.error

    @property
    def kept(self) -> bool:
        """Whether the promise was kept; a line without a promise breaks none.

        A false-positive rate below its level is kept: it costs power, not truth.
        """
        if not self.promised:
            return True
        return self.verdict in ("at its level", "conservative", "as predicted")


def false_positives(
    test: str, world: str, rejected: npt.ArrayLike, nominal: float, *, promised: bool
) -> Rate:
    """Rate of rejections [study] of a true null hypothesis."""
    return _share(test, world, "false positives", rejected, nominal, promised)


def power(test: str, world: str, found: npt.ArrayLike, predicted: float, *, promised: bool) -> Rate:
    """Rate of finding [study] a difference that is there, against the predicted probability."""
    return _share(test, world, "power", found, predicted, promised)


def compared(test: str, world: str, found: npt.ArrayLike, other: float) -> Rate:
    """Rate of finding [study] a difference that is there, beside another test's: no promise."""
    return _share(test, world, "power", found, other, promised=False)


def bias(test: str, world: str, estimates: npt.ArrayLike, truth: float) -> Rate:
    """Mean estimate ÷ truth of estimates [study]."""
    values = np.asarray(estimates, dtype=np.float64) / truth
    return Rate(
        test=test,
        world=world,
        quantity="bias",
        measured=float(values.mean()),
        nominal=1.0,
        error=float(values.std(ddof=1) / np.sqrt(values.size)),
        n=values.size,
        promised=True,
    )


def _share(
    test: str, world: str, quantity: str, hits: npt.ArrayLike, nominal: float, promised: bool
) -> Rate:
    values = np.asarray(hits, dtype=bool)
    return Rate(
        test=test,
        world=world,
        quantity=quantity,
        measured=float(values.mean()),
        nominal=nominal,
        error=float(np.sqrt(nominal * (1 - nominal) / values.size)),
        n=values.size,
        promised=promised,
    )
