from dataclasses import replace

from reports.analysis.analysis import analyse
from tests.reports import synthetic

CHOSEN = synthetic.variants(["tanh", "relu"], ["gru"])


def test_a_baseline_at_another_precision_leaves_no_verdict() -> None:
    results = synthetic.study(CHOSEN, seeds=2, utterances=60)
    assert analyse(results).permission.standing == "confirmatory"
    coarse = [
        synthetic.of_another(r, precision="bf16")
        if (r.variant.label, r.seed) == ("tanh · gru", 1)
        else r
        for r in results
    ]
    found = analyse(coarse)
    assert [c.conclusion.verdict for c in found.comparisons] == ["exploratory"]
    assert (
        "5 of 10 pairs of a variant and its baseline were computed at different precisions "
        "(ieee and bf16, for one)" in found.permission.why
    )
    alike = [synthetic.of_another(r, precision="bf16") for r in results]
    assert analyse(alike).permission.standing == "confirmatory"


def test_other_devices_and_versions_are_no_other_treatment_but_versions_are_told() -> None:
    results = synthetic.study(CHOSEN, seeds=1, utterances=60)
    moved = [
        replace(
            r,
            identity=replace(r.identity, device="a GPU", code_version="0.2"),
        )
        if r.variant.label == "relu · gru"
        else r
        for r in results
    ]
    found = analyse(moved)
    assert found.permission.standing == "confirmatory"
    (note,) = (note for note in found.notes if "different versions" in note)
    assert note.startswith("5 of 5 pairs of a variant and its baseline were trained by")
