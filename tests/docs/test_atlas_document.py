"""docs/atlas.md and README.md say what the exports in docs/data hold."""

import re
from pathlib import Path

import numpy as np
import pytest

from reports.atlas.atlas_answer import stable_spread
from reports.atlas.atlas_page import atlas_text
from reports.atlas.atlas_scores import AtlasCorpus, read_corpus_scores
from reports.atlas.place_effects import place_pairs
from reports.atlas.property_effects import curves_of, property_divergence

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = ("atlas-emodb", "atlas-ravdess")
GATES = "gates-atlas-emodb"
NUMBER = re.compile(r"[−+]?\d+\.\d+")


def value(text: str) -> float:
    return float(text.replace("−", "-"))


@pytest.fixture(scope="module")
def corpora() -> list[AtlasCorpus]:
    return [read_corpus_scores(DOCS / "data" / name) for name in STUDIES]


@pytest.fixture(scope="module")
def placed() -> AtlasCorpus:
    return read_corpus_scores(DOCS / "data" / GATES, several_places=True)


def test_the_atlas_s_page_is_what_is_written_from_its_exports(
    corpora: list[AtlasCorpus], placed: AtlasCorpus
) -> None:
    there = (DOCS / "atlas.md").read_text("utf-8")
    first, _, gates = re.findall(r"stacks' wall time on (.*?): \d+ runs a minute", there)
    figures = {name: f"figures/{name}.svg" for name in (*STUDIES, GATES)}
    figures["across"] = "figures/atlas-across.svg"
    text = atlas_text(corpora, figures, placed=placed, machine=first, gates_machine=gates)
    assert NUMBER.split(text) == NUMBER.split(there)
    # the last digit may turn with the processor, whose sums have another order
    for written, told in zip(NUMBER.findall(text), NUMBER.findall(there), strict=True):
        last = 10.0 ** -len(told.partition(".")[2])
        assert abs(value(written) - value(told)) < 1.01 * last, (written, told)
    assert all((DOCS / path).is_file() for path in figures.values())


def test_the_activations_in_gates_are_the_ten_that_their_study_says(
    corpora: list[AtlasCorpus], placed: AtlasCorpus
) -> None:
    values = np.array([curve.values.clip(-3, 3) for curve in curves_of(corpora[0])])
    chosen = [corpora[0].activations.index("tanh")]
    for _ in range(9):
        apart = [((values - values[k]) ** 2).mean(axis=1) for k in chosen]
        chosen.append(int(np.min(apart, axis=0).argmax()))
    found = [corpora[0].activations[k] for k in chosen]
    assert found == list(dict.fromkeys(placed.activations))


def test_the_readme_says_of_the_atlas_what_its_exports_hold(
    corpora: list[AtlasCorpus], placed: AtlasCorpus
) -> None:
    said = " ".join((DOCS.parent / "README.md").read_text("utf-8").split())
    runs = sum(corpus.provenance["results"] for corpus in corpora)
    spreads = [stable_spread(corpus) for corpus in corpora]
    assert f"{runs:,} runs. No activation's score is told apart from tanh's" in said
    assert not [e for c in corpora for e in c.entries if e.verdict in ("better", "worse", "equal")]
    assert spreads[0] is not None
    assert spreads[1] is not None
    assert f"at most {spreads[0].high:.1f} points of UAR on EMO-DB" in said
    assert f"{spreads[1].low:.1f} … {spreads[1].high:.1f} on RAVDESS" in said
    saturating = property_divergence(corpora)[0]
    low, high = -100 * saturating.high, -100 * saturating.low
    assert f"none of the {saturating.having.runs} that saturate on both sides" in said
    assert f"{saturating.lacking.count} of the {saturating.lacking.runs} others did" in said
    assert f"({-100 * saturating.difference:.0f} percentage points more, 95 % interval" in said
    assert f"interval {low:.0f} … {high:.0f})" in said
    pairs = place_pairs(placed)
    gates = next(p for p in pairs if (p.first, p.second) == ("reset gate", "update gate"))
    assert gates.diverged == (0, 7)
    low, high = -100 * gates.excess.high, -100 * gates.excess.low
    assert (
        f"({-100 * gates.excess.difference:.0f} points more, interval {low:.0f} … {high:.0f}"
        in said
    )
    ends = [np.abs([p.difference.low, p.difference.high]).max() for p in pairs if p.difference]
    assert f"(intervals within ±{max(ends):.1f} points of UAR)" in said
    assert not any(pair.shown for pair in pairs)
