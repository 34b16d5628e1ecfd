"""The atlas's page from exports: what it says follows from the scores, and nothing else is said."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import activations
from activations.errors import InputError
from reports.atlas.atlas_answer import stable_spread
from reports.atlas.atlas_page import mean_of, rank_correlation, write_atlas
from reports.atlas.atlas_scores import AtlasEntry, read_corpus_scores
from reports.atlas.property_effects import PROPERTIES, cousins, curve_of, property_effects
from reports.statistics.family import judge

NAMES = ("tanh", "sigmoid", "hardtanh", "softsign", "arctan", "erf", "relu", "leaky_relu", "elu",
         "selu", "silu", "gelu", "mish", "softplus", "sine", "gcu", "prelu", "arelu",
         "exponential")  # fmt: skip
FOLDS, SEEDS = ("a", "b", "c", "d"), (0, 1)


def write_scores(
    folder: Path,
    study: str,
    gain: float = 0.0,
    seed: int = 0,
    breaks: Callable[[str], bool] = lambda _: False,
) -> pd.DataFrame:
    """An export of scores: saturating activations score `gain` points better than the others; the
    first seed of those that break has diverged, with a constant answer's score.
    """
    folder.mkdir()
    random = np.random.default_rng(seed)
    fold_level = dict(zip(FOLDS, 4 * random.standard_normal(len(FOLDS)), strict=True))
    rows: list[dict[str, Any]] = []
    for name in NAMES:
        saturates = PROPERTIES[0].of(curve_of(activations.get(name)))
        for fold in FOLDS:
            for s in SEEDS:
                uar = 60 + gain * saturates + fold_level[fold] + random.standard_normal()
                broken = breaks(name) and (s == 0 or name == "exponential")
                uar = 25.0 if broken else uar
                rows.append(
                    {"run": f"{name}{fold}{s}", "role": "study", "variant": f"{name} · gru",
                     "activation": name, "fold": fold, "seed": s, "learning_rate": 2e-3,
                     "selection": "dev", "uar": uar / 100, "war": uar / 100, "dev_uar": 0.6,
                     "loss": 1.0, "steps": 100, "time": 1.0,
                     "diverged": broken or (name == "gcu" and s == 0),
                     "train_size": 30, "test_size": 10}
                )  # fmt: skip
    table = pd.DataFrame(rows)
    search = table.assign(role="search", seed=1000, uar=0.99)
    pd.concat([table, search]).to_parquet(folder / "scores.parquet")
    told = [
        {"label": f"{name} · gru", "activation": name, "family": activations.get(name).family,
         "formulas": {"activation": activations.get(name).text}}
        for name in NAMES
    ]  # fmt: skip
    (folder / "variants.json").write_text(json.dumps(told))
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    provenance = {"format": 1, "study": study, "files": files, "protocol": {"selection": "dev"},
                  "corpus": {"name": study.upper()}, "seconds": 288.0, "results": 288,
                  "device": ["cpu"], "code_version": ["0.1.0"]}  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps(provenance))
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
    assert [found[n].p_holm for n in others] == pytest.approx(by_hand.p_adjusted)
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


def as_places(folder: Path) -> None:
    """Make of an export's activations eight in the candidate, five with BiGRU, and the others in
    gates.
    """
    known = json.loads((folder / "variants.json").read_text())
    for k, row in enumerate(known):
        row |= {"direction": "gru", "update": "sigmoid", "reset": "sigmoid"}
        if 8 <= k < 13:
            row |= {"direction": "bigru", "activation": known[k - 8]["activation"]}
        if k >= 13:
            gate, name = ("update", "reset")[k % 2], known[(k - 13) // 2 + 2]["activation"]
            row |= {"activation": "tanh", gate: name}
    (folder / "variants.json").write_text(json.dumps(known))
    provenance = json.loads((folder / "provenance.json").read_text())
    data = (folder / "variants.json").read_bytes()
    provenance["files"]["variants.json"] = hashlib.sha256(data).hexdigest()
    (folder / "provenance.json").write_text(json.dumps(provenance))


def test_activations_in_gates_are_compared_with_the_baseline_of_their_direction(
    tmp_path: Path,
) -> None:
    table = write_scores(tmp_path / "places", "places", breaks=lambda name: name == "prelu")
    write_scores(tmp_path / "one", "one")
    means = 100 * table.groupby("activation").uar.mean()
    as_places(tmp_path / "places")
    with pytest.raises(InputError, match="has several variants"):
        read_corpus_scores(tmp_path / "places")
    corpus = read_corpus_scores(tmp_path / "places", several_places=True)
    found = {(e.activation, e.place): e for e in corpus.entries}
    both = [found[NAMES[k], "candidate, BiGRU"] for k in range(5)]
    assert both[0].difference == pytest.approx(means[NAMES[8]] - means["tanh"])
    assert both[1].difference == pytest.approx(means[NAMES[9]] - means[NAMES[8]])
    gate = found["softsign", "reset gate"]
    assert gate.difference == pytest.approx(means[NAMES[15]] - means["tanh"])
    page = tmp_path / "atlas.md"
    text = write_atlas([tmp_path / "one"], page, gates=tmp_path / "places").read_text()
    assert "| activation | candidate | candidate, BiGRU | reset gate | update gate |" in text
    assert "19 variants × 4 folds × 2 seeds = 152 runs" in text
    assert "Holm over all 18." in text
    assert "- **candidate, BiGRU**: 5 of 5 trained in every run; the standard deviation" in text
    assert f"| `{NAMES[1]}` | {gate_cell(found[NAMES[1], 'candidate'])} |" in text


def gate_cell(entry: AtlasEntry) -> str:
    return f"{entry.difference:+.1f} ({entry.low:+.1f} … {entry.high:+.1f})".replace("-", "−")


def test_an_unfinished_corpus_has_no_page(tmp_path: Path) -> None:
    table = write_scores(tmp_path / "one", "one")
    kept = table[~((table.activation == "elu") & (table.fold == "b"))]
    kept.to_parquet(tmp_path / "one" / "scores.parquet")
    provenance = json.loads((tmp_path / "one" / "provenance.json").read_text())
    data = (tmp_path / "one" / "scores.parquet").read_bytes()
    provenance["files"]["scores.parquet"] = hashlib.sha256(data).hexdigest()
    (tmp_path / "one" / "provenance.json").write_text(json.dumps(provenance))
    with pytest.raises(InputError, match="is unfinished: elu; run and export"):
        read_corpus_scores(tmp_path / "one")


def test_ranks_that_agree_and_ranks_that_do_not() -> None:
    one = list(range(30))
    assert rank_correlation(one, one)[:2] == pytest.approx((1.0, 1.0))
    rho, low, high = rank_correlation(one, np.random.default_rng(3).permutation(30).tolist())
    assert low < 0 < high
    assert low < rho < high
