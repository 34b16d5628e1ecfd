"""The atlas's page from exports: what it says follows from the scores, and nothing else is said."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import activations
from activations.errors import InputError
from reports.atlas.atlas_answer import stable_spread
from reports.atlas.atlas_page import mean_of, rank_correlation, write_atlas
from reports.atlas.atlas_scores import read_corpus_scores
from reports.atlas.property_effects import (
    PROPERTIES,
    cousins,
    curve_of,
    curves_of,
    property_divergence,
    property_effects,
    property_table,
)
from reports.statistics.clustered import clustered_least_squares
from reports.statistics.family import judge
from tests.reports.made_up_exports import NAMES, Variant, sign, variant, write_export


def write_scores(
    folder: Path,
    study: str,
    gain: float = 0.0,
    seed: int = 0,
    breaks: Callable[[str], bool] = lambda _: False,
) -> pd.DataFrame:
    """An export of scores: saturating activations score `gain` points better than the others; the
    first seed of those that break has diverged, with a constant answer's score; gcu's too, with the
    score that it would have had.
    """

    def level(row: Variant) -> float:
        return 60 + gain * PROPERTIES[0].of(curve_of(activations.get(row["activation"])))

    def breaks_at(row: Variant, s: int) -> int:
        name = row["activation"]
        return int(breaks(name) and (s == 0 or name == "exponential"))

    variants = [variant(name) for name in NAMES]
    table = write_export(folder, study, variants, level=level, breaks_at=breaks_at, seed=seed)
    written = pd.read_parquet(folder / "scores.parquet")  # with the runs of the search
    written["diverged"] |= (written.activation == "gcu") & (written.seed == 0)
    written.to_parquet(folder / "scores.parquet")
    sign(folder)
    return table


def test_every_activation_is_compared_as_the_report_compares_it(tmp_path: Path) -> None:
    table = write_scores(tmp_path / "one", "one", gain=5.0)
    corpus = read_corpus_scores(tmp_path / "one")
    means = 100 * table.groupby(["activation", "fold"]).uar.mean().unstack()
    found = {entry.activation: entry for entry in corpus.entries}
    assert found["relu"].difference == pytest.approx((means.loc["relu"] - means.loc["tanh"]).mean())
    others = [name for name in NAMES if name != "tanh"]
    by_hand = judge(
        (means.loc[others] - means.loc["tanh"]).to_numpy(), np.full(4, 1 / 3), np.zeros(len(others))
    )
    assert [found[n].p_adjusted for n in others] == pytest.approx(by_hand.p_adjusted)
    assert found["gcu"].diverged == 4
    assert corpus.entries[0].uar >= corpus.entries[-1].uar


def test_a_property_that_moves_scores_is_shown_and_one_that_does_not_is_not(
    tmp_path: Path,
) -> None:
    write_scores(tmp_path / "one", "one", gain=8.0)
    effects = {e.name: e for e in property_effects(read_corpus_scores(tmp_path / "one"))}
    saturates = effects["saturates on both sides"]
    assert saturates.beside.low < 8.0 < saturates.beside.high
    assert saturates.shown
    assert not effects["learnable"].shown


def saturating(name: str) -> bool:
    return bool(PROPERTIES[0].of(curve_of(activations.get(name))))


def test_a_property_of_what_diverges_is_not_shown_where_what_trains_scores_alike(
    tmp_path: Path,
) -> None:
    write_scores(tmp_path / "one", "one", breaks=lambda name: name != "tanh" and saturating(name))
    effects = {e.name: e for e in property_effects(read_corpus_scores(tmp_path / "one"))}
    saturates = effects["saturates on both sides"]
    assert saturates.beside.estimate < -10
    assert abs(saturates.trained.estimate) < 3
    assert not saturates.shown


def test_a_verdict_that_hangs_on_diverged_runs_is_none(tmp_path: Path) -> None:
    write_scores(tmp_path / "one", "one", breaks=lambda name: name in ("sine", "exponential"))
    found = {entry.activation: entry for entry in read_corpus_scores(tmp_path / "one").entries}
    assert found["sine"].difference < -10
    assert found["sine"].high < 0
    assert found["sine"].verdict == "depends on diverged runs"
    assert found["exponential"].verdict == "never trains"


def test_the_mean_of_two_corpora_is_as_sure_as_both_are(tmp_path: Path) -> None:
    entries = []
    for k, name in enumerate(("one", "two")):
        write_scores(tmp_path / name, name, seed=k)
        found = read_corpus_scores(tmp_path / name).entries
        entries.append(next(entry for entry in found if entry.activation == "relu"))
    one, two = entries
    mean, low, high = mean_of(one, two)
    assert mean == pytest.approx((one.difference + two.difference) / 2)
    assert high - low < max(one.high - one.low, two.high - two.low)
    alike = mean_of(one, one)  # as a mean of two independent ones of the same scatter
    reach = stats.t.ppf(0.975, 2 * one.degrees) * one.standard_error / 2**0.5
    assert alike[2] - alike[0] == pytest.approx(reach)


def test_properties_are_what_the_formulas_are() -> None:
    of = {each.name: each.of for each in PROPERTIES}
    tanh, relu, sine = (curve_of(activations.get(name)) for name in ("tanh", "relu", "sine"))
    assert [of["saturates on both sides"](c) for c in (tanh, relu, sine)] == [1, 0, 0]
    assert of["slope at 0"](tanh) == pytest.approx(1)
    assert of["slope at 0"](relu) == pytest.approx(0.5)  # the mean of both sides
    assert of["range on ±3"](relu) == pytest.approx(np.log2(3))
    assert [of["monotone on ±3"](c) for c in (tanh, relu, sine)] == [1, 1, 0]
    assert of["steepest slope on ±3 (Lipschitz)"](tanh) == pytest.approx(0, abs=1e-6)
    assert of["learnable"](curve_of(activations.get("arelu"))) == 1


def test_cousins_are_activations_whose_curves_lie_close_together() -> None:
    names = ("tanh", "hardtanh", "erf", "silu", "mish", "relu", "gelu", "sine")
    found = dict(zip(names, cousins([curve_of(activations.get(n)) for n in names]), strict=True))
    assert found["tanh"] == found["hardtanh"] == found["erf"]
    assert found["silu"] == found["mish"]
    assert len({found["tanh"], found["silu"], found["sine"]}) == 3


def test_the_page_has_a_table_and_a_figure_per_corpus_and_one_over_both(tmp_path: Path) -> None:
    for k, name in enumerate(("one", "two")):
        write_scores(tmp_path / name, name, gain=5.0, seed=k)
    both = [tmp_path / "one", tmp_path / "two"]
    page = write_atlas(both, tmp_path / "atlas.md", machine="a machine of two cores")
    text = page.read_text()
    assert text.count("stacks' wall time on a machine of two cores") == 2
    for figure in ("one", "two", "atlas-across"):
        assert f"figures/{figure}.svg" in text
        assert (tmp_path / "figures" / f"{figure}.svg").stat().st_size
    assert text.count("| `relu` |") == 3
    assert "19 activations × 4 folds × 2 seeds = 152 runs, 4 of which diverged" in text
    assert "| monotone on ±3 |" in text
    again = write_atlas(both, tmp_path / "again.md", machine="a machine of two cores")
    assert again.read_text() == text


def test_the_page_begins_with_what_its_numbers_answer(tmp_path: Path) -> None:
    for name, gain in (("alike", 0.0), ("apart", 8.0)):
        write_scores(tmp_path / name, name, gain=gain, breaks=lambda n: n in ("relu", "selu"))
    alike, apart = (read_corpus_scores(tmp_path / name) for name in ("alike", "apart"))
    small, large = stable_spread(alike), stable_spread(apart)
    assert small is not None
    assert large is not None
    assert small.variants == len(NAMES) - 3  # gcu, relu and selu had runs that diverged
    assert small.low == 0.0
    assert small.high < 1.5
    saturates = [8.0 * saturating(n) for n in NAMES if n not in ("gcu", "relu", "selu")]
    assert large.low < np.std(saturates, ddof=1) < large.high
    text = write_atlas([tmp_path / "alike"], tmp_path / "atlas.md").read_text()
    assert "Shown better than `tanh`: none; shown worse than `tanh`: none." in text
    assert "16 of 19 activations trained in every run. The standard deviation" in text
    assert f"lie within ±{1.96 * small.high:.1f} points of their mean" in text


def test_an_unfinished_corpus_has_no_page(tmp_path: Path) -> None:
    table = write_scores(tmp_path / "one", "one")
    kept = table[~((table.activation == "elu") & (table.fold == "b"))]
    kept.to_parquet(tmp_path / "one" / "scores.parquet")
    sign(tmp_path / "one")
    with pytest.raises(InputError, match="is unfinished: elu; run and export"):
        read_corpus_scores(tmp_path / "one")


def test_a_corpus_that_lacks_a_single_run_or_was_chosen_on_the_test_set_has_no_page(
    tmp_path: Path,
) -> None:
    table = write_scores(tmp_path / "one", "one")
    whole = (tmp_path / "one" / "scores.parquet").read_bytes()
    lost = (table.activation == "elu") & (table.fold == "b") & (table.seed == 1)
    table[~lost].to_parquet(tmp_path / "one" / "scores.parquet")
    sign(tmp_path / "one")
    with pytest.raises(InputError, match="is unfinished: elu; run and export"):
        read_corpus_scores(tmp_path / "one")
    provenance = tmp_path / "one" / "provenance.json"
    (tmp_path / "one" / "scores.parquet").write_bytes(whole)
    sign(tmp_path / "one")
    told = json.loads(provenance.read_text())
    provenance.write_text(json.dumps(told | {"planned": len(table) + 1}))
    with pytest.raises(InputError, match="is unfinished: whole variants, folds or seeds"):
        read_corpus_scores(tmp_path / "one")
    provenance.write_text(json.dumps(told | {"protocol": {"selection": "oracle"}}))
    with pytest.raises(InputError, match=r"chosen on the test set \(oracle\).* no atlas"):
        read_corpus_scores(tmp_path / "one")


def test_ranks_of_like_curves_are_not_observations_of_their_own() -> None:
    rng = np.random.default_rng(5)
    one, two = np.repeat(rng.standard_normal((2, 6)), 10, axis=1)
    one, two = ((each + 0.01 * rng.standard_normal(60)).tolist() for each in (one, two))
    _, low, high = rank_correlation(one, two)
    like = np.repeat(list("abcdef"), 10).tolist()
    _, low_clustered, high_clustered = rank_correlation(one, two, like)
    assert high_clustered - low_clustered > 2 * (high - low)


def test_properties_that_go_with_divergence_are_told_with_intervals_of_all_at_once(
    tmp_path: Path,
) -> None:
    write_scores(tmp_path / "one", "one", breaks=lambda name: not saturating(name))
    corpus = read_corpus_scores(tmp_path / "one")
    (found, *_) = property_divergence([corpus])
    curves = curves_of(corpus)
    having = property_table(curves)[:, 0] > 0.5
    design = np.column_stack([np.ones(len(having)), having])
    broken = np.nanmax(corpus.diverged, axis=(1, 2))
    alone = clustered_least_squares(broken, design, cousins(curves))
    assert found.difference == pytest.approx(alone.estimate[1])
    wider = stats.t.ppf(1 - 0.025 / len(PROPERTIES), alone.clusters - 1)
    assert found.high - found.difference == pytest.approx(wider * alone.standard_error[1])


def test_ranks_that_agree_and_ranks_that_do_not() -> None:
    one = list(range(30))
    assert rank_correlation(one, one)[:2] == pytest.approx((1.0, 1.0))
    rho, low, high = rank_correlation(one, np.random.default_rng(3).permutation(30).tolist())
    assert low < 0 < high
    assert low < rho < high
