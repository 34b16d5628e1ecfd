"""Folds that are one unit of every test: those whose networks were trained on the same speech.

- With a speaker as a fold, both speakers of a conversation are tested by networks that heard
  neither: two folds, one training set.
- Repeated divisions test the same speech anew, by other training sets: their folds stay apart.
"""

import numpy as np
import numpy.typing as npt

from reports.statistics.arrays import FloatArray, IntArray
from reports.statistics.means import mean_of_known


def merged_units(
    table: FloatArray, ratio: FloatArray, units: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Fold values [..., fold] and ratios [fold] of folds that share training data, as one each.

    Returns ([..., unit], [unit]): means of the values, and sums of the ratios, since one training
    set was tested on all the unit's folds together.
    """
    _, place = np.unique(np.asarray(units), return_inverse=True)
    if place.max(initial=0) + 1 == place.size:
        return table, ratio
    share = np.zeros((place.size, int(place.max()) + 1))
    share[np.arange(place.size), place] = 1.0
    return table @ (share / share.sum(axis=0)), ratio @ share


def known_by_unit(table: npt.ArrayLike, units: npt.ArrayLike, *, axis: int = -1) -> FloatArray:
    """Means over the folds of each unit that are known: [..., fold, ...] to [..., unit, ...].

    axis: of the folds. NaN for a unit without any.
    """
    values = np.moveaxis(np.asarray(table, dtype=np.float64), axis, -1)
    number = np.asarray(units)
    merged = [mean_of_known(values[..., number == one]) for one in np.unique(number)]
    return np.moveaxis(np.stack(merged, axis=-1), -1, axis)


def ratio_by_unit(ratio: npt.ArrayLike, units: npt.ArrayLike) -> FloatArray:
    """n_test / n_train [unit] of folds [fold]: sums, since one training set was tested on them all;
    NaN for a unit of which no fold is known.
    """
    values, number = np.asarray(ratio, dtype=np.float64), np.asarray(units)
    parts = [values[number == one] for one in np.unique(number)]
    return np.array([p[np.isfinite(p)].sum() if np.isfinite(p).any() else np.nan for p in parts])


def shared_units(
    folds: npt.ArrayLike, dialogs: npt.ArrayLike, ids: npt.ArrayLike | None = None
) -> IntArray:
    """Number the folds so that those whose test sets share a dialogue have the same: [fold].

    folds: fold number of each utterance [U]; dialogs: its dialogue [U]; ids: its name [U]. A
    dialogue is kept from training wherever one of its speakers is tested, so such folds train on
    the same speech. Folds that test one utterance twice belong to repeated divisions of the corpus,
    and only folds of one division can be a unit.
    """
    fold = np.asarray(folds, dtype=np.int64)
    count = int(fold.max(initial=-1)) + 1
    division = np.zeros(count, dtype=np.int64) if ids is None else _divisions(fold, ids, count)
    unit: IntArray = np.arange(count)
    _, place = np.unique(np.asarray(dialogs), return_inverse=True)
    pairs = np.unique(np.stack([place, fold]), axis=1)  # each dialogue with the folds that test it
    for one in range(int(place.max(initial=-1)) + 1):
        tested = pairs[1, slice(*np.searchsorted(pairs[0], [one, one + 1]))]
        for part in np.unique(division[tested]):
            together = np.unique(unit[tested[division[tested] == part]])
            unit[np.isin(unit, together)] = together[0]
    return np.asarray(np.unique(unit, return_inverse=True)[1], dtype=np.int64)


def _divisions(fold: IntArray, ids: npt.ArrayLike, count: int) -> IntArray:
    """Which repeated division each fold belongs to [fold]: the first whose folds share no
    utterance with it. Folds come one division after another, as their names sort.
    """
    _, name = np.unique(np.asarray(ids), return_inverse=True)
    if np.bincount(name).max(initial=0) < 2:
        return np.zeros(count, dtype=np.int64)
    found = np.zeros(count, dtype=np.int64)
    seen: list[set[int]] = []
    for one in range(count):
        own = set(name[fold == one].tolist())
        place = next((k for k, known in enumerate(seen) if not known & own), len(seen))
        if place == len(seen):
            seen.append(set())
        seen[place] |= own
        found[one] = place
    return found
