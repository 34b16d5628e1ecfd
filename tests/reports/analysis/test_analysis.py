import dataclasses
import json

import numpy as np
import pytest

import reports
from activations.errors import InputError
from bench.data.members import Variant
from reports.analysis.analysis import Analysis, analyse
from reports.analysis.breakdown import notes_on_classes
from reports.analysis.comparisons import resolve_baselines
from reports.analysis.settings import Settings
from reports.page.methods import methods_paragraph
from reports.page.tables import results_table
from reports.score_table import load
from tests.reports import synthetic


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(
        synthetic.study(diverged=[("relu · gru", 0, 1)], missing=[("elu · bigru", 1, 2)])
    )


def test_each_variant_is_compared_with_the_baseline_of_its_own_direction(
    analysis: Analysis,
) -> None:
    pairs = {c.variant: c.baseline for c in analysis.comparisons}
    directions = {s.variant: s.direction for s in analysis.summaries}
    assert len(pairs) == 8
    for variant, baseline in pairs.items():
        assert baseline == f"tanh · {directions[variant]}"


def test_a_difference_is_the_mean_over_folds_of_seed_means(analysis: Analysis) -> None:
    comparison = analysis.comparison("arelu · gru")
    assert comparison is not None
    assert comparison.test is not None
    place = analysis.variants.index
    paired = analysis.scores[place("arelu · gru")] - analysis.scores[place("tanh · gru")]
    assert comparison.differences == pytest.approx(paired.mean(axis=1))
    assert comparison.test.mean == pytest.approx(paired.mean())


def test_speakers_test_and_t_test_look_at_the_same_difference(analysis: Analysis) -> None:
    for comparison in analysis.comparisons:
        assert comparison.test is not None
        assert comparison.speakers is not None
        assert comparison.speakers.difference == pytest.approx(comparison.test.mean, abs=1e-9)


def test_what_five_folds_cannot_reach_is_marked(analysis: Analysis) -> None:
    for comparison in analysis.comparisons:
        assert comparison.fold_flips is not None
        assert comparison.fold_flips.smallest_p == 0.0625
        assert not comparison.fold_flips.reachable
        assert comparison.speakers is not None
        assert comparison.speakers.reachable
        # of the pairs that a missing run leaves, one speaker's do not differ at all
        assert comparison.speakers.blocks == (9 if comparison.variant == "elu · bigru" else 10)


def test_unfinished_and_diverged_runs_are_counted_where_they_belong(analysis: Analysis) -> None:
    rows = {s.variant: s for s in analysis.summaries}
    assert (rows["relu · gru"].diverged, rows["relu · gru"].missing) == (1, 0)
    assert (rows["elu · bigru"].diverged, rows["elu · bigru"].missing) == (0, 1)
    assert not analysis.complete
    diverged = analysis.comparison("relu · gru")
    assert diverged is not None
    assert "1 of 15 runs diverged" in diverged.conclusion.sentence
    cell = next(c for c in analysis.diagnostics if c.variant == "relu · gru")
    assert (cell.runs, cell.diverged) == (15, 1)
    assert len(cell.diverged_at) == 1


def test_every_number_survives_as_strict_json(analysis: Analysis) -> None:
    data = json.loads(json.dumps(analysis.as_dict(), allow_nan=False))
    assert data["variants"] == list(analysis.variants)
    assert len(data["scores"]) == 10
    assert data["comparisons"][0]["test"]["folds"] == 5


def test_the_same_results_give_the_same_analysis() -> None:
    results = synthetic.study(synthetic.variants(["tanh", "elu"]), seeds=2)
    assert analyse(results).as_dict() == analyse(results).as_dict()


def test_unfinished_study_gets_estimates_and_no_p_and_no_verdict(analysis: Analysis) -> None:
    assert analysis.permission.standing == "interim"
    for comparison in analysis.comparisons:
        assert comparison.test is not None
        assert np.isnan([comparison.p_adjusted, comparison.equivalence_p_holm]).all()
        assert comparison.conclusion.verdict == "interim"


@pytest.mark.parametrize("why", ["a run is missing", "oracle", "the rule goes on"])
def test_where_no_verdict_may_be_given_there_is_no_p_and_no_probability_anywhere(why: str) -> None:
    chosen = synthetic.variants(["tanh", "relu"], ["gru", "bigru"])
    lost = [("relu · gru", 0, 0)] if why == "a run is missing" else []
    results = synthetic.study(chosen, seeds=2, utterances=40, missing=lost)
    settings = {
        "oracle": Settings(selection="oracle"),
        "the rule goes on": Settings(growing="seeds: 2 of 9"),
    }.get(why)
    found = analyse(results, settings=settings)
    assert not found.permission.tested
    for c in found.comparisons:
        assert c.test is not None
        assert np.isfinite([c.test.low, c.test.high]).all()
        assert c.posterior is None
        assert np.isnan([c.p_adjusted, c.equivalence_p_holm, c.divergence_p]).all()
        for flips in (c.speakers, c.fold_flips):
            assert flips is None or np.isnan([flips.p, flips.adjusted]).all()
    assert found.factors
    assert np.isnan([factor.p_holm for factor in found.factors]).all()
    assert np.isnan(found.probability_relevant).all()
    assert found.ranks is None
    rows = results_table(found)
    assert rows[["p", "p_adjusted", "p_better", "speakers_p"]].isna().all(axis=None)
    assert "nothing was tested" in methods_paragraph(found)


def test_missing_and_unequal_seeds_leave_pairs_alone_and_both_variants_gaps_in_the_sentence() -> (
    None
):
    chosen = synthetic.variants(["tanh", "relu"], ["gru"])
    lost = [("tanh · gru", 0, 0), ("tanh · gru", 3, 2), ("relu · gru", 0, 1), ("relu · gru", 1, 0)]
    results = synthetic.study(chosen, seeds=3, utterances=60, missing=lost)
    whole = synthetic.study(chosen, seeds=3, utterances=60)
    found = analyse(results, planned=[r.member for r in whole])
    (comparison,) = found.comparisons
    first, second = (found.scores[found.variants.index(v)] for v in ("relu · gru", "tanh · gru"))
    pairs = first - second  # a seed counts where both have it
    assert np.isnan(pairs).sum() == 4
    by_fold = np.nanmean(pairs, axis=1)
    assert comparison.differences == pytest.approx(by_fold)
    assert comparison.test is not None
    assert comparison.test.mean == pytest.approx(by_fold.mean())
    columns = np.nanmean(first, axis=1).mean() - np.nanmean(second, axis=1).mean()
    assert columns != pytest.approx(by_fold.mean(), abs=0.05)  # what column means would have said
    for test in (comparison.war, comparison.by_selection["last"], comparison.sound):
        assert test is not None
        assert test.folds == 5
    assert comparison.by_selection["dev"] == comparison.sound == comparison.test
    assert comparison.speakers is not None
    assert comparison.speakers.difference == pytest.approx(comparison.test.mean)
    said = comparison.conclusion.sentence
    assert (
        "2 of 15 runs of relu · gru and 2 of 15 runs of tanh · gru are missing, and only seeds "
        "that both have count" in said
    )


def test_planned_comparisons_are_a_family_of_their_own_and_the_rest_is_exploratory() -> None:
    results = reports.example(["tanh", "relu", "elu", "selu"], ["gru"], utterances=200)
    planned = analyse(results, settings=Settings(primary=("relu · gru",)))
    assert [(f.name, f.variants) for f in planned.families] == [
        ("primary", ("relu · gru",)),
        ("exploratory", ("elu · gru", "selu · gru")),
    ]
    first = planned.comparison("relu · gru")
    others = [c for c in planned.comparisons if c is not first]
    assert first is not None
    assert first.test is not None
    assert first.p_adjusted == pytest.approx(first.test.p)  # alone in its family
    assert first.conclusion.verdict in ("better", "worse", "equal", "undecided")
    assert [c.conclusion.verdict for c in others] == ["exploratory"] * 2
    assert all(c.test and c.p_adjusted >= c.test.p * (1 - 1e-12) for c in others)
    changed = analyse(results, settings=Settings(departures=("the margin was planned as 2",)))
    assert {c.conclusion.verdict for c in changed.comparisons} == {"exploratory"}
    assert "the margin was planned as 2" in changed.permission.why


def test_a_planned_variant_that_is_run_with_several_settings_is_primary_with_each() -> None:
    results = reports.example(["tanh", "relu", "elu"], ["gru"], seeds=1, utterances=60)
    sizes = [
        synthetic.of_another(
            r, member=dataclasses.replace(r.member, hyper=dataclasses.replace(r.hyper, steps=steps))
        )
        for r in results
        for steps in (100, 200)
    ]
    found = analyse(sizes, settings=Settings(primary=("relu · gru",)))
    assert {f.name: f.variants for f in found.families} == {
        "primary": ("relu · gru · steps 100", "relu · gru · steps 200"),
        "exploratory": ("elu · gru · steps 100", "elu · gru · steps 200"),
    }


def test_a_mean_is_corrected_and_seeds_are_apart_from_folds(analysis: Analysis) -> None:
    row = next(s for s in analysis.summaries if s.variant == "tanh · bigru")
    table = analysis.scores[analysis.variants.index("tanh · bigru")]
    score = row.uar["dev"]
    assert score.mean == pytest.approx(table.mean())
    assert score.spread == pytest.approx(table.mean(axis=1).std(ddof=1))
    assert score.seed_spread == pytest.approx(np.sqrt(table.var(axis=1, ddof=1).mean()))
    assert score.interval is not None
    assert score.interval.mean == pytest.approx(score.mean)


def test_confusion_rows_add_up_to_a_hundred_points(analysis: Analysis) -> None:
    assert analysis.confusion.shape == (10, 4, 4)
    assert analysis.confusion.sum(axis=-1) == pytest.approx(np.full((10, 4), 100.0))


def test_gap_between_oracle_and_dev_is_never_negative_and_has_an_interval(
    analysis: Analysis,
) -> None:
    assert len(analysis.gap.gaps) == 10
    for gap in analysis.gap.gaps:
        assert gap.oracle_gain is not None
        assert gap.oracle_gain.mean >= 0 or "relu" in gap.variant
        assert gap.oracle_gain.low <= gap.oracle_gain.mean <= gap.oracle_gain.high
    assert set(analysis.gap.order["dev"]) == set(analysis.variants)


def test_a_ranking_that_the_selection_rule_turns_is_reported() -> None:
    results = synthetic.study(synthetic.variants(["tanh", "elu"], ["gru"]), folds=3, seeds=1)
    swapped = [
        dataclasses.replace(r, logits={**r.logits, "oracle": np.eye(4)[r.truths]})
        if (r.variant.activation.name == "tanh")
        else r
        for r in results
    ]
    gap = analyse(swapped).gap
    assert gap.order["oracle"][0] == "tanh · gru"
    if gap.order["dev"][0] == "elu · gru":
        assert gap.best_changes
        assert gap.reversed_pairs == (("elu · gru", "tanh · gru"),)
        assert gap.kendall_tau == pytest.approx(-1)


def test_subsets_cover_every_utterance_once_per_kind(analysis: Analysis) -> None:
    for kind, number in (("class", 4), ("style", 2), ("speaker", 10), ("length", 3)):
        subsets = [subset for subset in analysis.subsets if subset.kind == kind]
        assert len(subsets) == number
        assert sum(subset.utterances for subset in subsets) == analysis.utterances
    recalls = {s.name: s for s in analysis.subsets if s.kind == "class"}
    place = analysis.variants.index("tanh · gru")
    for c, name in enumerate(analysis.classes):
        score = next(s.score for s in recalls[name].scores if s.variant == "tanh · gru")
        assert score == pytest.approx(analysis.confusion[place, c, c])


def test_diagnostics_describe_gates_reach_and_learnt_parameters(analysis: Analysis) -> None:
    cell = next(c for c in analysis.diagnostics if c.variant == "arelu · bigru")
    assert set(cell.quantities) >= {"dead candidate units", "norm of h", "steps back to a tenth"}
    for quantity in cell.quantities.values():
        assert quantity.folds.shape == (5,)
        assert quantity.mean == pytest.approx(quantity.folds.mean())
    assert cell.reach.shape == (51,)
    assert cell.reach[0] == pytest.approx(1.0)
    assert np.isfinite(cell.reach).all()
    # three encoders, two directions, two parameters of AReLU, 15 runs at 20 points
    assert len(cell.traces) == 12
    assert {(t.name, t.initial) for t in cell.traces} == {("alpha", 0.9), ("beta", 2.0)}
    assert {t.runs.shape for t in cell.traces} == {(15, synthetic.EVALUATIONS)}
    plain = next(c for c in analysis.diagnostics if c.variant == "tanh · bigru")
    assert plain.traces == ()


def test_curves_average_seeds_then_folds_with_intervals_over_folds(analysis: Analysis) -> None:
    curve = next(c for c in analysis.curves if (c.variant, c.name) == ("elu · gru", "dev_uar"))
    assert curve.folds.shape == (5, synthetic.EVALUATIONS)
    assert curve.mean == pytest.approx(curve.folds.mean(axis=0))
    assert (curve.low < curve.mean).all()
    assert curve.mean.max() > 40  # points, not shares
    broken = next(c for c in analysis.curves if (c.variant, c.name) == ("relu · gru", "dev_uar"))
    assert broken.runs == 14


def test_variance_ranks_and_factors_are_there_for_a_full_design() -> None:
    analysis = analyse(synthetic.study(diverged=[("relu · gru", 0, 1)]))
    assert analysis.variance is not None
    assert analysis.ranks is not None
    assert analysis.ranks.reachable
    main = [c for c in analysis.factors if c.factor != "activation × direction"]
    assert {c.level for c in main} == {"relu", "elu", "swish", "arelu", "bigru"}
    assert {c.reference for c in main} == {"tanh", "gru"}


def test_effect_of_an_activation_is_the_mean_of_its_differences_in_both_directions(
    analysis: Analysis,
) -> None:
    found = next(c for c in analysis.factors if c.level == "swish")
    both = [analysis.comparison(f"swish · {direction}") for direction in ("gru", "bigru")]
    assert found.test is not None
    means = [c.test.mean for c in both if c is not None and c.test is not None]
    assert found.test.mean == pytest.approx(sum(means) / 2)


def test_what_was_run_in_one_direction_alone_is_left_out_of_the_factors_and_named() -> None:
    chosen = [*synthetic.variants(["tanh", "elu"]), Variant("relu"), Variant("elu", update="erf")]
    found = analyse(synthetic.study(chosen, folds=3, seeds=1, utterances=60))
    assert {c.level for c in found.factors if c.factor == "activation"} == {"elu"}
    assert any("left out" in n or "leave out" in n for n in found.notes)
    assert any("relu, elu · update erf" in n or "elu · update erf" in n for n in found.notes)


def test_a_study_with_one_fold_is_judged_by_its_seeds_and_speakers() -> None:
    chosen = synthetic.variants(["tanh", "relu"], ["gru"])
    found = analyse(synthetic.study(chosen, folds=1, seeds=6, effects={"relu": -3.0}))
    (family,) = found.families
    assert family.rule == "one split"
    assert any("hold for this training set" in note for note in found.notes)
    (comparison,) = found.comparisons
    assert comparison.test is not None
    assert comparison.test.degrees_of_freedom == 1  # two speakers, six seeds
    means = {s.variant: s.uar["dev"].mean for s in found.summaries}
    difference = means["relu · gru"] - means["tanh · gru"]
    assert comparison.test.mean == pytest.approx(difference)
    assert comparison.conclusion.verdict in ("worse", "undecided")
    single = analyse(synthetic.study(chosen, folds=1, seeds=1))
    assert single.variance is None
    assert any("two folds" in note for note in single.notes)
    json.dumps(single.as_dict(), allow_nan=False)
    (alone,) = single.comparisons
    assert alone.conclusion.verdict == "not compared"
    assert "two seeds of both and two test speakers" in alone.conclusion.sentence


def test_verdicts_on_accuracy_test_accuracy() -> None:
    results = synthetic.study(synthetic.variants(["tanh", "relu"], ["gru"]))
    found = analyse(results, settings=Settings(metric="war"))
    (comparison,) = found.comparisons
    assert comparison.test is not None
    assert comparison.war is not None
    assert comparison.test.mean == pytest.approx(comparison.war.mean)
    assert "points WAR" in comparison.conclusion.sentence
    assert comparison.speakers is not None
    assert comparison.speakers.difference == pytest.approx(comparison.test.mean)


def test_folds_that_share_their_training_set_are_one_unit_wherever_there_is_an_interval() -> None:
    chosen = synthetic.variants(["tanh", "relu"], ["gru", "bigru"])
    apart = synthetic.study(chosen, folds=4)
    shared = [
        dataclasses.replace(r, dialogs=np.array([f"{int(r.fold[-1]) // 3}"] * len(r.dialogs)))
        for r in apart
    ]
    found, before = analyse(shared), analyse(apart)
    assert found.units.tolist() == [0, 0, 1, 1]
    tests = [
        *(c.test for c in found.comparisons),
        *(c.war for c in found.comparisons),
        *(c.by_selection["last"] for c in found.comparisons),
        *(s.uar["dev"].interval for s in found.summaries),
        *(f.test for f in found.factors),
        *(g.oracle_gain for g in found.gap.gaps),
    ]
    assert len(tests) > 12
    assert all(test is not None and test.folds == 2 for test in tests)
    for one, other in zip(found.comparisons, before.comparisons, strict=True):
        assert one.test is not None
        assert other.test is not None
        assert one.test.mean == pytest.approx(other.test.mean)


def test_a_planned_variant_without_results_is_listed_and_not_compared() -> None:
    results = synthetic.study(synthetic.variants(["tanh", "elu"]), folds=3, seeds=2)
    planned = [r.member for r in results]
    planned += [
        dataclasses.replace(m, variant=Variant("mish", direction=m.variant.direction))
        for m in planned
        if m.variant.activation.name == "elu"
    ]
    found = analyse(results, planned=planned)
    mish = found.comparison("mish · gru")
    assert mish is not None
    assert mish.conclusion.verdict == "not compared"
    assert mish.speakers is None
    assert len(found.missing) == 12
    assert not np.isfinite(found.scores[found.variants.index("mish · gru")]).any()
    json.dumps(found.as_dict(), allow_nan=False)


def test_two_rows_of_the_same_predictions_are_never_different() -> None:
    results = synthetic.study(synthetic.variants(["tanh"], ["gru"]), seeds=2)
    copies = [
        synthetic.of_another(r, member=dataclasses.replace(r.member, variant=Variant("identity")))
        for r in results
    ]
    found = analyse(results + copies).comparisons[0]
    assert found.test is not None
    assert (found.test.mean, found.test.p) == (0.0, 1.0)
    assert found.conclusion.verdict == "undecided"
    assert "do not vary" in found.conclusion.sentence


def test_a_baseline_can_be_one_variant_for_all() -> None:
    scores, _ = load(synthetic.study(synthetic.variants(["tanh", "elu"]), folds=2, seeds=1))
    assert resolve_baselines(scores, "tanh · gru") == {
        "elu · gru": "tanh · gru",
        "tanh · bigru": "tanh · gru",
        "elu · bigru": "tanh · gru",
    }


def test_a_baseline_keeps_reset_order_and_plain_gates() -> None:
    chosen = [
        Variant("tanh"),
        Variant("tanh", reset_order="before"),
        Variant("tanh", update="erf"),
        Variant("elu", reset_order="before"),
        Variant("elu", update="erf"),
    ]
    scores, _ = load(synthetic.study(chosen, folds=2, seeds=1))
    assert resolve_baselines(scores, "tanh") == {
        "tanh · gru · update erf": "tanh · gru",
        "elu · gru · reset before": "tanh · gru · reset before",
        "elu · gru · update erf": "tanh · gru",
    }


def test_a_baseline_that_was_not_run_is_an_error_that_names_the_variants() -> None:
    results = synthetic.study(synthetic.variants(["tanh", "elu"]), folds=2, seeds=1)
    with pytest.raises(InputError, match=r"'relu'.*elu · gru, tanh · gru"):
        analyse(results, baseline="relu")
    partly = [r for r in results if r.variant != Variant("tanh", direction="bigru")]
    with pytest.raises(InputError, match="tanh was not run as bigru"):
        analyse(partly)


def test_selection_of_the_protocol_is_what_leads_unless_told_otherwise() -> None:
    results = synthetic.study(
        synthetic.variants(["tanh", "elu"], ["gru"]), folds=3, seeds=1, selection="oracle"
    )
    assert analyse(results).settings.selection == "oracle"
    told = analyse(results, settings=Settings(selection="last"))
    assert told.comparisons[0].test == told.comparisons[0].by_selection["last"]


def test_speakers_of_a_fold_that_was_not_run_do_not_count_as_blocks() -> None:
    gap = [("elu · gru", 3, seed) for seed in range(2)]
    results = synthetic.study(synthetic.variants(["tanh", "elu"], ["gru"]), seeds=2, missing=gap)
    found = analyse(results).comparisons[0]
    assert found.folds == ("Ses01", "Ses02", "Ses03", "Ses05")
    assert found.speakers is not None
    assert (found.speakers.blocks, found.speakers.smallest_p) == (8, 2 / 256)
    assert found.test is not None
    assert found.speakers.difference == pytest.approx(found.test.mean, abs=1e-9)


def test_a_test_set_that_lacks_a_class_is_named(analysis: Analysis) -> None:
    assert not any("lack a class" in note or "lacks a class" in note for note in analysis.notes)
    _, predictions = load(reports.example(["tanh"], ["gru"], folds=2, seeds=1))
    ends = predictions.fold == 1
    without = np.where(ends & (predictions.truths == 0), 1, predictions.truths)
    (note,) = notes_on_classes(dataclasses.replace(predictions, truths=without))
    assert note == (
        "1 of 2 test sets lacks a class (Ses02 has no ang): UAR is the mean over the classes that "
        "are there."
    )
