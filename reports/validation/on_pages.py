"""The verdict that the page prints, from a table of scores to its sentence.

- Rates of families are measured on thousands of studies at once with `family.judge`; here single
  studies go the page's whole way, and must end where that rule ends.
- What gives no verdict (runs missing, checkpoints chosen on the test set, another analysis than
  planned) must not give one in any study.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from bench.data.members import Activation, Variant
from bench.data.protocol import Protocol
from bench.training.results import SELECTIONS
from reports.analysis.comparisons import compare_families
from reports.analysis.settings import Settings
from reports.score_table import Predictions, Run, Scores
from reports.statistics.arrays import BoolArray, FloatArray
from reports.statistics.family import judge
from reports.statistics.means import seed_means
from reports.table_rows import Row
from reports.validation.family_worlds import Scatter, draw_runs
from reports.validation.rates import Rate, false_positives
from reports.validation.worlds import RATIO, SESSIONS

WORLDS: tuple[Scatter, ...] = ("alike", "one noisy variant", "two kinds of scatter")
FAMILIES = (2, 9)  # comparisons: judged one by one, and by what they share
GAIN = 3.0  # points of one variant, so that there are verdicts to compare
WORDS = {1.0: "better", -1.0: "worse", 0.0: "equal"}


def pages(n: int, rng: np.random.Generator) -> Iterator[Rate]:
    """Whether the page says what the rule says, and nothing where nothing is due.

    A page takes a hundred times as long as a rule: a third of n studies each, at least two.
    """
    n = max(2, n // 3)
    for comparisons in FAMILIES:
        for scatter in WORLDS:
            differs = np.zeros(n, dtype=bool)
            for study in range(n):
                runs = 65 + draw_runs(scatter, comparisons + 1, 1, rng)[0]
                runs[-1] += GAIN
                table = seed_means(runs[1:] - runs[0])
                verdicts = judge(table, RATIO, np.zeros(comparisons)).verdict
                ruled = [WORDS.get(float(v), "undecided") for v in verdicts]
                differs[study] = ruled != _printed(runs, Settings())
            yield _never(f"page of {comparisons} says else than the rule", scatter, differs)
    runs = [65 + draw_runs("alike", 3, 1, rng)[0] + GAIN * np.eye(3)[:, :1, None] for _ in range(n)]
    for name, settings, missing in (
        ("a run is missing", Settings(), True),
        ("the rule for seeds has not ended", Settings(growing="it goes on"), False),
        ("checkpoints chosen on the test set", Settings(selection="oracle"), False),
        ("another baseline than planned", Settings(departures=("the baseline",)), False),
    ):
        said = [_printed(table, settings, missing=missing) for table in runs]
        given = [any(word in WORDS.values() for word in words) for words in said]
        yield _never("page gives a verdict", name, np.array(given))


def _never(test: str, world: str, happened: BoolArray) -> Rate:
    return false_positives(test, world, happened, 0.0, promised=True)


def _printed(runs: FloatArray, settings: Settings, *, missing: bool = False) -> list[str]:
    """The verdicts of a page of scores [variant, fold, seed], the baseline first."""
    table = runs.copy()
    if missing:
        table[-1, 0, 0] = np.nan
    scores = _scores(table)
    baseline = scores.variants[0]
    made = compare_families(
        scores, _predictions(scores), dict.fromkeys(scores.variants[1:], baseline), settings
    )[0]
    return [comparison.conclusion.verdict for comparison in made]


def _scores(table: FloatArray) -> Scores:
    rows = tuple(Row(Variant(Activation(f"a{k}", f"tanh({k + 1}*x)"))) for k in range(len(table)))
    folds = tuple(f"Ses{k + 1:02d}" for k in range(SESSIONS.size))
    seeds = tuple(range(table.shape[2]))
    design = ("variant", "fold", "seed")
    everywhere = np.repeat(table[..., None], len(SELECTIONS), axis=-1)
    lacking = np.argwhere(np.isnan(table)).tolist()
    return Scores(
        data=xr.Dataset(
            dict.fromkeys(("uar", "war", "dev_uar"), ((*design, "selection"), everywhere))
            | {
                "present": (design, np.isfinite(table)),
                "diverged": (design, np.isnan(table) & False),
            }
            | {"test_train_ratio": ("fold", RATIO)},
            coords={
                "variant": [row.label for row in rows],
                "fold": list(folds),
                "seed": list(seeds),
                "selection": list(SELECTIONS),
            },
        ),
        rows=rows,
        classes=("a", "b"),
        runs=tuple(Run(r.label, f, s) for r in rows for f in folds for s in seeds),
        missing=tuple(Run(rows[v].label, folds[f], seeds[s]) for v, f, s in lacking),
        study="made up",
        corpus="made up",
        synthetic=True,
        reservations=(),
        protocol=Protocol(),
        units=np.arange(len(folds)),
    )


def _predictions(scores: Scores) -> Predictions:
    """One utterance of each fold, always said right: speakers carry no verdict."""
    count = len(scores.folds)
    truths = np.zeros(count, dtype=np.int64)
    names = np.array(scores.folds)
    shape = (len(scores.variants), len(scores.seeds), count)
    return Predictions(
        variants=scores.variants,
        folds=scores.folds,
        seeds=scores.seeds,
        classes=scores.classes,
        ids=names,
        truths=truths,
        fold=np.arange(count),
        speakers=names,
        dialogs=names,
        lengths=truths + 1,
        improvised=truths == 1,
        predicted={rule: np.zeros(shape, dtype=np.int8) for rule in SELECTIONS},
    )
