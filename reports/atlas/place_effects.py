"""Whether it matters where an activation stands: places of the cell against each other.

- The same activations stand in every place, so places are compared activation by activation and
  fold by fold: does it train there, and where it trains in both, how does it score?
- Whether an activation trains in a place is one observation, not thirty: its runs share formula and
  corpus, and mostly all diverge or none.
- Every place is compared with every other: intervals of shares hold for all pairs at once
  (Bonferroni), p of scores is Holm's over the pairs.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from activations import registry
from reports.atlas.atlas_answer import stable
from reports.atlas.atlas_scores import AtlasCorpus
from reports.atlas.property_effects import curve_of
from reports.statistics.arrays import BoolArray
from reports.statistics.corrected_t import TTest, corrected_t_test
from reports.statistics.multiplicity import holm
from reports.statistics.proportions import ShareDifference, shares_of_pairs, shares_of_two_groups

LEVEL = 0.05
UPDATE = "update gate"


@dataclass(frozen=True, kw_only=True)
class PlacePair:
    """Two places. diverged: of the activations that stand in both, `of`, those with a run that
    diverged, in the first and in the second; excess: first less second share. common: those that
    trained in every run in both; difference: their mean score in the first less in the second, in
    points, over folds, None where there are none; p_holm: NaN there.
    """

    first: str
    second: str
    diverged: tuple[int, int]
    of: int
    excess: ShareDifference
    common: int
    difference: TTest | None
    p_holm: float

    @property
    def shown(self) -> bool:
        """Whether scores differ."""
        return bool(self.p_holm < LEVEL)


@dataclass(frozen=True, kw_only=True)
class UpdateGate:
    """What diverged in the update gate, whose value is what the state is multiplied by.

    leaving, staying: (with a run that diverged, all) of those whose values leave −1 … 1 and of the
    others; excess: the difference of both shares, None where one group is empty. always: those of
    which every run diverged; at_once: of these, those of which every run did in its first step,
    before anything was learnt.
    """

    leaving: tuple[int, int]
    staying: tuple[int, int]
    excess: ShareDifference | None
    always: int
    at_once: int


def place_pairs(corpus: AtlasCorpus) -> tuple[PlacePair, ...]:
    """Every place against every earlier one, in their order. corpus: of several places."""
    places = list(dict.fromkeys(corpus.places))
    where = {
        stand: k for k, stand in enumerate(zip(corpus.activations, corpus.places, strict=True))
    }
    names = list(dict.fromkeys(corpus.activations))
    trains = {place: stable(corpus, place) for place in places}
    couples = [(later, earlier) for earlier, later in combinations(places, 2)]
    couples = [c for c in couples if any((n, c[0]) in where and (n, c[1]) in where for n in names)]
    found, tests = [], []
    for first, second in couples:
        rows = np.array([(where[n, first], where[n, second]) for n in names
                         if (n, first) in where and (n, second) in where]).T  # fmt: skip
        sound = np.array([trains[first][rows[0]], trains[second][rows[1]]])
        one, two = rows[:, sound.all(axis=0)]
        apart = (corpus.means[one] - corpus.means[two]).mean(axis=0) if one.size else None
        tests.append(None if apart is None else corrected_t_test(apart, corpus.ratio))
        found.append((first, second, ~sound, one.size))
    adjusted = holm([np.nan if test is None else test.p for test in tests])
    return tuple(
        PlacePair(
            first=first,
            second=second,
            diverged=(int(broken[0].sum()), int(broken[1].sum())),
            of=broken.shape[1],
            excess=shares_of_pairs(*broken, confidence=1 - LEVEL / len(couples)),
            common=common,
            difference=test,
            p_holm=float(p),
        )
        for (first, second, broken, common), test, p in zip(found, tests, adjusted, strict=True)
    )


def update_gate(corpus: AtlasCorpus) -> UpdateGate | None:
    """What diverged in the update gate; None where no activation stands there."""
    here = np.array([place == UPDATE for place in corpus.places])
    if not here.any():
        return None
    texts = {(e.activation, e.place): e.formula for e in corpus.entries}
    names = [name for name, inside in zip(corpus.activations, here, strict=True) if inside]
    reach = [curve_of(registry.recall(name, texts[name, UPDATE])).reach for name in names]
    leaves = np.array(reach) > 1.0
    diverged = corpus.diverged[here]
    broken: BoolArray = np.nanmax(diverged, axis=(1, 2)) == 1
    every: BoolArray = np.nanmin(diverged, axis=(1, 2)) == 1
    leaving, staying = (
        (int((broken & group).sum()), int(group.sum())) for group in (leaves, ~leaves)
    )
    both = leaving[1] and staying[1]
    last = np.nanmax(corpus.diverged_at[here][every], axis=(1, 2)) if every.any() else np.array([])
    return UpdateGate(
        leaving=leaving,
        staying=staying,
        excess=shares_of_two_groups(leaving, staying) if both else None,
        always=int(every.sum()),
        at_once=int((last == 1).sum()),
    )
