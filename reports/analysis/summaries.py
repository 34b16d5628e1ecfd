"""One row of the table: what a variant scored, with its interval, and how many runs it had."""

from dataclasses import dataclass

import numpy as np

from reports.analysis.selection_gap import selection_rules
from reports.analysis.settings import Settings
from reports.score_table import Scores
from reports.statistics.arrays import FloatArray
from reports.statistics.corrected_t import TTest
from reports.statistics.means import known, mean_of_known, seed_means


@dataclass(frozen=True, kw_only=True)
class MeanScore:
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

    family: the label without the direction. formula: of the activation, as text with its
    parameters.
    """

    variant: str
    family: str
    slug: str
    activation: str
    formula: str
    update: str
    reset: str
    direction: str
    reset_order: str
    baseline: str | None
    uar: dict[str, MeanScore]
    war: dict[str, MeanScore]
    runs: int
    diverged: int
    missing: int

    def score(self, settings: Settings) -> MeanScore:
        """What verdicts are about: the settings' metric under their rule of selection."""
        return self.scores(settings)[settings.selection]

    def scores(self, settings: Settings) -> dict[str, MeanScore]:
        """The settings' metric, by rule of selection."""
        return self.uar if settings.metric == "uar" else self.war


def summary_of(
    scores: Scores, variant: str, baseline: str | None, settings: Settings
) -> VariantSummary:
    """The row of one variant; baseline: what it is compared with, None for a baseline itself."""
    own, row = scores.data.sel(variant=variant), scores.rows[scores.variants.index(variant)]
    missing = sum(run.variant == variant for run in scores.missing)
    by_metric = {
        metric: {
            selection: _score(
                scores, scores.of(variant, metric=metric, selection=selection), settings.confidence
            )
            for selection in selection_rules(scores.protocol)
        }
        for metric in ("uar", "war")
    }
    return VariantSummary(
        variant=variant,
        family=row.family,
        slug=str(own["slug"].item()),
        activation=str(own["activation"].item()),
        formula=row.variant.activation.text,
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


def _score(scores: Scores, table: FloatArray, confidence: float) -> MeanScore:
    """Of scores [fold, seed]."""
    run = np.isfinite(table)
    by_fold = seed_means(table)
    means = known(by_fold)
    freedom = int(np.maximum(run.sum(axis=1) - 1, 0).sum())
    squares = float((np.where(run, table - by_fold[:, None], 0.0) ** 2).sum())
    enough = means.size >= 2
    return MeanScore(
        mean=float(mean_of_known(means)),
        fold_means=by_fold,
        spread=float(means.std(ddof=1)) if enough else float("nan"),
        seed_spread=(squares / freedom) ** 0.5 if freedom else float("nan"),
        interval=scores.test(by_fold, confidence=confidence),
    )
