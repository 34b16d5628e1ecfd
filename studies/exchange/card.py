"""The data card of an export: what it is, how to read it, what it must not be taken for."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from activations.wording import counted
from bench.escapes import markdown
from bench.training.results import MemberResult
from studies.spec import StudySpec

Contents = Literal["scores", "predictions", "everything"]
# beside the scores: a few hundred bytes, some kilobytes and about as much again for each run
TABLES: dict[Contents, tuple[str, ...]] = {
    "scores": (),
    "predictions": ("predictions", "utterances"),
    "everything": ("predictions", "utterances", "curves", "details"),
}
FILES = {
    "scores.parquet": "one row per run and selection rule: UAR, WAR (shares), training loss, "
    "step, divergence, seconds",
    "runs.parquet": "one row per run: variant, fold, seed, settings, outcome, what computed it; "
    "role `study` is what is compared, `search` chose its settings, `tried` is beside the plan",
    "predictions.parquet": "one row per run, selection rule and test utterance: truth and logits; "
    "without the runs that chose settings where the export holds no details",
    "utterances.parquet": "one row per test utterance of each fold",
    "curves.parquet": "one row per run and evaluation",
    "details.parquet": "learnt parameters, diagnostics and dev logits of each run, as flat lists",
    "variants.json": "each variant with its formulas, facts and parameters",
    "spec.yaml": "the study, readable by `gateswap run` (without the corpus's path)",
    "provenance.json": "corpus, protocol, code, kernels, device, and SHA-256 of every file",
}


def data_card(
    provenance: Mapping[str, Any],
    variants: Sequence[Mapping[str, Any]],
    spec: StudySpec,
    results: Mapping[str, MemberResult],
) -> str:
    """The README.md of an export."""
    corpus = provenance["corpus"]
    contents: Contents = provenance["contents"]
    left_out = set(TABLES["everything"]) - set(TABLES[contents])
    shown = {name: what for name, what in FILES.items() if name.split(".")[0] not in left_out}
    folds = sorted({result.fold for result in results.values()})
    diverged = sum(result.outcome == "diverged" for result in results.values())
    tuned = (
        "Settings were chosen per variant and fold on that fold's dev set (nested), and confirmed "
        "on seeds that were not searched with. "
        if spec.settings == "tuned"
        else ""
    )
    spoken = "**synthetic speech**" if corpus["synthetic"] else "speech"
    ids = (
        "Ids of utterances are hashes, dialogues and speakers are numbered: the corpus's licence "
        "does not cover its names."
        if provenance["ids"] == "hashed"
        else "Ids of utterances are the corpus's own."
    )
    report = (
        "`gateswap report DIR` writes the full report from this folder alone."
        if contents == "everything"
        else f"It holds {contents} only: no report can be written from it."
    )
    lines = [
        f"# {provenance['study']}: results of an activation study",
        "",
        markdown(spec.description),
        "",
        f"{counted(len(variants), 'variant')} of a recurrent cell, trained on "
        f"{markdown(corpus['name'])} ({spoken}), {counted(len(folds), 'fold')}; "
        f"{counted(len(results), 'run')}, {diverged} of which diverged (they count with the score "
        f"of a constant answer). {tuned}Protocol: {markdown(spec.protocol.text)}.",
        *(f"\nOf the corpus: {markdown(each)}." for each in corpus.get("reservations", ())),
        "",
        f"No audio and no features are in it. {ids}",
        "",
        "| file | holds |",
        "|---|---|",
        *(f"| `{name}` | {what} |" for name, what in shown.items()),
        "",
        "```python",
        "import pandas",
        "",
        'scores = pandas.read_parquet("scores.parquet")',
        'ours = scores[(scores.role == "study") & (scores.selection == "dev")]',
        'print(ours.groupby("variant").uar.mean().sort_values())',
        "```",
        "",
        f"{report} Nothing in it is code, and loading it executes none. Format "
        f"{provenance['format']}.",
        "",
        "Runs of one fold share their test utterances, and folds share training speech: neither "
        "folds × seeds nor utterances are independent observations.",
        "",
        f"Made by gateswap {', '.join(provenance['code_version'])} on "
        f"{', '.join(provenance['device'])}, {provenance['seconds'] / 3600:.1f} hours of training.",
        "",
    ]
    return "\n".join(lines)
