"""What a variant's networks put out, utterances of all folds pooled: scores, F1, calibration.

- Pooled: all test utterances of one seed in one confusion matrix, as the published figures of this
  field are made; the report's own scores are means over folds. Both are right, and differ.
- A temperature is fitted on each run's development set, never on what it is judged by. Result files
  of earlier versions hold no development logits: then there is none.
- Diverged runs give class frequencies, which are well calibrated and worth nothing: calibration
  leaves them out, scores do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.training import metrics
from bench.training.results import MemberResult
from reports.statistics.arrays import FloatArray
from reports.statistics.calibration import Calibration, calibration, f1_from, temperature
from reports.statistics.means import POINTS, mean_of_known


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """One variant, means over seeds; points, NaN where there is nothing.

    seeds: with a result in every fold, of which everything pooled is made. uar, war: pooled over
    folds; f1: [class]. calibrated_runs: runs that did not diverge, of which raw and tempered are
    made, each seed's utterances pooled; tempered, temperatures (smallest, median, largest): None
    where a run has no development logits.
    """

    variant: str
    seeds: int
    uar: float
    war: float
    f1: FloatArray
    calibrated_runs: int
    raw: Calibration | None
    tempered: Calibration | None
    temperatures: tuple[float, float, float] | None


def outputs(
    variant: str, results: Sequence[MemberResult], *, folds: Sequence[str], selection: str
) -> Outputs:
    """Pool the results of one variant (and one setting of it) at a selection's checkpoint."""
    by_seed: dict[int, list[MemberResult]] = {}
    for result in results:
        by_seed.setdefault(result.seed, []).append(result)
    whole = [runs for runs in by_seed.values() if len(runs) == len(folds)]
    counts = [np.sum([run.confusion(selection) for run in runs], axis=0) for runs in whole]
    classes = len(results[0].classes)
    table = np.array(counts) if counts else np.zeros((1, classes, classes), dtype=np.int64)
    sound = [run for run in results if run.outcome == "ok"]
    tempered = bool(sound) and all(len(run.dev_logits.get(selection, ())) for run in sound)
    warmth = {
        id(run): temperature(run.dev_logits[selection], run.dev_truths) if tempered else 1.0
        for run in sound
    }
    ts = sorted(warmth.values())
    return Outputs(
        variant=variant,
        seeds=len(whole),
        uar=POINTS * float(mean_of_known(metrics.uar_from(table))),
        war=POINTS * float(mean_of_known(metrics.war_from(table))),
        f1=POINTS * mean_of_known(f1_from(table), axis=0),
        calibrated_runs=len(sound),
        raw=_pooled(sound, selection, {}) if sound else None,
        tempered=_pooled(sound, selection, warmth) if tempered else None,
        temperatures=(ts[0], float(np.median(ts)), ts[-1]) if tempered else None,
    )


def _pooled(
    runs: Sequence[MemberResult], selection: str, temperatures: dict[int, float]
) -> Calibration:
    """Calibration of each seed's utterances together, its mean over seeds."""
    found = []
    for seed in sorted({run.seed for run in runs}):
        own = [run for run in runs if run.seed == seed]
        logits = [run.logits[selection] / temperatures.get(id(run), 1.0) for run in own]
        found.append(calibration(np.concatenate(logits), np.concatenate([r.truths for r in own])))
    return Calibration(
        ece=float(np.mean([c.ece for c in found])),
        brier=float(np.mean([c.brier for c in found])),
        nll=float(np.mean([c.nll for c in found])),
    )
