import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from activations.errors import InputError
from reports.validation import ValidationReport, validate
from reports.validation.on_scores import comparisons_with_a_baseline
from reports.validation.rates import Rate, bias, false_positives, power
from reports.validation.worlds import (
    AS_ASSUMED,
    INDEPENDENT,
    RATIO,
    draw_scores,
    expected_spread,
    fold_deviation,
)


@pytest.fixture(scope="module")
def report() -> ValidationReport:
    # exact tests break a promise by chance with one seed in 25: the seed is fixed, not searched for
    return validate(120, seed=0)


def test_every_test_keeps_its_level_where_its_assumptions_hold(report: ValidationReport) -> None:
    broken = [(r.test, r.world, r.measured, r.error) for r in report.rates if not r.kept]
    assert broken == []
    assert report.kept
    assert sum(rate.promised for rate in report.rates) > 20


def test_naive_test_of_25_pairs_is_shown_to_be_far_too_trusting(report: ValidationReport) -> None:
    naive = [r for r in report.rates if r.test.startswith("25 runs") and "assumed" in r.world]
    assert [rate.verdict for rate in naive] == ["liberal"]
    assert naive[0].measured > 0.15
    assert not naive[0].promised


def test_power_is_what_was_predicted(report: ValidationReport) -> None:
    found = [rate for rate in report.rates if rate.quantity == "power" and rate.promised]
    assert len(found) == 2
    for rate in found:
        assert rate.measured == pytest.approx(rate.nominal, abs=3 * rate.error)


def test_family_finds_more_together_than_each_comparison_alone(report: ValidationReport) -> None:
    found = {r.test: r for r in report.rates if r.test.startswith("verdicts, +3")}
    for comparisons in (9, 18):
        rate = found[f"verdicts, +3 points in one of {comparisons}"]
        assert rate.measured > rate.nominal + 3 * rate.error


def test_every_use_that_broke_a_verdict_is_shown_beside_its_rule(report: ValidationReport) -> None:
    broken = [r for r in report.rates if "for contrast" in r.test and r.verdict == "liberal"]
    assert "runs diverged" in {r.world for r in broken}
    assert not any(r.promised for r in broken)


def test_report_is_json_and_a_table_with_every_rate(report: ValidationReport) -> None:
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert len(data["rates"]) == len(report.rates)
    assert {"test", "measured", "error", "n", "verdict", "kept"} <= set(data["rates"][0])
    console = Console(width=200, record=True)
    console.print(report.table())
    text = console.export_text()
    assert "factor contrasts" in text
    assert text.count("not promised here") == sum(not rate.promised for rate in report.rates)


def test_table_of_a_page_is_replaced_and_the_rest_stays(
    report: ValidationReport, tmp_path: Path
) -> None:
    page = tmp_path / "statistics.md"
    page.write_text(
        "before\n<!-- validation -->\nwhat stood there\n<!-- end of validation -->\nafter\n"
    )
    report.write_into(page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "what stood there" not in text
    assert text.count("\n| ") == len(report.rates) + 1
    with pytest.raises(InputError, match="no table to replace"):
        report.write_into(tmp_path / "none.md")


def test_same_seed_gives_the_same_rates() -> None:
    first, second, other = (
        [r.measured for r in comparisons_with_a_baseline(30, np.random.default_rng(seed))]
        for seed in (5, 5, 6)
    )
    assert first == second
    assert first != other


def test_worlds_have_the_correlation_and_spread_that_they_claim() -> None:
    rng = np.random.default_rng(0)
    for world in (INDEPENDENT, AS_ASSUMED):
        studies = np.stack([draw_scores(world, 2, rng).mean(-1) for _ in range(4000)])
        difference = studies[:, 1] - studies[:, 0]
        # 4,000 studies know a standard deviation to 1.1 % and a correlation to 0.016
        assert difference.std() == pytest.approx(fold_deviation(), rel=0.04)
        found = np.corrcoef(difference.T)[np.triu_indices(5, 1)]
        assert found.mean() == pytest.approx(world.correlation, abs=0.03)
        spread = np.sqrt(difference.var(axis=1, ddof=1).mean())
        assert spread == pytest.approx(expected_spread(world), rel=0.04)


def test_fold_sizes_are_iemocaps_with_one_session_for_testing_and_one_for_dev() -> None:
    assert RATIO[0] == pytest.approx(1085 / (1151 + 1031 + 1241))
    assert RATIO[4] == pytest.approx(1241 / (1023 + 1151 + 1031))


def test_a_broken_promise_is_noticed() -> None:
    liberal = false_positives("t", "w", [True] * 20 + [False] * 80, 0.05, promised=True)
    assert (liberal.verdict, liberal.kept) == ("liberal", False)
    assert false_positives("t", "w", [True] * 100, 0.05, promised=False).kept
    careful = false_positives("t", "w", [False] * 1000, 0.05, promised=True)
    assert (careful.verdict, careful.kept) == ("conservative", True)
    assert not power("t", "w", [True] * 50 + [False] * 50, 0.8, promised=True).kept
    assert not bias("t", "w", [2.0, 2.1, 1.9], 1.0).kept
    made = Rate(
        test="t",
        world="w",
        quantity="false positives",
        measured=0.2,
        nominal=0.05,
        error=0.01,
        n=100,
        promised=True,
    )
    assert not ValidationReport(rates=(made,), n=100, seed=0, seconds=0.0).kept


def test_progress_runs_from_nothing_to_done(monkeypatch: pytest.MonkeyPatch) -> None:
    import reports.validation as module

    monkeypatch.setattr(module, "CHECKS", [c for c in module.CHECKS if c[0].startswith("t-tests")])
    seen: list[tuple[str, float]] = []
    validate(20, progress=lambda name, share: seen.append((name, share)))
    assert seen[0] == ("t-tests and their family", 0.0)
    assert seen[-1] == ("done", 1.0)


def test_too_few_studies_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        validate(5)
