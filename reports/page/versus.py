"""Two studies side by side: what changed between them, variant by variant.

- A difference is tested only where both studies answer the same question: same corpus, same
  protocol, same folds. Otherwise the scores stand in two columns, and the page says what differs.
- The test is the report's own: seeds averaged, folds paired, corrected for shared training data,
  Holm over the variants. No plan of either study names it, so that it never carries a verdict, and
  there is no p while runs are missing or where checkpoints were chosen on the test set.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activations.errors import InputError
from activations.files import atomically
from bench.data.members import Member
from bench.training.results import MemberResult
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.settings import Settings
from reports.analysis.summaries import VariantSummary
from reports.figures.figure import percent
from reports.figures.forest import draw_rows
from reports.figures.style import save, styles_of
from reports.page import tables
from reports.page.templates import embedded, fill
from reports.statistics.arrays import FloatArray, plain
from reports.statistics.conclusions import p_text
from reports.statistics.corrected_t import TTest, corrected_t_test
from reports.statistics.means import mean_of_known
from reports.statistics.multiplicity import holm
from reports.statistics.units import known_by_unit, ratio_by_unit


@dataclass(frozen=True, kw_only=True)
class VariantChange:
    """One variant in both studies; scores in points, seeds then folds averaged, NaN where not run.

    test: second − first over the folds both have; None where the studies are not comparable or
    fewer than two folds are common. p_holm: adjusted over all variants of the comparison, NaN where
    none is due. diverged: runs of each study, which count with the score of a constant answer.
    """

    variant: str
    first: float
    second: float
    test: TTest | None
    p_holm: float
    diverged: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Versus:
    """Two studies compared. reasons: why their scores may not be compared; empty where they may.

    measure: what is compared. untested: why there is no p; paired: the same seeds in both.
    """

    first: str
    second: str
    selection: str
    measure: str
    reasons: tuple[str, ...]
    untested: tuple[str, ...]
    paired: bool
    changes: tuple[VariantChange, ...]


def compare_studies(
    first: Sequence[MemberResult],
    second: Sequence[MemberResult],
    *,
    baselines: Sequence[str] = ("tanh", "tanh"),
    planned: Sequence[Sequence[Member]] = ((), ()),
    settings: Sequence[Settings | None] = (None, None),
) -> tuple[Versus, Analysis, Analysis]:
    """Compare two studies, variant by variant, in the order of the first; both analyses too.

    planned: the members of both studies, in whose order variants are shown and coloured. settings:
    of both; by default their protocol's.
    Raises InputError as `analysis.analyse` does, and where the studies share no variant.
    """
    one, two = (
        analyse(results, baseline=baseline, planned=members, settings=own)
        for results, baseline, members, own in zip(
            (first, second), baselines, planned, settings, strict=True
        )
    )
    return _versus(one, two, _reasons(first[0], second[0], one, two)), one, two


def write_versus(
    first: Sequence[MemberResult],
    second: Sequence[MemberResult],
    folder: Path,
    *,
    baselines: Sequence[str] = ("tanh", "tanh"),
    planned: Sequence[Sequence[Member]] = ((), ()),
    settings: Sequence[Settings | None] = (None, None),
) -> Path:
    """Write index.html, versus.json and the figure of a comparison; return the page's path.

    Arguments and errors as `compare_studies`, and GateswapError where the folder cannot be written.
    """
    versus, one, two = compare_studies(
        first, second, baselines=baselines, planned=planned, settings=settings
    )
    page = render(versus, one, two)
    text = json.dumps(plain(versus), ensure_ascii=False, indent=1, allow_nan=False)
    with atomically(folder, durable=False) as whole:
        whole.mkdir()
        (whole / "versus.json").write_text(text, encoding="utf-8")
        (whole / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def render(versus: Versus, one: Analysis, two: Analysis) -> str:
    """The page's HTML."""
    return fill(
        "versus.html",
        versus=versus,
        designs=[tables.design_line(one), tables.design_line(two)],
        image=_figure(versus, one),
        interval=tables.interval,
    )


def _versus(one: Analysis, two: Analysis, reasons: tuple[str, ...]) -> Versus:
    shared = [variant for variant in one.variants if variant in two.variants]
    if not shared:
        raise InputError(
            f"studies {one.study} and {two.study} share no variant; "
            f"{one.study} has {', '.join(one.variants)}"
        )
    selection = one.settings.selection
    rows = []
    for variant in shared:
        means = [_fold_means(analysis, variant) for analysis in (one, two)]
        test = None if reasons else _test(means[1] - means[0], one)
        rows.append((variant, means, test))
    untested = tuple(
        f"{analysis.study}: {analysis.permission.why.rstrip('.')}"
        for analysis in (one, two)
        if not analysis.permission.tested
    )
    adjusted = holm([test.p if test and not untested else np.nan for _, _, test in rows])
    return Versus(
        first=one.study,
        second=two.study,
        selection=selection,
        measure=one.settings.measure,
        reasons=reasons,
        untested=untested,
        paired=one.seeds == two.seeds,
        changes=tuple(
            VariantChange(
                variant=variant,
                first=float(mean_of_known(means[0])),
                second=float(mean_of_known(means[1])),
                test=test,
                p_holm=float(p),
                diverged=(_summary(one, variant).diverged, _summary(two, variant).diverged),
            )
            for (variant, means, test), p in zip(rows, adjusted, strict=True)
        ),
    )


def _fold_means(analysis: Analysis, variant: str) -> FloatArray:
    return _summary(analysis, variant).score(analysis.settings).fold_means


def _summary(analysis: Analysis, variant: str) -> VariantSummary:
    return next(s for s in analysis.summaries if s.variant == variant)


def _test(difference: FloatArray, analysis: Analysis) -> TTest | None:
    merged = known_by_unit(difference, analysis.units)
    usable = np.isfinite(merged)
    if usable.sum() < 2:
        return None
    ratio = ratio_by_unit(analysis.test_train_ratio, analysis.units)
    return corrected_t_test(merged[usable], ratio[usable])


def _reasons(
    first: MemberResult, second: MemberResult, one: Analysis, two: Analysis
) -> tuple[str, ...]:
    """What keeps the two studies' scores from being compared."""
    reasons = []
    if first.identity.corpus.fingerprint != second.identity.corpus.fingerprint:
        reasons.append(f"the corpora differ ({one.corpus}, {two.corpus})")
    own_rules, other_rules = one.protocol.as_dict(), two.protocol.as_dict()
    for key in sorted(own_rules):
        own, other = own_rules[key], other_rules[key]
        if own != other:
            reasons.append(f"the protocols differ in {key} ({own}, {other})")
    if one.folds != two.folds:
        reasons.append("the folds differ")
    if one.settings.metric != two.settings.metric:
        measures = f"{one.settings.measure}, {two.settings.measure}"
        reasons.append(f"they were planned to be judged by different metrics ({measures})")
    return tuple(reasons)


def _figure(versus: Versus, one: Analysis) -> str | None:
    tested = [(change, change.test) for change in versus.changes if change.test is not None]
    if not tested:
        return None
    directions = {summary.variant: summary.direction for summary in one.summaries}
    order = sorted(tested, key=lambda entry: directions[entry[0].variant])
    fig, _ = draw_rows(
        [change.variant for change, _ in order],
        [test for _, test in order],
        groups=[directions[change.variant] for change, _ in order],
        notes=["no p" if versus.untested else p_text(change.p_holm) for change, _ in order],
        styles=styles_of(one),
        rope=one.settings.rope,
        confidence=percent(one),
        baseline=versus.first,
        measure=versus.measure,
    )
    with tempfile.TemporaryDirectory() as folder:
        (file,) = save(fig, Path(folder), "versus", ["svg"])
        return embedded(file)
