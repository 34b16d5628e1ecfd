"""What to conclude: one plain sentence per variant, no stronger than the tests behind it.

- "Better" and "worse" need the family's corrected p; "equal" needs its own test; all else is
  undecided, and then the sentence says what the design could have seen.
- A verdict is given once, by the plan: elsewhere a sentence states the estimate and no verdict.
- A verdict that hangs on runs that diverged is none.
- Tests that rest on other assumptions (speakers, utterances) never turn the verdict.
"""

from dataclasses import dataclass
from typing import Literal

from activations.wording import counted
from reports.statistics.corrected_t import TTest
from reports.statistics.equivalence import Equivalence
from reports.statistics.family import verdict_of
from reports.statistics.verdicts import Standing

Verdict = Literal[
    "better",
    "worse",
    "equal",
    "undecided",
    "depends on diverged runs",
    "interim",
    "descriptive",
    "exploratory",
    "not compared",
    "baseline",
]


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """A verdict and the sentence that says it."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a conclusion rests on; p-values are adjusted over the family of variants.

    difference, equivalence: None where fewer than two folds could be compared. detectable: points
    that the design, corrected for `comparisons`, finds with probability `power`. standing: what
    the report may say. without: the test without the pairs of runs of which one diverged, None
    where nothing diverged or too little is left; depends: the verdict would be another one there.
    diverged, missing: runs of the variant, of `runs` planned; baseline_diverged,
    baseline_missing: the baseline's, of `baseline_runs`. one_split: there is one fold, so that
    seeds and speakers are what a difference has to stand out from.
    """

    variant: str
    baseline: str
    metric: str
    difference: TTest | None
    p_adjusted: float
    equivalence: Equivalence | None
    equivalence_p_adjusted: float
    detectable: float
    power: float
    comparisons: int
    standing: Standing
    without: TTest | None
    depends: bool
    diverged: int
    baseline_diverged: int
    missing: int
    baseline_missing: int
    runs: int
    baseline_runs: int
    synthetic: bool
    one_split: bool = False


def conclude(evidence: Evidence, *, level: float = 0.05) -> Conclusion:
    """Return verdict and sentence. Significance is judged at `level`, family-wise."""
    test, equivalence = evidence.difference, evidence.equivalence
    who = f"{evidence.variant} and {evidence.baseline}"
    if test is None or equivalence is None:
        needed = "fewer than two folds have results of both"
        if evidence.one_split:
            needed = "one split needs two seeds of both and two test speakers"
        sentence = f"{who} cannot be compared yet: {needed}"
        return _conclusion("not compared", sentence, evidence)
    unit = f"points {evidence.metric}"
    over = "seeds and speakers" if evidence.one_split else "folds"
    if evidence.standing != "confirmatory":
        return _estimate(evidence, test, f"{who} differ by {signed(test.mean)} {unit}")
    interval = f"{test.confidence:.0%} interval {signed(test.low)} to {signed(test.high)}"
    adjusted = f"adjusted {p_text(evidence.p_adjusted)}"
    if evidence.depends:
        return _conclusion("depends on diverged runs", _both(evidence, test, who, unit), evidence)
    if test.standard_error == 0:
        sentence = (
            f"{who} differ by exactly {signed(test.mean)} {unit} in every fold: nothing can be "
            "inferred from scores that do not vary"
        )
        return _conclusion("undecided", sentence, evidence)
    verdict = float(
        verdict_of(
            test.mean,
            test.standard_error,
            evidence.p_adjusted,
            evidence.equivalence_p_adjusted,
            level=level,
        )
    )
    if abs(verdict) == 1:
        side: Verdict = "better" if verdict > 0 else "worse"
        direction = "above" if verdict > 0 else "below"
        sentence = (
            f"{evidence.variant} scores {abs(test.mean):.1f} {unit} {direction} "
            f"{evidence.baseline} ({interval}, {adjusted}): more than chance between {over} "
            "explains"
        )
        if evidence.equivalence_p_adjusted < level:
            sentence += f", though less than the ±{equivalence.margin:g} that would matter"
        return _conclusion(side, sentence, evidence)
    if verdict == 0:
        sentence = (
            f"{who} are practically equal: the difference of {signed(test.mean)} {unit} lies "
            f"within ±{equivalence.margin:g} ({1 - 2 * equivalence.level:.0%} interval "
            f"{signed(equivalence.low)} to {signed(equivalence.high)}, adjusted "
            f"{p_text(evidence.equivalence_p_adjusted)})"
        )
        return _conclusion("equal", sentence, evidence)
    sees = (
        f"with {counted(evidence.comparisons, 'comparison')} this "
        "design finds a true difference of "
        f"{evidence.detectable:.1f} or more with {evidence.power:.0%} probability"
    )
    if test.p < level:
        sentence = (
            f"{who} may differ: {signed(test.mean)} {unit} would be significant as the only "
            f"comparison ({interval}) but is not as one of {evidence.comparisons} ({adjusted}); "
            f"{sees}"
        )
    else:
        sentence = (
            f"{who} cannot be told apart: {signed(test.mean)} {unit} ({interval}, {adjusted}); "
            f"{sees}"
        )
    return _conclusion("undecided", sentence, evidence)


def _estimate(evidence: Evidence, test: TTest, difference: str) -> Conclusion:
    """Where no verdict is due: the estimate, its interval, and why that is all."""
    why = {
        "interim": "interim: no verdict before the plan is complete",
        "descriptive": "descriptive: the checkpoint was chosen on the test set",
        "exploratory": "exploratory: not what was planned, so no verdict",
    }[evidence.standing]
    interval = f"{test.confidence:.0%} interval {signed(test.low)} to {signed(test.high)}"
    verdict: Verdict = evidence.standing if evidence.standing != "confirmatory" else "undecided"
    return _conclusion(verdict, f"{difference} ({interval}); {why}", evidence)


def _both(evidence: Evidence, test: TTest, who: str, unit: str) -> str:
    """The difference with and without the runs that diverged."""
    reads = f"{signed(test.mean)} {unit} ({signed(test.low)} to {signed(test.high)})"
    other = evidence.without
    left = (
        f"{signed(other.mean)} ({signed(other.low)} to {signed(other.high)}) without them"
        if other is not None
        else "and nothing is left to compare without them"
    )
    return f"whether {who} differ depends on diverged runs: {reads} with them, {left}"


def signed(points: float) -> str:
    """A difference with its sign and one decimal, a true minus, no negative zero."""
    rounded = round(points, 1) + 0.0
    return f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}") if rounded else "0.0"


def p_text(p: float) -> str:
    """A p-value as text: three decimals, never "0.000"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _conclusion(verdict: Verdict, sentence: str, evidence: Evidence) -> Conclusion:
    if evidence.diverged:
        runs = f"{evidence.diverged} of {counted(evidence.runs, 'run')}"
        count = "counts" if evidence.diverged == 1 else "count"
        sentence += f"; {runs} diverged and {count} with the score of a constant answer"
    if evidence.baseline_diverged:
        runs = f"{evidence.baseline_diverged} of {counted(evidence.baseline_runs, 'run')}"
        sentence += f"; of the baseline, {runs} diverged"
    lacks = [
        f"{count} of {counted(of, 'run')} of {name}"
        for name, count, of in (
            (evidence.variant, evidence.missing, evidence.runs),
            (evidence.baseline, evidence.baseline_missing, evidence.baseline_runs),
        )
        if count
    ]
    if lacks:
        sentence += f"; {' and '.join(lacks)} are missing, and only seeds that both have count"
    if evidence.synthetic:
        sentence += " (synthetic speech: this says nothing about real speech)"
    return Conclusion(verdict=verdict, sentence=sentence + ".")
