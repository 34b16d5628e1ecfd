"""Another model's predictions: what is read, what is refused, and what is tested."""

import csv

import numpy as np
import pytest
from scipy import stats

from activations.errors import InputError
from reports.analysis.outside import beside, read_predictions
from reports.analysis.settings import Settings
from reports.page.beside import write_beside
from reports.score_table import load
from tests.reports import synthetic


@pytest.fixture(scope="module")
def results():
    chosen = synthetic.variants(["tanh", "elu"], ["gru"])
    return synthetic.study(chosen, folds=4, seeds=2, utterances=40)


@pytest.fixture(scope="module")
def ours(results):
    return load(results)


def table(ours, *, seeds=("",), said=None):
    """Rows of a file that predicts the truth, or what `said` has."""
    p = ours[1]
    said = p.truths if said is None else said
    return [
        {"id": str(i), "fold": p.folds[f], "seed": seed, "label": p.classes[c]}
        for seed in seeds
        for i, f, c in zip(p.ids, p.fold, said, strict=True)
    ]


def written(folder, rows):
    path = folder / "theirs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_our_own_predictions_read_back_have_our_scores_and_no_difference(results, ours, tmp_path):
    scores, p = ours
    rows = [
        {"id": i, "fold": r.fold, "seed": r.seed} | dict(zip(r.classes, map(float, z), strict=True))
        for r in results
        if r.variant.label == "tanh · gru"
        for i, z in zip(r.ids.tolist(), r.logits["dev"], strict=True)
    ]
    model = read_predictions(written(tmp_path, rows), p)
    assert np.allclose(model.uar, scores.of("tanh · gru"))
    found = {row.variant: row for row in beside(scores, p, model, Settings()).rows}
    assert found["tanh · gru"].difference == 0
    assert found["tanh · gru"].p == 1


def test_several_seeds_are_tested_over_folds_and_one_run_over_speakers(ours, tmp_path):
    scores, p = ours
    several = read_predictions(written(tmp_path, table(ours, seeds=("1", "2"))), p)
    found = beside(scores, p, several, Settings())
    row = found.rows[0]
    assert found.unit == "folds"
    t = row.test.mean / row.test.standard_error
    assert row.test.p == pytest.approx(2 * stats.t.sf(abs(t), 3))
    one = beside(scores, p, read_predictions(written(tmp_path, table(ours)), p), Settings())
    assert one.unit == "speakers"
    assert one.rows[0].test is None
    # right everywhere: no other signs of eight speakers give as much
    assert one.rows[0].p == one.smallest_p == 2 / 2**8


def test_page_shows_the_model_beside_every_variant(results, ours, tmp_path):
    page = write_beside(results, written(tmp_path, table(ours)), tmp_path / "with").read_text()
    assert "nothing\nabout training again" in page
    assert page.count("<tr><td>") == 2
    assert (tmp_path / "with" / "beside.json").is_file()


def changed(**cells):
    return lambda rows: [rows[0] | cells, *rows[1:]]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: rows[1:], "1 of .* test utterances are missing.* the first is Ses01"),
        (lambda rows: [*rows, rows[0]], r"row \d+: Ses01.* occurs twice"),
        (changed(id="Ses09_x"), "row 2: no test utterance 'Ses09_x'"),
        (changed(fold="Ses02"), "row 2: .* is tested in fold Ses01 here, not in 'Ses02'"),
        (changed(label="joy"), "row 2: no class 'joy' .* ang, hap, neu, sad"),
        (
            lambda rows: [
                r | {"logit_ang": 1, "hap": 0, "neu": 0, "sad": "nan" if i == 1 else 0}
                for i, r in enumerate(rows)
            ],
            "row 3: sad is 'nan', not a finite number",
        ),
        (
            lambda rows: [{k: v for k, v in r.items() if k != "fold"} for r in rows],
            "row 1: there is no column 'fold'",
        ),
        (
            lambda rows: [{k: v for k, v in r.items() if k != "label"} for r in rows],
            "lacking: logit_ang, logit_hap",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_row(ours, tmp_path, spoil, told):
    with pytest.raises(InputError, match=told) as caught:
        read_predictions(written(tmp_path, spoil(table(ours))), ours[1])
    assert "theirs.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
