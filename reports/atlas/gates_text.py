"""The atlas's section on places: very different activations in the candidate of both directions
and in the gates.
"""

from reports.atlas.atlas_answer import spread_text, stable, stable_spread
from reports.atlas.atlas_scores import AtlasCorpus, AtlasEntry
from reports.statistics.conclusions import signed


def gates_text(corpus: AtlasCorpus) -> list[str]:
    """The section's lines. corpus: read with `several_places`."""
    places = list(dict.fromkeys(corpus.places))
    found = {(entry.activation, entry.place): entry for entry in corpus.entries}
    names = list(dict.fromkeys(corpus.activations))
    comparisons = sum(entry.verdict != "baseline" for entry in corpus.entries)
    base = next(entry for entry in corpus.entries if entry.verdict == "baseline")
    runs = sum(entry.runs for entry in corpus.entries)
    return [
        "## Gates and directions",
        "",
        f"{len(names)} very different activations in each place, on {corpus.corpus}: "
        f"{len(corpus.entries)} variants × {len(corpus.folds)} folds × {len(corpus.seeds)} seeds = "
        f"{runs:,} runs. A gate's activation takes the sigmoid's place with {corpus.baseline} as "
        f"candidate; the baseline, {corpus.baseline} between sigmoid gates, reaches "
        f"{base.uar:.1f} points of UAR. A BiGRU is compared with {corpus.baseline}'s BiGRU, and "
        "that with the GRU. Points of UAR with the 95 % interval of the single comparison; bold: "
        f"shown by {corpus.judgement.rule} t-tests over folds, Holm over all {comparisons}.",
        "",
        f"| activation | {' | '.join(places)} |",
        f"|---|{'---|' * len(places)}",
        *(
            f"| `{name}` | "
            + " | ".join(_cell(found.get((name, place))) for place in places)
            + " |"
            for name in names
        ),
        "",
        *(_spread(corpus, place) for place in places),
        "",
    ]


def _cell(entry: AtlasEntry | None) -> str:
    if entry is None:
        return ""
    lost = f"; {entry.diverged} of {entry.runs} diverged" if entry.diverged else ""
    if entry.verdict == "baseline":
        return f"baseline{lost}"
    said = f"{signed(entry.difference)} ({signed(entry.low)} … {signed(entry.high)})"
    shown = entry.verdict in ("better", "worse", "equal")
    return (f"**{said} {entry.verdict}**" if shown else said) + lost


def _spread(corpus: AtlasCorpus, place: str) -> str:
    found = stable_spread(corpus, place)
    here, trained = corpus.places.count(place), int(stable(corpus, place).sum())
    counts = f"- **{place}**: {trained} of {here} trained in every run"
    if found is None:
        return f"{counts}: too few to say how far apart they are."
    return f"{counts}; the {spread_text(found)}."
