"""What several sections of the atlas say in the same words."""

import numpy as np

from reports.atlas.atlas_scores import AtlasCorpus
from reports.statistics.conclusions import p_text, signed
from reports.statistics.effect_spread import EffectSpread


def spread_text(found: EffectSpread) -> str:
    """How far apart true scores are, with the interval."""
    return (
        f"standard deviation of their true scores is {found.sd:.1f} points of UAR "
        f"(95 % interval {found.low:.1f} … {found.high:.1f})"
    )


def training_text(corpus: AtlasCorpus, machine: str) -> str:
    """How long training took, where and by which code. machine: in words; the results say what kind
    of device alone.
    """
    seconds = float(corpus.provenance["seconds"])
    total = int(corpus.provenance["results"])
    searched = ", those of the search included," if total > np.isfinite(corpus.scores).sum() else ""
    hours, minutes = seconds / 3600, seconds / 60
    took = f"{hours:.1f} hours" if hours >= 1.5 else f"{minutes:.0f} minutes"
    return (
        f"Training of all {total:,} runs{searched} took {took} of stacks' wall time on "
        f"{machine or ', '.join(corpus.provenance['device'])}: "
        f"{60 * total / seconds:.0f} runs a minute for each stack that trained at a time; gateswap "
        f"{', '.join(corpus.provenance['code_version'])}."
    )


def verdicts_text(corpus: AtlasCorpus, than: str, *, places: bool = False) -> str:
    """The activations that are shown better and worse than what `than` says, with their places."""
    parts = []
    for verdict in ("better", "worse"):
        names = [
            f"`{entry.activation}`" + (f" ({entry.place})" if places else "")
            for entry in corpus.entries
            if entry.verdict == verdict
        ]
        parts.append(f"shown {verdict} than {than}: {', '.join(names) or 'none'}")
    return f"{'; '.join(parts)}."


def interval_text(estimate: float, low: float, high: float) -> str:
    """An estimate with its interval in brackets; a dash for what is not known."""
    if not np.isfinite(estimate):
        return "–"
    interval = f" ({signed(low)} … {signed(high)})" if np.isfinite(low) else " (–)"
    return f"{signed(estimate)}{interval}"


def p_cell(p: float) -> str:
    """A p-value as a table's cell."""
    return p_text(p).removeprefix("p = ").removeprefix("p ") if np.isfinite(p) else "–"
