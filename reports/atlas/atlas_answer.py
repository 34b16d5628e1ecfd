"""What the atlas answers, in a few sentences that its numbers alone decide."""

from collections.abc import Sequence

import numpy as np

from reports.atlas.atlas_scores import CANDIDATE, AtlasCorpus
from reports.atlas.atlas_sentences import spread_text, verdicts_text
from reports.atlas.property_effects import property_divergence
from reports.statistics.arrays import BoolArray
from reports.statistics.conclusions import signed
from reports.statistics.effect_spread import EffectSpread, effect_spread


def stable_spread(corpus: AtlasCorpus, place: str = CANDIDATE) -> EffectSpread | None:
    """The spread of the activations in a place of which no run diverged, over a corpus's folds, in
    points.
    """
    return effect_spread(corpus.means[stable(corpus, place)], corpus.ratio)


def stable(corpus: AtlasCorpus, place: str = CANDIDATE) -> BoolArray:
    """Which activations [activation] stand in a place and diverged in no run."""
    here = np.array([each == place for each in corpus.places])
    found: BoolArray = here & (np.nanmax(corpus.diverged, axis=(1, 2)) == 0)
    return found


def answer(corpora: Sequence[AtlasCorpus]) -> list[str]:
    """The lines of the section `In short`."""
    lines = ["## In short", ""]
    for corpus in corpora:
        shown = verdicts_text(corpus, f"`{corpus.baseline}`")
        lines += [f"- **{corpus.corpus}.** {shown[0].upper()}{shown[1:]} {_spread(corpus)}"]
    return [*lines, *_divergence(corpora)]


def _spread(corpus: AtlasCorpus) -> str:
    found = stable_spread(corpus)
    if found is None:
        return "Too few activations trained in every run to say how far apart they are."
    return (
        f"{found.variants} of {len(corpus.entries)} activations trained in every run. The "
        f"{spread_text(found)}: at most, 95 % of such activations lie within "
        f"±{1.96 * found.high:.1f} points of their mean."
    )


def _divergence(corpora: Sequence[AtlasCorpus]) -> list[str]:
    """The properties whose shares differ, each with its interval."""
    told = [
        f"- **Divergence** goes with *{each.name}*: {each.having.count} of {each.having.runs} "
        f"activations with it had a run that diverged, {each.lacking.count} of "
        f"{each.lacking.runs} without it ({signed(100 * each.difference)} percentage points, "
        f"95 % interval {signed(100 * each.low)} … {signed(100 * each.high)}, of all properties at "
        "once)."
        for each in property_divergence(corpora)
        if each.low * each.high > 0
    ]
    return told or ["- No property is shown to go with divergence."]
