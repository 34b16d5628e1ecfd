"""From result files to `scores[variant, fold, seed]`, where every statistic and figure starts.

- Scores are computed again from the saved logits and truths: one place decides what UAR is.
- A study may be unfinished: a run without a result file is NaN here and named in `missing`.
- A diverged run is a result: its chance-level score counts and `diverged` marks it.
- Results of different protocols or corpora never share a table, so loading them together fails.
- Scores are in points (0 … 100), the unit of the tables of the field.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from activations.errors import InputError
from bench.data.members import Member
from bench.data.protocol import Protocol
from bench.training import metrics
from bench.training.results import SELECTIONS, MemberResult
from reports.statistics.arrays import BoolArray, FloatArray, IntArray
from reports.statistics.corrected_t import TTest, corrected_t_test
from reports.statistics.means import POINTS
from reports.statistics.units import known_by_unit, ratio_by_unit, shared_units
from reports.table_rows import Row, rows_of


@dataclass(frozen=True)
class Run:
    """Which run a score belongs to: `variant` is the label on the `variant` axis."""

    variant: str
    fold: str
    seed: int


@dataclass(frozen=True)
class Scores:
    """The scores of a study and what is needed to judge them.

    data: xarray Dataset in points with `uar`, `war` [variant, fold, seed, selection] (test),
    `dev_uar` [variant, fold, seed, selection] (dev, at the selected step), `diverged` and
    `present` [variant, fold, seed] (bool), `train_size` (the whole training set's, also where a
    part is trained on), `test_size`, `test_train_ratio` [fold].
    `variant` carries the coordinates activation, update, reset, direction, reset_order, slug.
    rows: what the labels on the variant axis stand for, in their order. runs: of each result, in
    the order of the results. missing: the runs of the design that have no result yet. synthetic:
    the corpus is not real speech. reservations: what its numbers must be told with.
    classes: names of the classes, in the order of labels and logits. protocol: its
    `selection` is the rule that is reported. units [fold]: a number for each fold; folds of one
    number share their training set and are one unit of every test.
    """

    data: xr.Dataset
    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    runs: tuple[Run, ...]
    missing: tuple[Run, ...]
    study: str
    corpus: str
    synthetic: bool
    reservations: tuple[str, ...]
    protocol: Protocol
    units: IntArray

    @property
    def selection(self) -> str:
        """The selection rule of the protocol: dev, oracle or last."""
        return self.protocol.selection

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """Labels on the variant axis, in the plan's order."""
        return tuple(row.label for row in self.rows)

    @property
    def folds(self) -> tuple[str, ...]:
        """Names on the fold axis, sorted."""
        return tuple(str(name) for name in self.data["fold"].values)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Numbers on the seed axis, sorted."""
        return tuple(int(seed) for seed in self.data["seed"].values)

    @property
    def ratio(self) -> FloatArray:
        """n_test / n_train [fold]."""
        return np.asarray(self.data["test_train_ratio"].values, dtype=np.float64)

    @property
    def unit_ratio(self) -> FloatArray:
        """n_test / n_train [unit]."""
        return ratio_by_unit(self.ratio, self.units)

    def by_unit(self, table: FloatArray, *, axis: int = -1) -> FloatArray:
        """Means over the known folds of each unit; axis: of the folds."""
        return known_by_unit(table, self.units, axis=axis)

    def test(self, differences: FloatArray, *, confidence: float) -> TTest | None:
        """The corrected t-test of differences [fold] in points, units for folds; NaN: missing.

        None where fewer than two units are known.
        """
        merged = self.by_unit(differences)
        usable = np.isfinite(merged)
        if usable.sum() < 2:
            return None
        return corrected_t_test(merged[usable], self.unit_ratio[usable], confidence=confidence)

    def of(self, variant: str, *, metric: str = "uar", selection: str = "dev") -> FloatArray:
        """Scores [fold, seed] of one variant in points; NaN where the run is missing."""
        at = self.variants.index(variant), SELECTIONS.index(selection)
        # the stored array itself: xarray's selection takes as long as the test that follows
        table = self.data.variables[metric].transpose("variant", "selection", "fold", "seed")
        return np.array(table.values[at], dtype=np.float64)

    def array(self, *, metric: str = "uar", selection: str = "dev") -> FloatArray:
        """Scores [variant, fold, seed] in points; NaN where the run is missing."""
        chosen = self.data[metric].sel(selection=selection)
        return np.asarray(chosen.transpose("variant", "fold", "seed").values, dtype=np.float64)

    def to_dataframe(self) -> pd.DataFrame:
        """One line per run that has a result and selection rule, as the table of a notebook.

        Columns: variant, activation, update, reset, direction, reset_order, fold, seed, selection,
        uar, war, dev_uar (points), diverged.
        """
        kept = self.data[["uar", "war", "dev_uar", "diverged", "present"]].drop_vars("slug")
        table = kept.to_dataframe().reset_index()
        table = table[table.pop("present")].reset_index(drop=True)
        about = ["variant", "activation", "update", "reset", "direction", "reset_order"]
        return table[[*about, "fold", "seed", "selection", "uar", "war", "dev_uar", "diverged"]]


@dataclass(frozen=True)
class Predictions:
    """What every run said about every test utterance.

    ids, truths, fold (index into `folds`), speakers, dialogs, lengths (frames), improvised: [U],
    the test utterances of all folds, one fold after another. predicted: for each selection
    class numbers [variant, seed, U], −1 where the run is missing.
    """

    variants: tuple[str, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    truths: IntArray
    fold: IntArray
    speakers: npt.NDArray[np.str_]
    dialogs: npt.NDArray[np.str_]
    lengths: IntArray
    improvised: BoolArray
    predicted: dict[str, npt.NDArray[np.int8]]

    def correct(self, variant: str, *, selection: str = "dev") -> FloatArray:
        """1 where a run was right, 0 where wrong, NaN where it is missing: [seed, U]."""
        said = self.predicted[selection][self.variants.index(variant)]
        return np.where(said < 0, np.nan, (said == self.truths).astype(np.float64))


def scores(results: Sequence[MemberResult], *, planned: Iterable[Member] = ()) -> Scores:
    """The scores of one study as an xarray Dataset; arguments and errors as `load`.

    >>> import reports
    >>> found = reports.scores(reports.example(["tanh", "elu"], ["gru"], folds=2, seeds=2))
    >>> dict(found.data.uar.sizes)
    {'variant': 2, 'fold': 2, 'seed': 2, 'selection': 3}
    >>> found.of("tanh · gru").round(1)
    array([[67.1, 67.1],
           [64. , 57.2]])
    >>> table = found.to_dataframe()
    >>> table[table.selection == "dev"].groupby("variant", sort=False).uar.mean().round(1).to_dict()
    {'elu · gru': 69.8, 'tanh · gru': 63.8}
    """
    return load(results, planned=planned)[0]


def load(
    results: Sequence[MemberResult], *, planned: Iterable[Member] = ()
) -> tuple[Scores, Predictions]:
    """Return the scores and predictions of the results of one study.

    planned: every member of the study, so that a variant without any result yet appears too;
    it also decides the order of variants. Without it the design is every combination of the
    variants, folds and seeds that were found, gru before bigru and then by name.
    A variant that was run with several settings of its hyper-parameters is one row for each,
    labelled with those that differ ("tanh · gru · learning_rate 0.001"), unless no fold and seed
    was run with two of them: settings chosen fold by fold are one way of training a variant.
    Raises InputError where there is no result, a run occurs twice, or protocol, corpus, classes
    or the test utterances of a fold differ between results.
    """
    if not results:
        raise InputError("there is no result to report yet: run the study first (gateswap run)")
    _require_one("protocol", (repr(r.identity.protocol) for r in results))
    _require_one("corpus", (r.identity.corpus.fingerprint for r in results))
    _require_one("set of classes", (r.classes for r in results))
    members = [*planned]
    # files come in the order of their hashes, which says nothing; a plan's order was chosen
    found = sorted(
        (r.member for r in results), key=lambda m: (m.variant.directions, m.variant.label)
    )
    rows = rows_of(members + found)
    by_run: dict[Run, MemberResult] = {}
    for result in results:
        run = Run(rows[result.variant, result.hyper].label, result.fold, result.seed)
        if run in by_run:
            raise InputError(
                f"{run.variant}, fold {run.fold}, seed {run.seed} has two results: delete the "
                "result file of one of them"
            )
        by_run[run] = result
    design = {Run(rows[m.variant, m.hyper].label, m.fold, m.seed) for m in members} | set(by_run)
    axes = _Axes(
        rows=tuple(dict.fromkeys(rows.values())),
        folds=tuple(sorted({run.fold for run in design})),
        seeds=tuple(sorted({run.seed for run in design})),
        classes=tuple(results[0].classes),
    )
    first = results[0].identity
    predictions = _predictions(by_run, axes)
    table = Scores(
        data=_dataset(by_run, axes),
        rows=axes.rows,
        classes=axes.classes,
        runs=tuple(by_run),
        missing=tuple(
            run for run in axes.runs() if run not in by_run and (run in design or not members)
        ),
        study=first.study,
        corpus=first.corpus.name,
        synthetic=first.corpus.synthetic,
        # results of an earlier version have none, whatever they were trained on
        reservations=max((r.identity.corpus.reservations for r in results), key=len),
        protocol=first.protocol,
        units=_units(predictions),
    )
    return table, predictions


def _units(predictions: Predictions) -> IntArray:
    """A number for each fold [fold]; one without any result yet is a unit of its own."""
    present, place = np.unique(predictions.fold, return_inverse=True)
    found = np.arange(len(predictions.folds)) + len(present)
    found[present] = shared_units(place, predictions.dialogs, predictions.ids)
    return np.asarray(np.unique(found, return_inverse=True)[1], dtype=np.int64)


@dataclass(frozen=True)
class _Axes:
    rows: tuple[Row, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]

    @cached_property
    def variants(self) -> tuple[str, ...]:
        return tuple(row.label for row in self.rows)

    def runs(self) -> Iterable[Run]:
        return (Run(v, f, s) for v in self.variants for f in self.folds for s in self.seeds)

    def place(self, run: Run) -> tuple[int, int, int]:
        return (
            self.variants.index(run.variant),
            self.folds.index(run.fold),
            self.seeds.index(run.seed),
        )


def _require_one(what: str, values: Iterable[object]) -> None:
    if len(set(values)) > 1:
        raise InputError(
            f"the results differ in their {what}: their scores do not belong into one table, "
            "so report each study by itself"
        )


def _dataset(by_run: dict[Run, MemberResult], axes: _Axes) -> xr.Dataset:
    design = ("variant", "fold", "seed")
    shape = (len(axes.variants), len(axes.folds), len(axes.seeds))
    per_selection = {
        name: np.full((*shape, len(SELECTIONS)), np.nan) for name in ("uar", "war", "dev_uar")
    }
    present, diverged = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    sizes = np.full((2, len(axes.folds)), np.nan)
    for run, result in by_run.items():
        at = axes.place(run)
        present[at], diverged[at] = True, result.outcome == "diverged"
        # parts of a training set overlap between folds as much as the whole sets do
        whole = round(result.train_size / result.hyper.train_fraction)
        sizes[:, at[1]] = np.fmax(sizes[:, at[1]], (whole, result.test_size))
        for k, selection in enumerate(SELECTIONS):
            counts = result.confusion(selection)
            per_selection["uar"][*at, k] = POINTS * metrics.uar_from(counts)
            per_selection["war"][*at, k] = POINTS * metrics.war_from(counts)
            per_selection["dev_uar"][*at, k] = POINTS * result.dev_uar(selection)
    return xr.Dataset(
        {name: ((*design, "selection"), values) for name, values in per_selection.items()}
        | {"present": (design, present), "diverged": (design, diverged)}
        | {
            "train_size": ("fold", sizes[0]),
            "test_size": ("fold", sizes[1]),
            "test_train_ratio": ("fold", sizes[1] / sizes[0]),
        },
        coords={
            "variant": list(axes.variants),
            "fold": list(axes.folds),
            "seed": list(axes.seeds),
            "selection": list(SELECTIONS),
        }
        | {
            name: ("variant", [str(getattr(row.variant, name)) for row in axes.rows])
            for name in ("activation", "update", "reset", "direction", "reset_order", "slug")
        },
    )


def _predictions(by_run: dict[Run, MemberResult], axes: _Axes) -> Predictions:
    per_utterance = ("ids", "truths", "speakers", "dialogs", "lengths", "improvised")
    tables: dict[str, MemberResult] = {}
    for run, result in by_run.items():
        known = tables.setdefault(run.fold, result)
        if any(not np.array_equal(getattr(known, n), getattr(result, n)) for n in per_utterance):
            raise InputError(
                f"fold {run.fold}: {run.variant}, seed {run.seed} was tested on other utterances "
                "than the rest; delete the result files of one of the two versions"
            )
    present = [fold for fold in axes.folds if fold in tables]
    starts = dict(
        zip(present, np.cumsum([0, *(len(tables[f].ids) for f in present)]), strict=False)
    )
    total = sum(len(tables[fold].ids) for fold in present)
    predicted = {
        selection: np.full((len(axes.variants), len(axes.seeds), total), -1, dtype=np.int8)
        for selection in SELECTIONS
    }
    for run, result in by_run.items():
        v, _, s = axes.place(run)
        rows = slice(starts[run.fold], starts[run.fold] + len(result.ids))
        for selection in SELECTIONS:
            predicted[selection][v, s, rows] = result.predictions(selection)
    joined = {n: np.concatenate([getattr(tables[f], n) for f in present]) for n in per_utterance}
    return Predictions(
        variants=axes.variants,
        folds=axes.folds,
        seeds=axes.seeds,
        classes=axes.classes,
        ids=joined["ids"].astype(str),
        truths=joined["truths"].astype(np.int64),
        fold=np.concatenate(
            [np.full(len(tables[f].ids), axes.folds.index(f), dtype=np.int64) for f in present]
        ),
        speakers=joined["speakers"].astype(str),
        dialogs=joined["dialogs"].astype(str),
        lengths=joined["lengths"].astype(np.int64),
        improvised=joined["improvised"].astype(bool),
        predicted=predicted,
    )
