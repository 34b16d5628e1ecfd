"""Scores of predictions: average recalls, and the confusion matrix that they come from.

- Many members are scored on one test set at once, so predictions may carry any leading axes.
- A class that the truths do not contain has no recall: UAR averages over the classes that occur, as
  scikit-learn's `balanced_accuracy_score` does. Training and reports must not differ in this, so
  both call this module.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.arrays import IntArray

Shares = NDArray[np.float64]


def confusion(truths: ArrayLike, predictions: ArrayLike, classes: int) -> IntArray:
    """Counts [..., C, C]: `counts[..., t, p]` utterances of class t were taken for class p.

    truths: [n] or [..., n] integers in 0 … C − 1. predictions: [..., n], the same. classes: C.
    Raises ValueError where n differs or a label is not in 0 … C − 1.
    """
    truth, predicted = np.asarray(truths), np.asarray(predictions)
    if truth.shape[-1:] != predicted.shape[-1:] or predicted.ndim == 0:
        raise ValueError(f"truths {truth.shape} and predictions {predicted.shape} differ in n")
    for name, labels in (("truths", truth), ("predictions", predicted)):
        if labels.size and not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} must be integers, not {labels.dtype}")
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(
                f"{name} must be in 0 … {classes - 1}, found {labels.min()} … {labels.max()}"
            )
    truth, predicted = np.broadcast_arrays(truth, predicted)
    lead = predicted.shape[:-1]
    row = np.arange(int(np.prod(lead)), dtype=np.int64).reshape(*lead, 1)
    cell = (row * classes + truth) * classes + predicted
    counts = np.bincount(cell.astype(np.int64).ravel(), minlength=row.size * classes * classes)
    return counts.reshape(*lead, classes, classes).astype(np.int64)


def recalls(counts: IntArray) -> Shares:
    """Recall per class [..., C] from `confusion`'s counts; NaN for a class without utterances."""
    total = counts.sum(-1)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.where(total > 0, hits / np.maximum(total, 1), np.nan)


def uar_from(counts: IntArray) -> Shares:
    """Unweighted average recall [...] of counts [..., C, C], over classes that occur; else NaN."""
    occurs = counts.sum(-1) > 0
    present = occurs.sum(-1)
    total = np.where(occurs, recalls(counts), 0.0).sum(-1)
    return np.where(present > 0, total / np.maximum(present, 1), np.nan)


def war_from(counts: IntArray) -> Shares:
    """Weighted average recall (accuracy) [...] of counts [..., C, C]; NaN where all are 0."""
    total = counts.sum((-2, -1))
    hits = np.trace(counts, axis1=-2, axis2=-1)
    return np.where(total > 0, hits / np.maximum(total, 1), np.nan)


def uar(truths: ArrayLike, predictions: ArrayLike, classes: int) -> Shares:
    """Unweighted average recall [...] (macro recall, the papers' UA), a fraction: `confusion`."""
    return uar_from(confusion(truths, predictions, classes))


def war(truths: ArrayLike, predictions: ArrayLike, classes: int) -> Shares:
    """Weighted average recall [...] (accuracy, the papers' WA), a fraction: `confusion`."""
    return war_from(confusion(truths, predictions, classes))
