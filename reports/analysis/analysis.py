"""Everything the report says, computed once: one frozen value that tables, figures and page read.

- Whatever prints a number takes it from here, so that table, figure, page and JSON agree.
- An unfinished study can be analysed: what cannot be computed is None and `notes` says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from activations.errors import InputError
from bench.data.members import Member
from bench.data.protocol import Protocol
from bench.training import metrics
from bench.training.results import MemberResult
from reports.analysis.breakdown import Subset, breakdown, notes_on_classes
from reports.analysis.comparisons import BaselineComparison, compare_families, resolve_baselines
from reports.analysis.curves import LearningCurve, learning_curves
from reports.analysis.families import Family, notes_on_families
from reports.analysis.gate_diagnostics import GateDiagnostics, diagnose
from reports.analysis.like_with_like import unlike_pairs
from reports.analysis.outputs import Outputs, outputs
from reports.analysis.searched import Search, SearchDesign, search_of
from reports.analysis.selected import shrunken
from reports.analysis.selection_gap import SelectionGaps, selection_gaps, selection_rules
from reports.analysis.sensitivity import SearchedSetting, settings_tried
from reports.analysis.settings import Settings
from reports.analysis.summaries import VariantSummary, summary_of
from reports.score_table import Predictions, Run, Scores, load
from reports.statistics.arrays import FloatArray, IntArray, plain
from reports.statistics.bayes import probability_better
from reports.statistics.factorial import FactorContrast, factor_contrasts
from reports.statistics.means import POINTS, seed_means
from reports.statistics.noise_floor import NoiseFloor, noise_floor
from reports.statistics.ranks import Ranks, friedman_nemenyi
from reports.statistics.variance import VarianceComponents, variance_components
from reports.statistics.verdicts import Permission


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the results: the values found in their identities, sorted; none of what an
    export keeps to itself.
    """

    code_version: tuple[str, ...]
    kernel: tuple[str, ...]
    device: tuple[str, ...]
    precision: tuple[str, ...]
    torch: tuple[str, ...]
    host: tuple[str, ...]
    features: tuple[str, ...]

    @classmethod
    def of(cls, results: Sequence[MemberResult]) -> "Provenance":
        """Collect them."""
        names = [field.name for field in fields(cls)]
        return cls(
            **{
                n: tuple(sorted({str(getattr(r.identity, n)) for r in results} - {""}))
                for n in names
            }
        )


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All there is to say about one study against one baseline.

    networks: the kinds of network that were trained (`model.kind`). reservations: what numbers of
    this corpus must be told with, such as a session that is missing.
    permission: what may be concluded, and why not more; families: what was judged together.
    scores [variant, fold, seed]: `settings.metric` in points under `settings.selection`. summaries,
    comparisons (without the baselines), diagnostics, curves: per variant. probability_relevant
    [variant, variant]: P(row better than column by more than the rope), NaN where no p is due, as
    ranks are None then.
    confusion [variant, C, C]: share in points of a true class (row) taken for a class (column),
    pooled over folds and seeds. subsets: breakdown. variance, ranks: None where the design does not
    allow them; ranks are a picture for where `ranks.reachable`. factors: contrasts of activation
    and direction, none where they were not crossed. gap: what the rule of selection changes.
    searched: settings that tuning or the study varied. search: what tuning chose and gave.
    outputs: pooled scores, F1 and calibration per variant. shrunken: differences of comparisons
    drawn towards their family, by variant. noise: what the same variant's own seeds differ by, of
    runs that did not diverge.
    missing: runs without a result; complete: there are none. notes: what was left out and why.
    provenance: what made the results. test_train_ratio, units [fold]: see `score_table.Scores`.
    """

    study: str
    corpus: str
    synthetic: bool
    reservations: tuple[str, ...]
    complete: bool
    networks: tuple[str, ...]
    protocol: Protocol
    settings: Settings
    baseline: str
    classes: tuple[str, ...]
    variants: tuple[str, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    test_sizes: FloatArray
    train_sizes: FloatArray
    test_train_ratio: FloatArray
    units: IntArray
    speakers: int
    dialogs: int
    utterances: int
    scores: FloatArray
    summaries: tuple[VariantSummary, ...]
    comparisons: tuple[BaselineComparison, ...]
    families: tuple[Family, ...]
    permission: Permission
    probability_relevant: FloatArray
    confusion: FloatArray
    subsets: tuple[Subset, ...]
    variance: VarianceComponents | None
    ranks: Ranks | None
    factors: tuple[FactorContrast, ...]
    noise: NoiseFloor | None
    gap: SelectionGaps
    diagnostics: tuple[GateDiagnostics, ...]
    curves: tuple[LearningCurve, ...]
    searched: tuple[SearchedSetting, ...]
    search: Search | None
    outputs: tuple[Outputs, ...]
    shrunken: dict[str, float]
    missing: tuple[Run, ...]
    notes: tuple[str, ...]
    provenance: Provenance

    def comparison(self, variant: str) -> BaselineComparison | None:
        """The comparison of a variant, or None for a baseline."""
        return next((c for c in self.comparisons if c.variant == variant), None)

    def as_dict(self) -> dict[str, Any]:
        """The analysis as JSON can hold it: lists, dictionaries, None for NaN."""
        found: dict[str, Any] = plain(self)
        return found


def analyse(
    results: Sequence[MemberResult],
    *,
    baseline: str = "tanh",
    planned: Iterable[Member] = (),
    tuned: Sequence[MemberResult] = (),
    search: SearchDesign | None = None,
    settings: Settings | None = None,
) -> Analysis:
    """Return the analysis of one study's results.

    baseline: an activation or a variant's label, see `comparisons.resolve_baselines`. planned: the
    members of the study, finished or not. tuned: results of other settings of the same variants,
    for `searched`. search: the study's search, if it had one. settings: by default the protocol's
    selection rule.
    The same results give the same analysis. Raises InputError as `scores.load` does and where the
    baseline was not run.

    >>> import reports
    >>> analysis = reports.analyse(reports.example(["tanh", "relu"], ["gru"]))
    >>> comparison = analysis.comparison("relu · gru")
    >>> round(comparison.test.mean, 1), round(comparison.p_adjusted, 4)
    (-10.2, 0.0139)
    >>> comparison.conclusion.verdict
    'worse'
    """
    scores, predictions = load(results, planned=planned)
    settings = settings or Settings(selection=scores.selection)
    baselines = resolve_baselines(scores, baseline)
    selection = settings.selection
    if selection not in selection_rules(scores.protocol):
        raise InputError(
            f"study {scores.study} has no dev set to choose a checkpoint on (protocol.dev: none); "
            "set selection to last or oracle"
        )
    unlike, told = unlike_pairs(results, scores.runs, baselines)
    settings = replace(settings, departures=(*settings.departures, *unlike))
    rng = np.random.default_rng(settings.seed)
    table = scores.array(metric=settings.metric, selection=selection)
    means = seed_means(table)
    diverged = scores.data["diverged"].transpose("variant", "fold", "seed").values
    by_label: dict[str, list[MemberResult]] = {label: [] for label in scores.variants}
    for result, run in zip(results, scores.runs, strict=True):
        by_label[run.variant].append(result)
    comparisons, families, allowed = compare_families(scores, predictions, baselines, settings)
    notes = [*notes_on_families(families, scores), *notes_on_classes(predictions), *told]
    return Analysis(
        study=scores.study,
        corpus=scores.corpus,
        synthetic=scores.synthetic,
        reservations=scores.reservations,
        complete=not scores.missing,
        networks=tuple(sorted({result.member.hyper.kind for result in results})),
        protocol=scores.protocol,
        settings=settings,
        baseline=baseline,
        classes=scores.classes,
        variants=scores.variants,
        folds=scores.folds,
        seeds=scores.seeds,
        test_sizes=np.asarray(scores.data["test_size"].values, dtype=np.float64),
        train_sizes=np.asarray(scores.data["train_size"].values, dtype=np.float64),
        test_train_ratio=scores.ratio,
        units=scores.units,
        speakers=int(np.unique(predictions.speakers).size),
        dialogs=int(np.unique(predictions.dialogs).size),
        utterances=int(predictions.ids.size),
        scores=table,
        summaries=tuple(summary_of(scores, v, baselines.get(v), settings) for v in scores.variants),
        comparisons=comparisons,
        families=families,
        permission=allowed,
        probability_relevant=probability_better(
            scores.by_unit(means), scores.unit_ratio, rope=settings.rope
        )
        if allowed.tested
        else np.full((len(scores.variants),) * 2, np.nan),
        confusion=_confusion(predictions, selection),
        subsets=breakdown(
            predictions, baselines, selection=selection, rng=rng, confidence=settings.confidence
        ),
        variance=_variance(table, notes),
        ranks=_ranks(scores.by_unit(means), settings, rng, notes) if allowed.tested else None,
        factors=_factors(scores, table, baselines, settings, notes, tested=allowed.tested),
        noise=noise_floor(np.where(diverged, np.nan, table), confidence=settings.confidence),
        gap=selection_gaps(scores, metric=settings.metric, confidence=settings.confidence),
        diagnostics=tuple(
            diagnose(label, found[0].variant, found, scores.folds)
            for label, found in by_label.items()
            if found
        ),
        curves=tuple(
            curve
            for label, found in by_label.items()
            for curve in learning_curves(
                label,
                found,
                scores.folds,
                scores.ratio,
                scores.units,
                confidence=settings.confidence,
            )
        ),
        searched=settings_tried([*results, *tuned]),
        search=search_of(search, scores.folds, scores.ratio, scores.units, selection=selection),
        outputs=tuple(
            outputs(label, found, folds=scores.folds, selection=selection)
            for label, found in by_label.items()
            if found
        ),
        shrunken=shrunken(comparisons, scores),
        missing=scores.missing,
        notes=tuple(notes),
        provenance=Provenance.of(results),
    )


def _confusion(predictions: Predictions, selection: str) -> FloatArray:
    classes = len(predictions.classes)
    matrices = np.full((len(predictions.variants), classes, classes), np.nan)
    for v, said in enumerate(predictions.predicted[selection]):
        counts = np.zeros((classes, classes), dtype=np.int64)
        for row in said:
            seen = row >= 0
            counts += metrics.confusion(
                predictions.truths[seen], row[seen].astype(np.int64), classes
            )
        if counts.any():
            total = counts.sum(axis=1, keepdims=True)
            matrices[v] = np.where(total > 0, POINTS * counts / np.maximum(total, 1), np.nan)
    return matrices


def _variance(table: FloatArray, notes: list[str]) -> VarianceComponents | None:
    try:
        return variance_components(table)
    except ValueError as error:
        notes.append(f"No variance components: {error}.")
        return None


def _ranks(
    means: FloatArray, settings: Settings, rng: np.random.Generator, notes: list[str]
) -> Ranks | None:
    complete = np.isfinite(means).all(axis=1)
    if not complete.all():
        notes.append("No ranking test: some variants lack whole folds.")
        return None
    if min(means.shape) < 2:
        notes.append("No ranking test: it needs two variants and two folds.")
        return None
    ranks = friedman_nemenyi(means, rng=rng, level=settings.level)
    if not ranks.reachable:
        notes.append(
            f"No ranking picture: {ranks.folds} folds and {ranks.variants} variants cannot reach "
            f"significance by ranks (smallest p {ranks.smallest_p:.3g})."
        )
    return ranks


def _factors(
    scores: Scores,
    table: FloatArray,
    baselines: dict[str, str],
    settings: Settings,
    notes: list[str],
    *,
    tested: bool,
) -> tuple[FactorContrast, ...]:
    """Contrasts of the activations (or families) that were run in every direction; tested: p is
    due, else it is NaN.
    """
    rows = scores.rows
    directions = list(dict.fromkeys(row.variant.direction for row in rows))
    families = list(dict.fromkeys(row.family for row in rows))
    place = {(row.family, row.variant.direction): i for i, row in enumerate(rows)}
    crossed = [name for name in families if all((name, way) in place for way in directions)]
    if len(directions) < 2 or len(families) < 2:
        return ()  # a single direction: its contrasts are the comparisons themselves
    reference = next((row for row in rows if row.label in set(baselines.values())), rows[0])
    if reference.family not in crossed or len(crossed) < 2:
        notes.append("No factor effects: the baseline and another were not run in all directions.")
        return ()
    if len(crossed) < len(families):
        left = ", ".join(name for name in families if name not in crossed)
        notes.append(f"Factor effects leave out what was not run in all directions: {left}.")
    contrasts = factor_contrasts(
        [
            [scores.by_unit(table[place[name, way]], axis=0) for way in directions]
            for name in crossed
        ],
        crossed,
        directions,
        scores.unit_ratio,
        baseline=reference.family,
        reference_direction=reference.variant.direction,
        confidence=settings.confidence,
    )
    return contrasts if tested else tuple(replace(c, p_holm=float("nan")) for c in contrasts)
