"""One corpus of the atlas: scores from an export, and every activation against the baseline.

- The unit is the activation: one difference each, seeds averaged, folds tested as the report tests
  them, moderated over the family of all activations.
- Where activations stand in several places (gates, directions) the unit is the variant, each
  against the baseline of its direction.
- A diverged run counts with its chance-level score, and is counted beside; a verdict that would be
  another one without the runs that diverged is none.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from activations import registry
from activations.errors import InputError
from reports.statistics.arrays import FloatArray
from reports.statistics.family import Judgement
from reports.statistics.means import POINTS, seed_means
from reports.statistics.noise_floor import NoiseFloor, noise_floor
from reports.statistics.verdicts import family_verdicts
from studies.exchange.imports import read_provenance

VERDICTS = {1.0: "better", -1.0: "worse", 0.0: "equal"}
DEPENDS = "depends on diverged runs"
NEVER = "never trains"  # every run diverged: there is nothing to judge
GATE, GATES = "sigmoid", ("update", "reset")
CANDIDATE, BOTH_WAYS = "candidate", "candidate, BiGRU"


@dataclass(frozen=True, kw_only=True)
class AtlasEntry:
    """An activation's line; points of UAR. place: where it stands. difference: to the baseline,
    with its standard error, the degrees of freedom of that, a 95 % interval and p (over all).
    rates: the learning rates chosen, with the number of folds that have each.
    """

    activation: str
    place: str
    family: str
    formula: str
    uar: float
    difference: float
    standard_error: float
    degrees: float
    low: float
    high: float
    p_adjusted: float
    verdict: str
    rates: tuple[tuple[float, int], ...]
    diverged: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class AtlasCorpus:
    """A corpus: its entries, best first. scores [activation, fold, seed] in points, in the order of
    `activations` and `places`; diverged [activation, fold, seed]: whether a run did, and
    diverged_at in which step, from 1, NaN where it did not; ratio [fold]: n_test / n_train.
    """

    study: str
    corpus: str
    baseline: str
    activations: tuple[str, ...]
    places: tuple[str, ...]
    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: FloatArray
    diverged: FloatArray
    diverged_at: FloatArray
    ratio: FloatArray
    entries: tuple[AtlasEntry, ...]
    judgement: Judgement
    noise: NoiseFloor | None
    protocol: str
    provenance: dict[str, Any]

    @property
    def means(self) -> FloatArray:
        """Mean score [activation, fold], over seeds."""
        found: FloatArray = seed_means(self.scores)
        return found

    @property
    def means_without_diverged(self) -> FloatArray:
        """Mean score [activation, fold] of the runs that did not diverge; NaN where all did."""
        found: FloatArray = seed_means(np.where(self.diverged == 1, np.nan, self.scores))
        return found


def read_corpus_scores(
    folder: Path, *, baseline: str = "tanh", several_places: bool = False
) -> AtlasCorpus:
    """Read an export (its scores suffice) and compare every activation with the baseline.

    several_places: an activation may stand in gates and both directions, too. Raises InputError for
    no export, several variants of one activation in one place, fewer than two folds, and where no
    verdict is due: runs are missing, or checkpoints were chosen on the test set.
    """
    provenance = read_provenance(folder)
    table = pd.read_parquet(folder / "scores.parquet")
    rule = provenance["protocol"]["selection"]
    if rule == "oracle":
        raise InputError(
            f"{folder}: its checkpoints were chosen on the test set (oracle), of which there are "
            "no verdicts and so no atlas; run the study with protocol.selection: dev"
        )
    ours = table[(table.role == "study") & (table.selection == rule)]
    runs = pd.read_parquet(folder / "runs.parquet", columns=["run", "diverged_at"])
    ours = ours.merge(runs, on="run", validate="one_to_one")
    known = json.loads((folder / "variants.json").read_text(encoding="utf-8"))
    told = {row["label"]: row for row in known if row["label"] in set(ours.variant)}
    labels = list(told)
    stands = []
    for row in told.values():
        about, place = _place(row)
        stands.append((row[about], place))
    if len(set(stands)) < len(stands) or not (several_places or len(dict(stands)) == len(stands)):
        raise InputError(f"{folder}: an activation has several variants; an atlas has one of each")
    if (baseline, CANDIDATE) not in stands:
        raise InputError(f"{folder}: the baseline {baseline} is not among its activations")
    folds, seeds = sorted(set(ours.fold)), sorted(set(ours.seed))
    if len(folds) < 2:
        raise InputError(f"{folder}: an atlas needs two folds")
    shape = (len(labels), len(folds), len(seeds))
    scores, diverged, diverged_at = (np.full(shape, np.nan) for _ in range(3))
    ratio = np.full(len(folds), np.nan)
    for row in ours.itertuples():
        at = (labels.index(row.variant), folds.index(row.fold), seeds.index(row.seed))
        scores[at], diverged[at] = POINTS * float(row.uar), float(row.diverged)
        diverged_at[at] = float(row.diverged_at)
        ratio[at[1]] = float(row.test_size) / float(row.train_size)
    rates = {
        label: tuple(Counter(group.drop_duplicates("fold").learning_rate.tolist()).most_common())
        for label, group in ours.groupby("variant")
    }
    gaps = np.isnan(scores).any(axis=(1, 2)).tolist()
    if any(gaps) or len(ours) < provenance.get("planned", 0):
        left = ", ".join(name for (name, _), gap in zip(stands, gaps, strict=True) if gap)
        raise InputError(
            f"{folder} is unfinished: {left or 'whole variants, folds or seeds'}; run and export "
            "the study again"
        )
    bases = [_base(stand, stands, baseline) for stand in stands]
    judgement, entries = _entries(told, stands, bases, scores, diverged, ratio, rates)
    return AtlasCorpus(
        study=provenance["study"],
        corpus=provenance["corpus"]["name"],
        baseline=baseline,
        activations=tuple(name for name, _ in stands),
        places=tuple(place for _, place in stands),
        folds=tuple(folds),
        seeds=tuple(int(seed) for seed in seeds),
        scores=scores,
        diverged=diverged,
        diverged_at=diverged_at,
        ratio=ratio,
        entries=entries,
        judgement=judgement,
        noise=noise_floor(np.where(diverged == 1, np.nan, scores)),
        protocol=rule,
        provenance=provenance,
    )


def _place(row: dict[str, Any]) -> tuple[str, str]:
    """What of a variant is the activation it is about (a column), and where that stands."""
    for gate in GATES:
        if row.get(gate, GATE) != GATE:
            return gate, f"{gate} gate"
    both = row.get("direction") == "bigru"
    return "activation", BOTH_WAYS if both else CANDIDATE


def _base(stand: tuple[str, str], stands: Sequence[tuple[str, str]], baseline: str) -> int | None:
    """The variant that one is compared with: the baseline of its direction, which is compared with
    the baseline of the other.
    """
    here = (baseline, stand[1] if stand[1] == BOTH_WAYS else CANDIDATE)
    if stand == (baseline, CANDIDATE):
        return None
    return stands.index(here if here in stands and stand != here else (baseline, CANDIDATE))


def _entries(
    told: dict[str, Any],
    stands: Sequence[tuple[str, str]],
    bases: Sequence[int | None],
    scores: FloatArray,
    diverged: FloatArray,
    ratio: FloatArray,
    rates: dict[str, tuple[tuple[float, int], ...]],
) -> tuple[Judgement, tuple[AtlasEntry, ...]]:
    means = seed_means(scores)
    others = [k for k, base in enumerate(bases) if base is not None]
    against = [base for base in bases if base is not None]
    verdicts = family_verdicts(
        scores[others],
        scores[against],
        (diverged[others] == 1) | (diverged[against] == 1),
        ratio,
        np.array(against),
    )
    judgement = verdicts.judged
    found = []
    for k, (label, row) in enumerate(told.items()):
        about, _ = _place(row)
        formula = row["formulas"][about]
        place = others.index(k) if k in others else None
        difference, error, degrees, low, high, p = 0.0, np.nan, np.nan, np.nan, np.nan, np.nan
        verdict = "baseline"
        if place is not None:
            difference = float(judgement.mean[place])
            error, degrees = float(judgement.standard_error[place]), float(judgement.degrees[place])
            reach = float(stats.t.ppf(0.975, degrees)) * error
            low, high = difference - reach, difference + reach
            p = float(judgement.p_adjusted[place])
            verdict = VERDICTS.get(float(verdicts.verdict[place]), "undecided")
            verdict = DEPENDS if verdicts.depends[place] else verdict
            verdict = NEVER if np.nanmin(diverged[k]) == 1 else verdict
        found.append(
            AtlasEntry(
                activation=stands[k][0],
                place=stands[k][1],
                family=row["family"]  # the candidate's
                if about == "activation"
                else registry.recall(stands[k][0], formula).family,
                formula=formula,
                uar=float(means[k].mean()),
                difference=difference,
                standard_error=error,
                degrees=degrees,
                low=low,
                high=high,
                p_adjusted=p,
                verdict=verdict,
                rates=rates[label],
                diverged=int(np.nansum(diverged[k])),
                runs=int(np.isfinite(diverged[k]).sum()),
            )
        )
    return judgement, tuple(sorted(found, key=lambda entry: -entry.uar))
