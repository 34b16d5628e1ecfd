"""docs/atlas.md, written from exports alone: tables, figures, and what may be concluded.

    python -m reports.atlas.atlas_page DIR [DIR ...] [--gates DIR] [--page docs/atlas.md]
                                       [--machine TEXT] [--gates-machine TEXT]

- Every sentence with a number has its interval, and is written only where the numbers say so.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from activations.wording import counted
from reports.atlas.atlas_answer import answer
from reports.atlas.atlas_figures import MOSTLY, write_atlas_figures
from reports.atlas.atlas_scores import DEPENDS, NEVER, AtlasCorpus, AtlasEntry, read_corpus_scores
from reports.atlas.atlas_sentences import interval_text, p_cell, training_text
from reports.atlas.gates_text import gates_text, places_answer, places_limits
from reports.atlas.places_figure import write_places_figure
from reports.atlas.property_effects import (
    PropertyEffect,
    cousins,
    curves_of,
    property_divergence,
    property_effects,
)
from reports.statistics.conclusions import signed

RESAMPLES = 2000


def write_atlas(
    folders: Sequence[Path],
    page: Path,
    *,
    gates: Path | None = None,
    machine: str = "",
    gates_machine: str = "",
) -> Path:
    """Write the page and its figures (beside it, in figures/). gates: the export of a study of
    activations in several places. Raises as `read_corpus_scores`.
    """
    corpora = [read_corpus_scores(folder) for folder in folders]
    placed = None if gates is None else read_corpus_scores(gates, several_places=True)
    figures = write_atlas_figures(corpora, page.parent / "figures")
    if placed is not None:
        figures[placed.study] = write_places_figure(placed, page.parent / "figures")
    links = {name: os.path.relpath(path, page.parent) for name, path in figures.items()}
    text = atlas_text(
        corpora, links, placed=placed, machine=machine, gates_machine=gates_machine or machine
    )
    page.write_text(text, encoding="utf-8")
    return page


def atlas_text(
    corpora: Sequence[AtlasCorpus],
    figures: dict[str, str],
    *,
    placed: AtlasCorpus | None = None,
    machine: str = "",
    gates_machine: str = "",
) -> str:
    """The page's Markdown. figures: paths by study, and `across`. placed: activations in several
    places. machine, gates_machine: what trained the corpora and those, in words, where that is
    known; the results say what kind of device alone.
    """
    names = " and ".join(corpus.corpus for corpus in corpora)
    lines = [
        "# The atlas: every activation of the catalogue in a GRU, on real speech",
        "",
        "<!-- written by python -m reports.atlas.atlas_page; make atlas DATA=… reruns it -->",
        "",
        f"Each activation stands in the candidate's place of a GRU that recognises emotion on "
        f"{names}; everything else is the same. "
        "The learning rate of every activation was chosen on every fold by that fold's dev set, "
        "with a seed that is not among "
        "those reported, so that none is judged at another's best setting.",
        "",
        *answer(corpora),
        *([] if placed is None else [places_answer(placed)]),
        "",
    ]
    for corpus in corpora:
        lines += _corpus(corpus, figures[corpus.study], machine)
    if len(corpora) > 1:
        lines += _across(corpora, figures["across"])
    lines += _properties(corpora)
    if placed is not None:
        lines += gates_text(placed, figures[placed.study], gates_machine)
    lines += _limits(corpora)
    lines += [] if placed is None else places_limits(placed)
    return "\n".join(lines) + "\n"


def _corpus(corpus: AtlasCorpus, figure: str, machine: str) -> list[str]:
    judgement, noise = corpus.judgement, corpus.noise
    base = next(e for e in corpus.entries if e.verdict == "baseline")
    verdicts = ("better", "worse", "equal", DEPENDS, NEVER)
    counts = {v: sum(e.verdict == v for e in corpus.entries) for v in verdicts}
    open_ones = len(corpus.entries) - 1 - sum(counts.values())
    seeds, folds = len(corpus.seeds), len(corpus.folds)
    runs = sum(entry.runs for entry in corpus.entries)
    diverged = sum(entry.diverged for entry in corpus.entries)
    test = {
        "moderated": "moderated t-tests over folds",
        "corrected": "corrected resampled t-tests over folds",
    }.get(judgement.rule, judgement.rule)
    said = [
        f"## {corpus.corpus}",
        "",
        f"{len(corpus.entries)} activations × {folds} folds × {counted(seeds, 'seed')} = "
        f"{runs:,} runs, "
        f"{diverged} of which diverged (they count "
        f"with the score of a constant answer). {corpus.baseline} reaches {base.uar:.1f} points of "
        f"UAR. By {test}, adjusted over "
        f"{len(corpus.entries) - 1} comparisons at 5 %: {counts['better']} shown better than "
        f"{corpus.baseline}, {counts['worse']} worse, "
        f"{counts['equal']} equal within ±1 point, {open_ones} undecided"
        + (f"; {counts[NEVER]} never train" if counts[NEVER] else "")
        + (f"; {counts[DEPENDS]} hang on diverged runs" if counts[DEPENDS] else "")
        + ".",
    ]
    if noise is not None:
        said[-1] += (
            f" Noise floor: with other seeds, the mean of {noise.seeds:.0f} seeds of one and the "
            f"same activation moves within "
            f"±{noise.averaged:.1f} points (95 %)."
        )
    said += [
        "",
        training_text(corpus, machine),
        "",
        f"![Difference of every activation to {corpus.baseline} on {corpus.corpus}]({figure})",
        "",
        "Bars: 95 % intervals of single comparisons; the grey band is the noise floor. Where more "
        f"than {100 * MOSTLY:.0f} % of the runs diverged there is no bar: it would say how many "
        "did, not how the others score.",
        "",
        "| activation | family | UAR | Δ | 95 % interval | p (all) | | learning rates | diverged |",
        "|---|---|--:|--:|--:|--:|---|---|--:|",
        *(_row(entry) for entry in corpus.entries),
        "",
    ]
    return said


def _row(entry: AtlasEntry) -> str:
    rates = ", ".join(f"{rate:g} ×{n}" for rate, n in entry.rates)
    compared = entry.verdict != "baseline"
    cells = (
        f"`{entry.activation}`",
        entry.family,
        f"{entry.uar:.1f}",
        signed(entry.difference) if compared else "",
        f"{signed(entry.low)} … {signed(entry.high)}" if compared else "",
        p_cell(entry.p_adjusted) if compared else "",
        entry.verdict,
        rates,
        f"{entry.diverged} of {entry.runs}" if entry.diverged else "",
    )
    return f"| {' | '.join(cells)} |"


def rank_correlation(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[str] = (),
    *,
    resamples: int = RESAMPLES,
) -> tuple[float, float, float]:
    """Spearman's correlation with a 95 % percentile interval over resampled clusters.

    clusters: a name for each pair of values; by default each is one of its own.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    of = np.unique(clusters or [str(k) for k in range(one.size)], return_inverse=True)[1]
    members = [np.flatnonzero(of == k) for k in range(int(of.max()) + 1)]
    drawn = []
    for chosen in np.random.default_rng(0).integers(0, len(members), (resamples, len(members))):
        rows = np.concatenate([members[k] for k in chosen])
        ranks = np.array([stats.rankdata(values[rows]) for values in (one, two)])
        ranks -= ranks.mean(axis=1, keepdims=True)
        squares = float((ranks**2).sum(axis=1).prod())
        if squares > 0:  # else they are all equal
            drawn.append(float(ranks.prod(axis=0).sum()) / squares**0.5)
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (np.nan, np.nan)
    return float(stats.spearmanr(one, two).statistic), float(low), float(high)


def _two(number: float) -> str:
    return f"{number:.2f}".replace("-", "−")


def mean_of(one: AtlasEntry, two: AtlasEntry) -> tuple[float, float, float]:
    """The mean of an activation's two differences with its 95 % interval, in points of UAR.

    Degrees of freedom by Satterthwaite (1946): both corpora have scatter of their own.
    """
    squares = np.array([one.standard_error, two.standard_error]) ** 2 / 4
    variance = float(squares.sum())
    degrees = variance**2 / float((squares**2 / np.array([one.degrees, two.degrees])).sum())
    mean = (one.difference + two.difference) / 2
    reach = float(stats.t.ppf(0.975, degrees)) * variance**0.5
    return mean, mean - reach, mean + reach


def _across(corpora: Sequence[AtlasCorpus], figure: str) -> list[str]:
    first, second = corpora[:2]
    one = {entry.activation: entry for entry in first.entries}
    two = {entry.activation: entry for entry in second.entries}
    common = [name for name in one if name in two and one[name].verdict != "baseline"]
    like = dict(zip(first.activations, cousins(curves_of(first)), strict=True))
    rho, low, high = rank_correlation(
        [one[name].difference for name in common],
        [two[name].difference for name in common],
        [like[name] for name in common],
    )
    agreed = [
        (verdict, [n for n in common if one[n].verdict == two[n].verdict == verdict])
        for verdict in ("better", "worse", "equal")
    ]
    rows = sorted(common, key=lambda n: -(one[n].difference + two[n].difference))
    return [
        "## Both",
        "",
        f"![Differences on {first.corpus} against those on {second.corpus}]({figure})",
        "",
        f"Rank correlation of the {len(common)} differences: {_two(rho)} (95 % interval over "
        f"activations, like curves as clusters: {_two(low)} … {_two(high)}). "
        + " ".join(
            f"Shown {verdict} on both: {', '.join(names)}."
            if names
            else f"Shown {verdict} on both: none."
            for verdict, names in agreed
        ),
        "",
        "Mean: of both corpora, with the 95 % interval over the speakers of these two; a third "
        "corpus may differ by more. Not adjusted for the number of activations.",
        "",
        f"| activation | Δ {first.corpus} | | Δ {second.corpus} | | mean |",
        "|---|--:|---|--:|---|--:|",
        *(
            f"| `{n}` | {signed(one[n].difference)} | {one[n].verdict} | "
            f"{signed(two[n].difference)} | {two[n].verdict} "
            f"| {interval_text(*mean_of(one[n], two[n]))} |"
            for n in rows
        ),
        "",
    ]


def _properties(corpora: Sequence[AtlasCorpus]) -> list[str]:
    effects = {corpus.corpus: property_effects(corpus) for corpus in corpora}
    if not all(effects.values()):
        return []
    lines = [
        "## Properties",
        "",
        "Points of UAR that go with a property, over activations: by itself, in one regression "
        "beside the others, and in the same "
        "regression without the runs that diverged. 95 % intervals over activations (jackknife "
        "over clusters of like curves); p is the larger of that and of the same coefficient's over "
        "folds (speakers; corrected t), Holm over the properties. Shown: p < 0.05 with and without "
        "diverged runs. Associations, not causes: properties come together.",
        "",
        "| corpus | property | | alone | beside the others | p | without diverged runs | p | |",
        "|---|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for corpus, found in effects.items():
        lines += [_effect(corpus, effect) for effect in found]
    both = [
        name
        for name in [effect.name for effect in next(iter(effects.values()))]
        if all(any(e.name == name and e.shown for e in found) for found in effects.values())
    ]
    signs = {
        name: {
            np.sign(e.beside.estimate)
            for found in effects.values()
            for e in found
            if e.name == name
        }
        for name in both
    }
    both = [name for name in both if len(signs[name]) == 1]
    where = "on every corpus" if len(corpora) > 1 else "here"
    lines += [
        "",
        f"Shown, with one sign, {where}: {', '.join(both) or 'no property'}.",
        "",
        "Activations with a run that diverged at the learning rate chosen, by property; the "
        "difference of both shares has its interval over activations, like curves as clusters "
        "(95 % of all properties at once):",
        "",
        "| property | with | without | difference |",
        "|---|--:|--:|--:|",
    ]
    for each in property_divergence(corpora):
        sides = [
            f"{d.count} of {d.runs} ({100 * d.share:.0f} %)" for d in (each.having, each.lacking)
        ]
        between = interval_text(100 * each.difference, 100 * each.low, 100 * each.high)
        lines.append(f"| {each.name} | {sides[0]} | {sides[1]} | {between} |")
    return [*lines, ""]


def _effect(corpus: str, effect: PropertyEffect) -> str:
    cells = [
        corpus,
        effect.name,
        effect.unit,
        interval_text(effect.alone, effect.alone_low, effect.alone_high),
    ]
    for found in (effect.beside, effect.trained):
        cells.append(interval_text(found.estimate, found.low, found.high))
        cells.append(p_cell(found.p))
    cells.append("**shown**" if effect.shown else "")
    return f"| {' | '.join(cells)} |"


def _limits(corpora: Sequence[AtlasCorpus]) -> list[str]:
    return [
        "## What cannot be concluded",
        "",
        "- Nothing about spontaneous speech: these corpora are acted, small, and each of few "
        "speakers.",
        "- Nothing about other networks, sizes or budgets: one layer, one size, one number of "
        "steps, learning rates from three.",
        "- An activation at the top of a table is there partly by luck: the noise floor and the "
        "intervals say how much.",
        "- Two corpora say little about a third."
        if len(corpora) > 1
        else "- One corpus says little about another.",
        "- Clipping was on: without it more activations would diverge.",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Write the atlas's page from exports.")
    parser.add_argument("exports", nargs="+", type=Path)
    parser.add_argument("--page", type=Path, default=Path("docs/atlas.md"))
    parser.add_argument("--machine", default="", help="what trained, in words")
    parser.add_argument("--gates-machine", default="", help="what trained them, if another")
    parser.add_argument("--gates", type=Path, help="the export of a study of several places")
    given = parser.parse_args(arguments)
    written = write_atlas(
        given.exports,
        given.page,
        gates=given.gates,
        machine=given.machine,
        gates_machine=given.gates_machine,
    )
    print(written)


if __name__ == "__main__":
    main()
