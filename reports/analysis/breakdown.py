"""Where a difference comes from: classes, speaking style, speakers, lengths of utterances.

- A subset's score pools its utterances over folds: single folds have too few of them.
- Intervals resample whole dialogues; they are for reading, not for testing, since there are
  many subsets and none was chosen beforehand.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from activations.wording import counted
from reports.analysis.by_speaker import paired_shares
from reports.score_table import Predictions
from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.bootstrap import Bootstrap, paired_bootstrap
from reports.statistics.means import POINTS, mean_of_known

RESAMPLES = 500
NAMED = 5  # test sets, where a class is missing
SubsetKind = Literal["class", "style", "speaker", "length"]


def notes_on_classes(predictions: Predictions) -> list[str]:
    """A sentence where test sets lack a class, which their UAR then leaves out; or nothing."""
    lacking = []
    for number, fold in enumerate(predictions.folds):
        there = set(predictions.truths[predictions.fold == number].tolist())
        absent = [name for k, name in enumerate(predictions.classes) if k not in there]
        if there and absent:
            lacking.append(f"{fold} has no {' and no '.join(absent)}")
    if not lacking:
        return []
    named = "; ".join(lacking[:NAMED]) + (" …" if len(lacking) > NAMED else "")
    return [
        f"{len(lacking)} of {counted(len(predictions.folds), 'test set')} "
        f"{'lacks' if len(lacking) == 1 else 'lack'} a class ({named}): UAR is the mean over the "
        "classes that are there."
    ]


@dataclass(frozen=True, kw_only=True)
class SubsetScore:
    """One variant on one subset: `score` in points, `difference` to its baseline.

    difference is None for a baseline, and where fewer than two dialogues can be resampled.
    """

    variant: str
    score: float
    difference: Bootstrap | None


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A subset of the test utterances. kind "class": scores are that class's recall, else UAR over
    the classes that occur. utterances: how many. scores: one for each variant with results.
    """

    kind: SubsetKind
    name: str
    utterances: int
    scores: tuple[SubsetScore, ...]


def breakdown(
    predictions: Predictions,
    baselines: dict[str, str],
    *,
    selection: str,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> tuple[Subset, ...]:
    """Return the scores of every variant on every subset of the test utterances.

    baselines: the baseline's label of each variant that has one. Seeds are averaged, in differences
    those that both have.
    """
    right = {
        v: mean_of_known(predictions.correct(v, selection=selection), axis=0)
        for v in predictions.variants
    }
    right = {v: share for v, share in right.items() if np.isfinite(share).any()}
    pairs = {
        v: paired_shares(predictions, (v, baselines[v]), selection)
        for v in right
        if baselines.get(v) in right
    }
    made = []
    for kind, name, mask in _subsets(predictions):
        scores = []
        for variant, share in right.items():
            difference = None
            if variant in pairs:
                first, second = (each[mask] for each in pairs[variant])
                difference = _difference(first, second, predictions, mask, rng, confidence)
            score = pooled_uar(share[mask], predictions.truths[mask])
            scores.append(SubsetScore(variant=variant, score=score, difference=difference))
        made.append(Subset(kind=kind, name=name, utterances=int(mask.sum()), scores=tuple(scores)))
    return tuple(made)


def pooled_uar(share: FloatArray, truths: IntArray) -> float:
    """UAR in points over the classes that occur, of shares of right answers [U], or NaN."""
    known = np.isfinite(share)
    recalls = [share[known & (truths == c)].mean() for c in np.unique(truths[known])]
    return POINTS * float(np.mean(recalls)) if recalls else float("nan")


def _difference(
    share: FloatArray,
    baseline: FloatArray,
    predictions: Predictions,
    mask: BoolArray,
    rng: np.random.Generator,
    confidence: float,
) -> Bootstrap | None:
    both = np.isfinite(share) & np.isfinite(baseline)
    dialogs = predictions.dialogs[mask][both]
    if np.unique(dialogs).size < 2:
        return None
    return paired_bootstrap(
        share[both],
        baseline[both],
        predictions.truths[mask][both],
        dialogs,
        rng=rng,
        confidence=confidence,
        resamples=RESAMPLES,
    )


def _subsets(predictions: Predictions) -> list[tuple[SubsetKind, str, BoolArray]]:
    subsets: list[tuple[SubsetKind, str, BoolArray]] = [
        ("class", name, predictions.truths == c) for c, name in enumerate(predictions.classes)
    ]
    if predictions.improvised.any():  # a corpus that does not tell calls nothing improvised
        subsets += [
            ("style", "improvised", predictions.improvised),
            ("style", "scripted", ~predictions.improvised),
        ]
    subsets += [
        ("speaker", str(s), predictions.speakers == s) for s in np.unique(predictions.speakers)
    ]
    short, long = np.quantile(predictions.lengths, [1 / 3, 2 / 3])
    subsets += [
        ("length", f"short (up to {short:.0f} frames)", predictions.lengths <= short),
        ("length", "medium", (predictions.lengths > short) & (predictions.lengths <= long)),
        ("length", f"long (over {long:.0f} frames)", predictions.lengths > long),
    ]
    return [(kind, name, mask) for kind, name, mask in subsets if mask.any()]
