"""The atlas's section on places: very different activations in the candidate of both directions
and in the gates. What it says of them follows from the scores, each with its interval.
"""

from collections.abc import Sequence

from activations.wording import counted
from reports.atlas.atlas_answer import stable, stable_spread
from reports.atlas.atlas_scores import BOTH_WAYS, CANDIDATE, NEVER, AtlasCorpus, AtlasEntry
from reports.atlas.atlas_sentences import (
    interval_text,
    p_cell,
    spread_text,
    training_text,
    verdicts_text,
)
from reports.atlas.place_effects import UPDATE, PlacePair, place_pairs, update_gate
from reports.statistics.conclusions import signed


def gates_text(corpus: AtlasCorpus, figure: str, machine: str = "") -> list[str]:
    """The section's lines. corpus: read with `several_places`; figure: its path; machine: what
    trained, in words.
    """
    places = list(dict.fromkeys(corpus.places))
    found = {(entry.activation, entry.place): entry for entry in corpus.entries}
    names = list(dict.fromkeys(corpus.activations))
    comparisons = sum(entry.verdict != "baseline" for entry in corpus.entries)
    base = next(entry for entry in corpus.entries if entry.verdict == "baseline")
    runs = sum(entry.runs for entry in corpus.entries)
    rates = sorted({rate for entry in corpus.entries for rate, _ in entry.rates})
    pairs = place_pairs(corpus)
    return [
        "## Gates and directions",
        "",
        f"{len(names)} very different activations in {counted(len(places), 'place')}, on "
        f"{corpus.corpus}: {len(corpus.entries)} variants × {len(corpus.folds)} folds × "
        f"{counted(len(corpus.seeds), 'seed')} = "
        f"{runs:,} runs, {'learning rate' if len(rates) == 1 else 'learning rates'} "
        f"{', '.join(f'{rate:g}' for rate in rates)}. A gate's activation takes the sigmoid's "
        f"place with {corpus.baseline} as "
        f"candidate; the baseline, {corpus.baseline} between sigmoid gates, reaches "
        f"{base.uar:.1f} points of UAR. A BiGRU is compared with {corpus.baseline}'s BiGRU, and "
        "that with the GRU.",
        "",
        training_text(corpus, machine),
        "",
        *_answers(corpus, pairs),
        f"![Differences to the baseline in each place on {corpus.corpus}]({figure})",
        "",
        "Points of UAR with the 95 % interval of the single comparison; bold: shown by "
        f"{corpus.judgement.rule} t-tests over folds, adjusted over all {comparisons}. Of an "
        "activation of which every run diverged there is nothing to compare.",
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
        *_pairs(pairs),
    ]


def places_answer(corpus: AtlasCorpus) -> str:
    """The section's line in the page's `In short`."""
    names = len(set(corpus.activations))
    pairs = place_pairs(corpus)
    return (
        f"- **Gates and directions** ({names} very different activations, {corpus.corpus}). "
        f"{_divergence(pairs)} {_scores(pairs)}"
    )


def places_limits(corpus: AtlasCorpus) -> list[str]:
    """What the study of places leaves open."""
    names = len(set(corpus.activations))
    rates = {rate for entry in corpus.entries for rate, _ in entry.rates}
    lines = [
        f"- The {names} activations of the study of places were chosen to differ as much as "
        f"possible: they are no sample of the catalogue. Each stood in one place at a time."
    ]
    gate = update_gate(corpus)
    if len(rates) == 1 and (gate is None or gate.at_once < _lost(corpus)):
        lines.append(
            "- There, one learning rate was used for all: what diverged after its first step may "
            "train at a smaller one."
        )
    here, trained = corpus.places.count(UPDATE), int(stable(corpus, UPDATE).sum())
    if trained < here:
        lines.append(
            f"- {counted(trained, 'activation')} of {here} trained in every run in the update "
            "gate: how much activations that train there differ in score is hardly known."
        )
    return lines


def _lost(corpus: AtlasCorpus) -> int:
    """How many activations had a run that diverged, in whatever place."""
    return sum(entry.diverged > 0 for entry in corpus.entries)


def _cell(entry: AtlasEntry | None) -> str:
    if entry is None:
        return ""
    if entry.verdict == NEVER:
        return f"never trains: {entry.diverged} of {entry.runs} diverged"
    lost = f"; {entry.diverged} of {entry.runs} diverged" if entry.diverged else ""
    if entry.verdict == "baseline":
        return f"baseline{lost}"
    said = f"{signed(entry.difference)} ({signed(entry.low)} … {signed(entry.high)})"
    shown = entry.verdict in ("better", "worse", "equal")
    return (f"**{said} {entry.verdict}**" if shown else said) + lost


def _answers(corpus: AtlasCorpus, pairs: Sequence[PlacePair]) -> list[str]:
    lines = [f"- **Whether it trains.** {_divergence(pairs)}", *_update(corpus)]
    one_by_one = verdicts_text(corpus, "its baseline", places=True)
    lines.append(f"- **How it scores.** {_scores(pairs)} One by one, {one_by_one}")
    for pair in pairs:
        if {pair.first, pair.second} == {CANDIDATE, BOTH_WAYS} and pair.difference is not None:
            told = pair.difference
            lines.append(
                f"- **Direction.** Over the {counted(pair.common, 'activation')} that trained in "
                f"every run in both, a BiGRU scores {signed(told.mean)} points of UAR above a GRU "
                f"(95 % interval {signed(told.low)} … {signed(told.high)}): "
                + ("shown." if pair.shown else "not told apart.")
            )
    return [*lines, *(_spread(corpus, place) for place in dict.fromkeys(corpus.places)), ""]


def _divergence(pairs: Sequence[PlacePair]) -> str:
    """Between which places the number of activations that diverge differs."""
    told = []
    for pair in pairs:
        excess, (one, two), first, second = pair.excess, pair.diverged, pair.first, pair.second
        if not excess.shown:
            continue
        low, high = excess.low, excess.high
        if excess.difference < 0:
            one, two, first, second, low, high = two, one, second, first, -high, -low
        told.append(
            f"More activations have a run that diverges in the {first} than in the {second}: "
            f"{one} of {pair.of} against {two} of {pair.of} "
            f"({signed(100 * abs(excess.difference))} percentage points, 95 % interval "
            f"{signed(100 * low)} … {signed(100 * high)}, of all pairs of places at once)."
        )
    if not told:
        return "No two places are told apart by how many activations have a run that diverges."
    rest = len(pairs) - len(told)
    return " ".join(told) + (
        f" Of the other {counted(rest, 'pair')} none is told apart." if rest else ""
    )


def _update(corpus: AtlasCorpus) -> list[str]:
    """What diverges in the update gate, where anything does."""
    gate = update_gate(corpus)
    if gate is None or gate.excess is None or not gate.leaving[0] + gate.staying[0]:
        return []
    excess = gate.excess
    said = (
        "- **The update gate**'s value multiplies the state in every step, so that beyond ±1 the "
        "state can grow without bound. Of the activations whose values "
        f"leave −1 … 1, {gate.leaving[0]} of {gate.leaving[1]} had a run that diverged there, of "
        f"those that stay within {gate.staying[0]} of {gate.staying[1]} "
        f"({signed(100 * excess.difference)} percentage points, 95 % interval "
        f"{signed(100 * excess.low)} … {signed(100 * excess.high)}"
        + (")." if excess.shown else "; not told apart).")
    )
    if gate.at_once:
        said += (
            f" {gate.at_once} of the {gate.always} of which every run diverged did so in the first "
            "step of each, before anything was learnt: at any learning rate."
        )
    return [said]


def _scores(pairs: Sequence[PlacePair]) -> str:
    """Between which places scores differ."""
    compared = [pair for pair in pairs if pair.difference is not None]
    if not compared:
        return "No activation trained in every run in two places."
    told = [
        "Activations that trained in every run in both score "
        f"{signed(pair.difference.mean)} points of UAR in the {pair.first} against the "
        f"{pair.second} (95 % interval {signed(pair.difference.low)} … "
        f"{signed(pair.difference.high)})."
        for pair in compared
        if pair.difference is not None and pair.shown
    ]
    if told:
        return " ".join(told)
    widest = max(
        max(abs(p.difference.low), abs(p.difference.high)) for p in compared if p.difference
    )
    return (
        "Of the activations that trained in every run in two places, the mean scores of both are "
        f"told apart for none of {counted(len(compared), 'pair')} of places; every 95 % interval "
        f"lies within ±{widest:.1f} points of UAR."
    )


def _spread(corpus: AtlasCorpus, place: str) -> str:
    found = stable_spread(corpus, place)
    here, trained = corpus.places.count(place), int(stable(corpus, place).sum())
    counts = f"- **{place[0].upper() + place[1:]}**: {trained} of {here} trained in every run"
    if found is None:
        return f"{counts}: too few to say how far apart they are."
    return f"{counts}; the {spread_text(found)}."


def _pairs(pairs: Sequence[PlacePair]) -> list[str]:
    """The table of places against places."""
    if not pairs:
        return []
    return [
        "Place against place: activations with a run that diverged, of those that stand in both "
        "(difference in percentage points; Newcombe's intervals for pairs, 95 % of all pairs of "
        "places at once), and the mean difference in points of UAR over the activations that "
        "trained in every run in both (95 % interval of each, corrected t over folds; p by Holm "
        "over the pairs).",
        "",
        "| places | diverged | difference | trained in both | points of UAR | p |",
        "|---|--:|--:|--:|--:|--:|",
        *(_pair(pair) for pair in pairs),
        "",
    ]


def _pair(pair: PlacePair) -> str:
    excess, told = pair.excess, pair.difference
    cells = (
        f"{pair.first} against {pair.second}",
        f"{pair.diverged[0]} and {pair.diverged[1]} of {pair.of}",
        interval_text(100 * excess.difference, 100 * excess.low, 100 * excess.high),
        str(pair.common),
        "–" if told is None else interval_text(told.mean, told.low, told.high),
        p_cell(pair.p_holm),
    )
    return f"| {' | '.join(cells)} |"
