"""The page of several corpora: one difference per variant over corpora, and how little that says.

- Scores stand in one column per study; only differences are put together.
- Two studies of one corpus have their own page (`versus`).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from activations.files import atomically
from activations.wording import counted
from bench.data.members import Member
from bench.training.results import MemberResult
from reports.analysis.across_corpora import AcrossCorpora, VariantAcross, across_corpora
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.settings import Settings
from reports.figures import corpora_forest
from reports.figures.style import save
from reports.page import tables
from reports.page.templates import embedded, fill
from reports.statistics.arrays import plain
from reports.statistics.hierarchical import SCALE

NAME = "corpora"


def write_across(
    studies: Sequence[Sequence[MemberResult]],
    folder: Path,
    *,
    baselines: Sequence[str] = (),
    planned: Sequence[Sequence[Member]] = (),
    settings: Sequence[Settings | None] = (),
) -> Path:
    """Write index.html, across.json and the figure corpora.{svg,pdf,png}; return the page's path.

    studies: results of each study, of different corpora. baselines, planned, settings: each study's
    own; by default tanh, what there is, and its protocol's.
    Raises InputError as `analysis.analyse` and `across_corpora`, GateswapError where the folder
    cannot be written.
    """
    count = len(studies)
    analyses = [
        analyse(results, baseline=baseline, planned=members, settings=own)
        for results, baseline, members, own in zip(
            studies,
            baselines or ["tanh"] * count,
            planned or [()] * count,
            settings or [None] * count,
            strict=True,
        )
    ]
    across = across_corpora(
        analyses, [results[0].identity.corpus.fingerprint for results in studies]
    )
    text = json.dumps(plain(across), ensure_ascii=False, indent=1, allow_nan=False)
    with atomically(folder, durable=False) as whole:
        fig, _ = corpora_forest.draw(across, rope=analyses[0].settings.rope)
        image, *_ = save(fig, whole, NAME)
        (whole / "across.json").write_text(text, encoding="utf-8")
        (whole / "index.html").write_text(render(across, analyses, image), encoding="utf-8")
    return folder / "index.html"


def render(across: AcrossCorpora, analyses: Sequence[Analysis], image: Path) -> str:
    """The page's HTML; image: the forest as SVG."""
    studies = list(across.designs)
    return fill(
        "across.html",
        across=across,
        studies=studies,
        designs={a.study: tables.design_line(a) for a in analyses},
        headline=headline(across),
        cells={one.variant: _cells(one, studies) for one in across.variants},
        image=embedded(image),
        interval=tables.interval,
        percent=f"{across.confidence:.0%}".replace("%", " %"),
        scale=SCALE,
        factor=float(stats.t.ppf(0.5 + across.confidence / 2, 1)),
    )


def headline(across: AcrossCorpora) -> str:
    """All variants in one sentence."""
    variants = counted(len(across.variants), "variant")
    if across.open_reasons:
        return f"No verdict over corpora: {'; '.join(across.open_reasons)}."
    better = [v.variant for v in across.variants if v.verdict == "better"]
    worse = [v.variant for v in across.variants if v.verdict == "worse"]
    if not better and not worse:
        return f"Over {len(across.designs)} corpora, no difference is shown for any of {variants}."
    said = [
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {word}"
        for names, word in ((better, "better"), (worse, "worse"))
        if names
    ]
    return (
        f"Over {len(across.designs)} corpora, {'; '.join(said)} than the baseline, of {variants}."
    )


def _cells(one: VariantAcross, studies: Sequence[str]) -> list[tuple[float, float] | None]:
    """(score, baseline's score) in each study, in their order; None where it was not compared."""
    found = {part.study: (part.score, part.baseline_score) for part in one.corpora}
    return [found.get(study) for study in studies]
