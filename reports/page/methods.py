"""The methods paragraph of a paper, written from what was really done, and its BibTeX.

Every figure in it comes from the Analysis; a sentence about something that was not done is left
out, so that nobody has to remember to delete it. It is LaTeX, to be pasted into a paper: names of
corpora, classes, variants and settings are text in it.
"""

import re
import tomllib
from importlib.resources import files

from activations.wording import counted
from bench.escapes import latex
from reports.analysis.analysis import Analysis

NORMALISED = {
    "speaker": "Features were z-scored per speaker over all of a speaker's speech, that of test "
    "speakers included (transductive normalisation; no labels are used).",
    "wearer": "Features were z-scored per wearer of the motion markers over all speech recorded "
    "with that wearer, test sessions included (transductive normalisation; no labels are used).",
    "corpus": "Features were z-scored by each fold's training speech.",
    "none": "Features were not normalised.",
}


TESTS = {
    "corrected": "the corrected resampled t-test \\cite{nadeau2003}",
    "moderated": "a moderated t-test \\cite{smyth2004,phipson2016} with the corrected variance of "
    "\\cite{nadeau2003}",
    "one split": "a t-test whose variance is that over seeds plus that over speakers",
}


def methods_paragraph(analysis: Analysis) -> str:
    r"""The paragraph, citations as \cite{key}; keys are those of `bibtex`."""
    settings = analysis.settings
    directions = sorted({s.direction for s in analysis.summaries})
    names = [latex(name) for name in dict.fromkeys(s.activation for s in analysis.summaries)]
    classes = ", ".join(map(latex, analysis.classes))
    ratio = analysis.test_train_ratio.mean()
    kinds = {"gru": "GRU", "bigru": "bidirectional GRU"}
    cells = " and ".join(kinds[d] for d in directions)
    corpus = (
        "IEMOCAP \\cite{busso2008}"
        if analysis.corpus.lower() == "iemocap"
        else latex(analysis.corpus)
    )
    spoken = ", synthetic speech" if analysis.synthetic and "synthetic" not in corpus else ""
    sentences = [
        f"We compared {counted(len(names), 'candidate activation')} ({', '.join(names)}) inside "
        f"the {cells} cells \\cite{{cho2014}} of {' and '.join(map(_network, analysis.networks))}, "
        "following \\cite{rajamani2021}.",
        f"Models were trained on {corpus} ({counted(analysis.utterances, 'utterance')} of "
        f"{counted(analysis.speakers, 'speaker')}{spoken}; classes {classes}) with "
        f"{_folds(analysis)} and {counted(len(analysis.seeds), 'random seed')} per fold, shared by "
        "all variants.",
        *(f"Of the corpus: {latex(reservation)}." for reservation in analysis.reservations),
        {
            "dev": "The checkpoint was the one with the best unweighted average recall (UAR) on "
            + _dev_set(analysis),
            "oracle": "The checkpoint was the one with the best unweighted average recall (UAR) on "
            "the test set, which is optimistic by construction.",
            "last": "The last checkpoint was scored by "
            + (
                "unweighted average recall (UAR)."
                if settings.metric == "uar"
                else "accuracy (WAR)."
            ),
        }[settings.selection],
        *_tuned(analysis),
        *([NORMALISED[settings.normalise]] if settings.normalise in NORMALISED else []),
        _tests(analysis, ratio),
    ]
    tested = analysis.permission.tested
    flips = [c.speakers for c in analysis.comparisons if c.speakers is not None]
    if tested and flips and flips[0].reachable:
        sentences.append(
            f"A sign-flip permutation test over {counted(flips[0].blocks, 'speaker')} with max-T "
            "adjustment \\cite{westfall1993} served as a check."
        )
    if tested and any(c.equivalence is not None for c in analysis.comparisons):
        sentences.append(
            f"Equivalence within ±{settings.rope:g} points was tested by two one-sided tests "
            "\\cite{schuirmann1987} with the same correction."
        )
    diverged = sum(s.diverged for s in analysis.summaries)
    if diverged:
        runs = sum(s.runs for s in analysis.summaries)
        count = "counts" if diverged == 1 else "count"
        sentences.append(
            f"{diverged} of {counted(runs, 'run')} diverged and {count} with the score of a "
            "constant prediction."
        )
    sentences += _standing(analysis)
    return " ".join(sentences)


def _network(kind: str) -> str:
    """What the cells are inside of."""
    if kind == "iaan":
        return "the Interaction-Aware Attention Network \\cite{yeh2019}"
    return "a recurrent encoder with pooling over time and a dense layer"


def _standing(analysis: Analysis) -> list[str]:
    """What was planned, and why the report concludes less than its tests would."""
    said = []
    if analysis.settings.plan:
        said.append(f"The analysis plan is {latex(analysis.settings.plan)}.")
    if analysis.settings.looks:
        seeds = ", ".join(map(str, analysis.settings.looks))
        said.append(
            f"Looks were planned at {seeds} seeds, each spending its share of the level "
            "\\cite{landemets1983}."
        )
    if analysis.permission.why:
        said.append(latex(analysis.permission.why))
    elif any(family.name == "exploratory" for family in analysis.families):
        said.append("Only the primary comparisons carry verdicts; the others are exploratory.")
    return said


def _folds(analysis: Analysis) -> str:
    unit, number = analysis.protocol.test_unit, len(analysis.folds)
    if unit == "split":
        return "the corpus's own division into training and test parts"
    left = "group of speakers" if unit == "group" else unit
    return (
        f"{number}-fold cross-validation that leaves one {left} out, no speaker or dialogue being "
        "on both sides,"
    )


def _dev_set(analysis: Analysis) -> str:
    if analysis.protocol.test_unit == "split":
        return "a development set."
    return "a development set that shares no speaker with the test set."


def _tuned(analysis: Analysis) -> list[str]:
    """How settings were chosen, where a search chose them."""
    search = analysis.search
    if search is None or not search.confirmed:
        return []
    fields = ", ".join(latex(name.partition(".")[2].replace("_", " ")) for name in search.fields)
    return [
        f"Settings ({fields}) were chosen for each variant and fold among up to {search.most} by "
        "that fold's development set alone (nested), in runs with other seeds than those reported."
    ]


def _tests(analysis: Analysis, ratio: float) -> str:
    """How differences were tested, family by family."""
    settings, baseline = analysis.settings, latex(analysis.baseline)
    tests = []
    for family in analysis.families:
        of = "" if family.name == "all" else f"{latex(family.name)} "
        count = len(family.variants)
        tests.append(f"{counted(count, of + 'comparison')} with {TESTS[family.rule]}")
    split = any(family.rule == "one split" for family in analysis.families)
    over = "seeds and test speakers of the one split" if split else "folds"
    sizes = "" if split else f" (mean test-to-training ratio {ratio:.2f})"
    if not analysis.permission.tested:
        given = " and ".join(dict.fromkeys(TESTS[family.rule] for family in analysis.families))
        percent = f"{100 * settings.confidence:g}\\,\\%"
        return (
            f"Differences of {settings.measure} to the baseline ({baseline}, same direction) were "
            f"averaged over seeds and are given with the {percent} interval of {given} over "
            f"{over}{sizes}; nothing was tested."
        )
    return (
        f"Differences of {settings.measure} to the baseline ({baseline}, same direction) "
        f"were averaged over seeds and tested over {over}: {' and '.join(tests)}{sizes}, "
        f"p adjusted over each family by {_adjustment(analysis)} at "
        f"{analysis.permission.level:.3g}, with the posterior of the same tests "
        "\\cite{benavoli2017} and a region of practical equivalence of "
        f"±{settings.rope:g} points."
    )


def _adjustment(analysis: Analysis) -> str:
    """How p are adjusted over the families that there are."""
    holm = "Holm's procedure \\cite{holm1979}"
    jointly = (
        "a closed test \\cite{marcus1976} of claims that several variants and their baseline are "
        f"equals (their equivalence by {holm})"
    )
    rules = {family.rule for family in analysis.families}
    if rules == {"moderated"}:
        return jointly
    return f"{holm} or, after a moderated test, by {jointly}" if "moderated" in rules else holm


def bibtex(paragraph: str) -> str:
    """BibTeX of the works that a paragraph cites, in the order of references.toml."""
    text = files("reports.page").joinpath("references.toml").read_text(encoding="utf-8")
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", paragraph) for key in keys.split(",")}
    entries = []
    for key, fields in tomllib.loads(text).items():
        if key not in cited:
            continue
        kind = fields.pop("type")
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        entries.append(f"@{kind}{{{key},\n{body}}}\n")
    return "\n".join(entries)
