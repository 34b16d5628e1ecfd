"""Levels and margins of a report: what every test of it is judged by."""

from dataclasses import dataclass

from studies.seeds import Metric


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Levels and margins of the report. rope and margin are the same; effect: the gain to plan for.

    All in points but level (of a family), confidence and power. seed: of all resampling. primary:
    labels of the variants whose comparisons the plan names as primary, a family of their own.
    departures: half sentences on where this report is not what was planned; with any, it gives no
    verdicts. metric: what verdicts are about. growing: why a plan whose runs are all there is not
    complete; empty where it is. normalise: how features were ("speaker", "wearer", "corpus",
    "none"), "" where it is not known. plan: which frozen plan this follows, in half a sentence; ""
    where none is on record. looks: the numbers of seeds at which verdicts were planned;
    earlier: looks at other runs than these, in words.

    >>> import reports
    >>> reports.Settings(rope=2.0).level
    0.05
    """

    selection: str = "dev"
    metric: Metric = "uar"
    level: float = 0.05
    confidence: float = 0.95
    rope: float = 1.0
    effect: float = 2.0
    power: float = 0.8
    seed: int = 0
    primary: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()
    growing: str = ""
    normalise: str = ""
    plan: str = ""
    looks: tuple[int, ...] = ()
    earlier: tuple[str, ...] = ()

    @property
    def measure(self) -> str:
        """The metric as it is printed."""
        return self.metric.upper()
