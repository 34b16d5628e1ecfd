"""Everything the report says, computed once: one frozen value that tables, figures and page read.

- Whatever prints a number takes it from here, so that table, figure, page and JSON agree.
- An unfinished study can be analysed: what cannot be computed is None and `notes` says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.data.members import Member
from bench.data.protocol import Protocol
from bench.training import metrics
from bench.training.results import SELECTIONS, MemberResult
from reports.analysis.breakdown import Part, breakdown, mean_over_seeds, pooled_uar
from reports.analysis.cell import Cell, inside_the_cell
from reports.analysis.comparisons import Comparison, Settings, compare, resolve_baselines
from reports.analysis.curves import Curve, learning_curves
from reports.analysis.selection_gap import SelectionGap, fold_means, selection_gap
from reports.scores import Predictions, Run, Scores, load
from reports.statistics.arrays import FloatArray, plain
from reports.statistics.bayes import probability_better
from reports.statistics.corrected_t import TTest, corrected_t_test
from reports.statistics.mixed import FactorEffects, factor_effects
from reports.statistics.ranks import Ranks, friedman_nemenyi
from reports.statistics.variance import VarianceComponents, variance_components

PROVENANCE = ("code_version", "kernel", "device", "precision", "torch", "host", "features")


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mean score in points: over seeds, then over folds.

    fold_means [fold], NaN where missing. spread: standard deviation over folds; seed_spread: over
    seeds, pooled inside folds (NaN with one seed). interval: corrected for shared training data,
    None for fewer than two folds.
    """

    mean: float
    fold_means: FloatArray
    spread: float
    seed_spread: float
    interval: TTest | None


@dataclass(frozen=True, kw_only=True)
class VariantSummary:
    """One row of the table. uar, war: by selection rule. baseline: None for a baseline itself.

    formula: of the activation, as text with its parameters.
    """

    variant: str
    slug: str
    activation: str
    formula: str
    update: str
    reset: str
    direction: str
    reset_order: str
    baseline: str | None
    uar: dict[str, Score]
    war: dict[str, Score]
    runs: int
    diverged: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All there is to say about one study against one baseline.

    scores [variant, fold, seed]: UAR in points under `settings.selection`. summaries, comparisons
    (without the baselines), cells, curves: per variant. probability_better, probability_relevant
    [variant, variant]: P(row better than column), by more than nothing and by more than the rope.
    confusion [variant, C, C]: share in points of a true class (row) taken for a class (column),
    pooled over folds and seeds. parts: breakdown. variance, ranks, factors: None where the design
    does not allow them; ranks are a picture for where `ranks.reachable`. gap: the oracle's gift.
    missing: runs without a result; complete: there are none. notes: what was left out and why.
    provenance: the values found in the results' identities. test_train_ratio [fold].
    """

    study: str
    corpus: str
    synthetic: bool
    complete: bool
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
    speakers: int
    dialogs: int
    utterances: int
    scores: FloatArray
    summaries: tuple[VariantSummary, ...]
    comparisons: tuple[Comparison, ...]
    probability_better: FloatArray
    probability_relevant: FloatArray
    confusion: FloatArray
    parts: tuple[Part, ...]
    variance: VarianceComponents | None
    ranks: Ranks | None
    factors: FactorEffects | None
    gap: SelectionGap
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    missing: tuple[Run, ...]
    notes: tuple[str, ...]
    provenance: dict[str, tuple[str, ...]]

    def comparison(self, variant: str) -> Comparison | None:
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
    settings: Settings | None = None,
) -> Analysis:
    """Return the analysis of one study's results.

    baseline: an activation or a variant's label, see `comparisons.resolve_baselines`. planned: the
    members of the study, finished or not. settings: by default the protocol's selection rule.
    The same results give the same analysis. Raises InputError as `scores.load` does and where the
    baseline was not run.
    """
    scores, predictions = load(results, planned=planned)
    settings = settings or Settings(selection=scores.selection)
    baselines = resolve_baselines(scores, baseline)
    selection = settings.selection
    rng = np.random.default_rng(settings.seed)
    table = scores.array(selection=selection)
    means = _table_of_fold_means(table)
    by_label: dict[str, list[MemberResult]] = {label: [] for label in scores.variants}
    for result, run in zip(results, scores.runs, strict=True):
        by_label[run.variant].append(result)
    notes: list[str] = []
    return Analysis(
        study=scores.study,
        corpus=scores.corpus,
        synthetic=scores.synthetic,
        complete=not scores.missing,
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
        speakers=int(np.unique(predictions.speakers).size),
        dialogs=int(np.unique(predictions.dialogs).size),
        utterances=int(predictions.ids.size),
        scores=table,
        summaries=tuple(_summary(scores, v, baselines.get(v), settings) for v in scores.variants),
        comparisons=compare(scores, predictions, baselines, settings),
        probability_better=probability_better(means, scores.ratio),
        probability_relevant=probability_better(means, scores.ratio, rope=settings.rope),
        confusion=_confusion(predictions, selection),
        parts=breakdown(
            predictions, baselines, selection=selection, rng=rng, confidence=settings.confidence
        ),
        variance=_variance(table, notes),
        ranks=_ranks(means, settings, rng, notes),
        factors=_factors(scores, predictions, baselines, settings, notes),
        gap=selection_gap(scores, confidence=settings.confidence),
        cells=tuple(
            inside_the_cell(label, found[0].variant, found, scores.folds)
            for label, found in by_label.items()
            if found
        ),
        curves=tuple(
            curve
            for label, found in by_label.items()
            for curve in learning_curves(
                label, found, scores.folds, scores.ratio, confidence=settings.confidence
            )
        ),
        missing=scores.missing,
        notes=tuple(notes),
        provenance={
            name: tuple(sorted({str(getattr(result.identity, name)) for result in results}))
            for name in PROVENANCE
        },
    )


def _table_of_fold_means(table: FloatArray) -> FloatArray:
    """Seed means [variant, fold] of scores [variant, fold, seed]; NaN where a fold has no run."""
    known = np.isfinite(table)
    total = np.where(known, table, 0.0).sum(axis=2)
    return np.asarray(np.where(known.any(axis=2), total / np.maximum(known.sum(axis=2), 1), np.nan))


def _summary(
    scores: Scores, variant: str, baseline: str | None, settings: Settings
) -> VariantSummary:
    own = scores.data.sel(variant=variant)
    missing = sum(run.variant == variant for run in scores.missing)
    by_metric = {
        metric: {
            selection: _score(
                scores.of(variant, metric=metric, selection=selection),
                scores.ratio,
                settings.confidence,
            )
            for selection in SELECTIONS
        }
        for metric in ("uar", "war")
    }
    return VariantSummary(
        variant=variant,
        slug=str(own["slug"].item()),
        activation=str(own["activation"].item()),
        formula=scores.described[variant].activation.text,
        update=str(own["update"].item()),
        reset=str(own["reset"].item()),
        direction=str(own["direction"].item()),
        reset_order=str(own["reset_order"].item()),
        baseline=baseline,
        uar=by_metric["uar"],
        war=by_metric["war"],
        runs=missing + int(own["present"].sum()),
        diverged=int(own["diverged"].sum()),
        missing=missing,
    )


def _score(table: FloatArray, ratio: FloatArray, confidence: float) -> Score:
    """Of scores [fold, seed]."""
    known = np.isfinite(table)
    by_fold = _table_of_fold_means(table[None])[0]
    usable = np.isfinite(by_fold)
    means = fold_means(table)
    freedom = int(np.maximum(known.sum(axis=1) - 1, 0).sum())
    squares = float((np.where(known, table - by_fold[:, None], 0.0) ** 2).sum())
    enough = means.size >= 2
    return Score(
        mean=float(means.mean()) if means.size else float("nan"),
        fold_means=by_fold,
        spread=float(means.std(ddof=1)) if enough else float("nan"),
        seed_spread=(squares / freedom) ** 0.5 if freedom else float("nan"),
        interval=corrected_t_test(means, ratio[usable], confidence=confidence) if enough else None,
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
            matrices[v] = np.where(total > 0, 100.0 * counts / np.maximum(total, 1), np.nan)
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
    predictions: Predictions,
    baselines: dict[str, str],
    settings: Settings,
    notes: list[str],
) -> FactorEffects | None:
    """Rows are variant × speaker; the factor "activation" is a label without its direction."""
    rows: dict[str, list[Any]] = {"score": [], "what": [], "direction": [], "fold": [], "who": []}
    for i, variant in enumerate(scores.variants):
        direction = str(scores.data["direction"].values[i])
        what = " · ".join(part for part in variant.split(" · ") if part != direction)
        share = mean_over_seeds(predictions.correct(variant, selection=settings.selection))
        for speaker in np.unique(predictions.speakers):
            own = (predictions.speakers == speaker) & np.isfinite(share)
            if own.any():
                rows["score"].append(pooled_uar(share[own], predictions.truths[own]))
                rows["what"].append(what)
                rows["direction"].append(direction)
                rows["fold"].append(scores.folds[predictions.fold[own][0]])
                rows["who"].append(str(speaker))
    reference = next(
        (v for v in scores.variants if v in set(baselines.values())), scores.variants[0]
    )
    direction = str(scores.data["direction"].sel(variant=reference).item())
    try:
        found = factor_effects(
            rows["score"],
            rows["what"],
            rows["direction"],
            rows["fold"],
            rows["who"],
            test_train_ratio=scores.ratio[np.isfinite(scores.ratio)],
            baseline=" · ".join(part for part in reference.split(" · ") if part != direction),
            reference_direction=direction,
            confidence=settings.confidence,
        )
    except ValueError as error:
        notes.append(f"No factor effects: {error}.")
        return None
    if found.note:
        notes.append(f"Factor effects: {found.note}")
    return found
