"""How sensitive a variant is to its settings: what tuning has tried, judged on the dev set.

- Tuning searches on dev, so its picture shows dev scores; test scores of trials would invite
  choosing on the test set.
- A study's results hold the plan's members and every trial of its tuning alike; a trial is one
  variant with one setting, averaged over the folds and seeds it was run on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.training.results import MemberResult
from reports.statistics.means import POINTS


@dataclass(frozen=True)
class SearchedSetting:
    """One hyper-parameter that differs between trials.

    labels, values, scores: [trial], the variant, the setting's value, mean dev UAR in points.
    """

    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    scores: tuple[float, ...]


def settings_tried(results: Sequence[MemberResult]) -> tuple[SearchedSetting, ...]:
    """The numeric hyper-parameters that differ within a variant, each with all trials."""
    trials: dict[tuple[str, tuple[tuple[str, object], ...]], list[float]] = {}
    for result in results:
        key = (result.variant.label, tuple(result.hyper.as_dict().items()))
        trials.setdefault(key, []).append(POINTS * result.dev_uar())
    found = []
    first = dict(next(iter(trials))[1]) if trials else {}
    for name in first:
        rows = [(label, dict(hyper)[name], np.mean(s)) for (label, hyper), s in trials.items()]
        rows = [row for row in rows if isinstance(row[1], int | float)]
        differing = {label for label, *_ in rows if len({v for w, v, _ in rows if w == label}) > 1}
        rows = [row for row in rows if row[0] in differing]
        if rows:
            labels, values, scores = zip(*rows, strict=True)
            found.append(
                SearchedSetting(name, labels, tuple(map(float, values)), tuple(map(float, scores)))
            )
    return tuple(found)
