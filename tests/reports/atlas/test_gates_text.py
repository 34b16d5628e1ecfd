"""The atlas's section on places: what it says is what exports of known truth hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from activations.errors import InputError
from reports.atlas.atlas_answer import stable_spread
from reports.atlas.atlas_page import write_atlas
from reports.atlas.atlas_scores import AtlasCorpus, AtlasEntry, read_corpus_scores
from reports.atlas.gates_text import gates_text, places_answer, places_limits
from reports.atlas.place_effects import place_pairs, update_gate
from reports.atlas.places_figure import draw_places
from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.proportions import shares_of_pairs
from tests.reports.made_up_exports import NAMES, Variant, variant, write_export

TEN = ("tanh", "cosine", "soft_clipping", "lisht", "gcu", "relu", "elu", "silu", "mish", "identity")
BOUNDED = TEN[:3]
PLACES = ("candidate", "bigru", "update", "reset")


def place_of(row: Variant) -> str:
    return row["label"].split(" · ")[1]


def read_places(
    folder: Path,
    *,
    gain: float = 0.0,
    better: str = "bigru",
    step: int = 1,
    loses: Sequence[str] = TEN[3:],
    seed: int = 0,
) -> AtlasCorpus:
    """Ten activations in four places: `better` scores `gain` points more than the others; in the
    update gate `loses` diverge in `step` of every run.
    """

    def level(row: Variant) -> float:
        return 60 + gain * (place_of(row) == better)

    def breaks_at(row: Variant, _: int) -> int:
        return step * (row["update"] in loses)

    variants = [variant(name, place) for place in PLACES for name in TEN]
    write_export(folder, "places", variants, level=level, breaks_at=breaks_at, seed=seed)
    return read_corpus_scores(folder, several_places=True)


def said(corpus: AtlasCorpus) -> str:
    return "\n".join(gates_text(corpus, "figure.svg"))


def test_activations_in_gates_are_compared_with_the_baseline_of_their_direction(
    tmp_path: Path,
) -> None:
    variants = [variant(name, place) for place in PLACES for name in TEN]
    table = write_export(tmp_path / "places", "places", variants)
    means = 100 * table.groupby("variant").uar.mean()
    with pytest.raises(InputError, match="has several variants"):
        read_corpus_scores(tmp_path / "places")
    corpus = read_corpus_scores(tmp_path / "places", several_places=True)
    found = {(e.activation, e.place): e for e in corpus.entries}
    assert found["tanh", "candidate"].verdict == "baseline"
    apart = {name: entry.difference for name, entry in found.items()}
    base = means["tanh · candidate"]
    assert apart["tanh", "candidate, BiGRU"] == pytest.approx(means["tanh · bigru"] - base)
    assert apart["relu", "candidate, BiGRU"] == pytest.approx(
        means["relu · bigru"] - means["tanh · bigru"]
    )
    assert apart["relu", "reset gate"] == pytest.approx(means["relu · reset"] - base)
    assert found["relu", "reset gate"].formula == "max(x, 0)"
    text = said(corpus)
    assert "| activation | candidate | candidate, BiGRU | update gate | reset gate |" in text
    assert "40 variants × 4 folds × 2 seeds = 320 runs, learning rate 0.002" in text
    assert "adjusted over all 39." in text
    cells = [gate_cell(found["relu", place]) for place in dict.fromkeys(corpus.places)]
    assert f"| `relu` | {' | '.join(cells)} |" in text


def gate_cell(entry: AtlasEntry) -> str:
    return f"{entry.difference:+.1f} ({entry.low:+.1f} … {entry.high:+.1f})".replace("-", "−")


def test_a_place_in_which_more_activations_diverge_is_shown_with_its_interval(
    tmp_path: Path,
) -> None:
    corpus = read_places(tmp_path / "places")
    pairs = {(pair.first, pair.second): pair for pair in place_pairs(corpus)}
    assert len(pairs) == 6
    found = pairs["reset gate", "update gate"]
    by_hand = shares_of_pairs([0] * 10, [0] * 3 + [1] * 7, confidence=1 - 0.05 / 6)
    assert found.excess == by_hand
    assert (found.diverged, found.of, found.common) == ((0, 7), 10, 3)
    text = said(corpus)
    low, high = -100 * by_hand.high, -100 * by_hand.low
    assert low > 0
    assert (
        "More activations have a run that diverges in the update gate than in the reset gate: 7 of "
        f"10 against 0 of 10 (+70.0 percentage points, 95 % interval +{low:.1f} … +{high:.1f}, of "
        "all pairs of places at once)."
    ) in text
    assert "in the reset gate than" not in text
    assert "Of the other 3 pairs none is told apart." in text  # three have the update gate
    assert "| `gcu` | " in text
    assert "never trains: 8 of 8 diverged" in text
    assert "7 of 10 against 0 of 10" in places_answer(corpus)


def test_places_that_train_alike_are_not_told_apart(tmp_path: Path) -> None:
    corpus = read_places(tmp_path / "places", loses=("gcu", "relu"))
    text = said(corpus)
    assert "No two places are told apart by how many activations have a run that diverges." in text
    assert "More activations" not in text


def test_what_leaves_the_unit_interval_in_the_update_gate_is_told_from_what_stays(
    tmp_path: Path,
) -> None:
    corpus = read_places(tmp_path / "places")
    gate = update_gate(corpus)
    assert gate is not None
    assert (gate.leaving, gate.staying) == ((7, 7), (0, 3))
    assert (gate.always, gate.at_once) == (7, 7)
    text = said(corpus)
    # statsmodels' confint_proportions_2indep(7, 7, 0, 3, method="newcomb"): 0.3360 … 1
    assert (
        "leave −1 … 1, 7 of 7 had a run that diverged there, of those that stay within 0 of 3 "
        "(+100.0 percentage points, 95 % interval +33.6 … +100.0). 7 of the 7 of which every run "
        "diverged did so in the first step of each"
    ) in text
    other = read_places(tmp_path / "other", loses=("tanh", "relu"), step=9)
    told = said(other)
    assert "1 of 7 had a run that diverged there, of those that stay within 1 of 3 (" in told
    assert "; not told apart)." in told
    assert "in the first step" not in told
    assert any("may train at a smaller one" in line for line in places_limits(other))
    assert not any("may train at a smaller one" in line for line in places_limits(corpus))


def test_a_direction_that_scores_better_is_shown_over_the_activations_that_train(
    tmp_path: Path,
) -> None:
    corpus = read_places(tmp_path / "places", gain=6.0)
    pair = next(p for p in place_pairs(corpus) if p.second == "candidate")
    assert (pair.first, pair.common) == ("candidate, BiGRU", 10)
    rows = {place: corpus.means[np.array(corpus.places) == place] for place in corpus.places}
    apart = (rows["candidate, BiGRU"] - rows["candidate"]).mean(axis=0)
    by_hand = corrected_t_test(apart, corpus.ratio)
    assert pair.difference == by_hand
    assert by_hand.low < 6.0 < by_hand.high
    text = said(corpus)
    sentence = (
        "Over the 10 activations that trained in every run in both, a BiGRU scores "
        f"+{by_hand.mean:.1f} points of UAR above a GRU (95 % interval +{by_hand.low:.1f} … "
        f"+{by_hand.high:.1f}): "
    )
    assert f"{sentence}shown." in text
    assert f"{by_hand.mean:.1f} points of UAR in the candidate, BiGRU against the candidate" in text
    alike = said(read_places(tmp_path / "alike"))
    assert "a GRU (95 % interval −" in alike
    assert "): not told apart." in alike
    assert "told apart for none of 6 pairs of places" in alike


def test_a_place_that_costs_points_is_shown_and_one_activation_there_by_itself_too(
    tmp_path: Path,
) -> None:
    corpus = read_places(tmp_path / "places", gain=-15.0, better="reset", loses=())
    text = said(corpus)
    assert "points of UAR in the reset gate against the candidate (95 % interval −" in text
    assert "points of UAR in the update gate against the candidate (" not in text
    assert "shown better than its baseline: none; shown worse than its baseline: `" in text
    assert "`relu` (reset gate)" in text
    assert "`relu` (update gate)" not in text
    axes = draw_places(corpus)[1]
    assert [each.get_title("left") for each in axes] == list(dict.fromkeys(corpus.places))
    faces = [str(line.get_markerfacecolor()) for line in axes[3].lines if line.get_marker() == "o"]
    assert "white" not in faces  # all are shown to be worse there


def test_the_page_has_the_section_with_its_figure_machine_and_limits(tmp_path: Path) -> None:
    write_export(tmp_path / "one", "one", [variant(name) for name in NAMES])
    corpus = read_places(tmp_path / "places")
    page = write_atlas(
        [tmp_path / "one"],
        tmp_path / "atlas.md",
        gates=tmp_path / "places",
        machine="one machine",
        gates_machine="another machine",
    )
    text = page.read_text()
    assert text.count("stacks' wall time on one machine: ") == 1
    assert text.count("stacks' wall time on another machine: ") == 1
    assert "(figures/places.svg)" in text
    drawn = (tmp_path / "figures" / "places.svg").read_text()
    assert drawn.count("<!-- never trains -->") == 7
    assert text.index(places_answer(corpus)) < text.index("## ONE")
    assert all(line in text for line in places_limits(corpus))
    assert "3 activations of 10 trained in every run in the update gate" in text
    spread = stable_spread(corpus, "candidate, BiGRU")
    assert spread is not None
    assert (
        "- **Candidate, BiGRU**: 10 of 10 trained in every run; the standard deviation of their "
        f"true scores is {spread.sd:.1f} points of UAR (95 % interval {spread.low:.1f} … "
        f"{spread.high:.1f})."
    ) in text
    assert "- **Update gate**: 3 of 10 trained in every run; the standard" in text
