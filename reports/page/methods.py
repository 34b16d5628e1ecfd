"""The methods paragraph of a paper, written from what was really done, and its BibTeX.

Every figure in it comes from the Analysis; a sentence about something that was not done is left
out, so that nobody has to remember to delete it.
"""

import tomllib
from importlib.resources import files

from reports.analysis.analysis import Analysis


def methods_paragraph(analysis: Analysis) -> str:
    r"""The paragraph, citations as \cite{key}; keys are those of `bibtex`."""
    settings, protocol = analysis.settings, analysis.protocol
    seeds = len(analysis.seeds)
    directions = sorted({s.direction for s in analysis.summaries})
    names = list(dict.fromkeys(s.activation for s in analysis.summaries))
    classes = ", ".join(analysis.classes)
    ratio = analysis.test_train_ratio.mean()
    kinds = {"gru": "GRU", "bigru": "bidirectional GRU"}
    cells = " and ".join(kinds[d] for d in directions)
    spoken = "synthetic speech" if analysis.synthetic else "speech"
    corpus = "IEMOCAP \\cite{busso2008}" if analysis.corpus == "iemocap" else analysis.corpus
    sentences = [
        f"We compared {len(names)} candidate activations ({', '.join(names)}) inside the {cells} "
        "cells \\cite{cho2014} of the Interaction-Aware Attention Network \\cite{yeh2019}, "
        "following \\cite{rajamani2021}.",
        f"Models were trained on {corpus} ({analysis.utterances:,} utterances of "
        f"{analysis.speakers} speakers, {spoken}; classes {classes}) with "
        f"{len(analysis.folds)}-fold cross-validation that leaves one "
        f"{protocol.test_unit} out, no speaker or dialogue being on both sides, "
        f"and {seeds} random seed{'s' if seeds > 1 else ''} per fold, shared by all variants.",
        {
            "dev": "The checkpoint was the one with the best unweighted average recall (UAR) on a "
            "development set that shares no speaker with the test set.",
            "oracle": "The checkpoint was the one with the best unweighted average recall (UAR) on "
            "the test set, which is optimistic by construction.",
            "last": "The last checkpoint was scored by unweighted average recall (UAR).",
        }[settings.selection],
        f"Differences to the baseline ({analysis.baseline}, same direction) were averaged over "
        "seeds and tested over folds with the corrected resampled t-test \\cite{nadeau2003} "
        f"(mean test-to-training ratio {ratio:.2f}), adjusted by Holm's procedure "
        f"\\cite{{holm1979}} over {len(analysis.comparisons)} comparisons at {settings.level:g}, "
        "and with the Bayesian correlated t-test \\cite{benavoli2017} with a region of practical "
        f"equivalence of ±{settings.rope:g} points.",
    ]
    flips = [c.speakers for c in analysis.comparisons if c.speakers is not None]
    if flips and flips[0].reachable:
        sentences.append(
            f"A sign-flip permutation test over {flips[0].blocks} speakers with max-T adjustment "
            "\\cite{westfall1993} served as a check."
        )
    if any(c.equivalence is not None for c in analysis.comparisons):
        sentences.append(
            f"Equivalence within ±{settings.rope:g} points was tested by two one-sided tests "
            "\\cite{schuirmann1987} with the same correction."
        )
    diverged = sum(s.diverged for s in analysis.summaries)
    if diverged:
        runs = sum(s.runs for s in analysis.summaries)
        sentences.append(
            f"{diverged} of {runs} runs diverged and count with the score of a constant prediction."
        )
    return " ".join(sentences)


def bibtex(paragraph: str) -> str:
    """BibTeX of the works that a paragraph cites, in the order of references.toml."""
    text = files("reports.page").joinpath("references.toml").read_text(encoding="utf-8")
    entries = []
    for key, fields in tomllib.loads(text).items():
        if f"\\cite{{{key}}}" not in paragraph:
            continue
        kind = fields.pop("type")
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        entries.append(f"@{kind}{{{key},\n{body}}}\n")
    return "\n".join(entries)
