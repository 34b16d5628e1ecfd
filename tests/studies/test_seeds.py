from pathlib import Path

import numpy as np
import pytest

from activations.errors import InputError
from bench.training.results import MemberResult
from reports.statistics.variance import variance_components
from studies.growth import grown, unfinished
from studies.loading import load
from studies.runner import foresee_study, run_study
from studies.seeds import SeedNoise, SeedRule, seed_noise
from studies.workspace import Workspace
from tests.studies.conftest import DATA, MakeResult
from tests.studies.small_corpus import SMALL, write_corpus

RULE = "seeds={start: 2, until: 0.3, most: 7}"


def _table(between: float, within: float, seeds: int) -> np.ndarray:
    rng = np.random.default_rng(seeds)
    cells = between * rng.standard_normal((6, 5, 1))
    common = rng.standard_normal((1, 5, seeds))
    return 65 + cells + common + within * rng.standard_normal((6, 5, seeds))


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_share_of_the_seeds_luck_is_what_the_report_calls_removable(seeds: int) -> None:
    table = _table(1.0, 1.5, seeds)
    noise, report = seed_noise(table), variance_components(table)
    assert noise.share == pytest.approx(report.removable)
    assert noise.between == pytest.approx(report.fold_by_variant)


def test_rule_does_not_see_which_variant_leads() -> None:
    table = _table(1.0, 1.5, 4)
    moved = table + np.array([0, 9, -5, 1, 2, 3])[:, None, None] + np.arange(5)[None, :, None]
    assert seed_noise(moved).share == pytest.approx(seed_noise(table).share)


def test_rule_asks_for_what_is_needed_at_most_twice_as_many_at_once() -> None:
    rule = SeedRule(start=3, until=0.1, most=30)
    # 4 / s at most a tenth of the whole: (4 / s) / (1 + 4 / s) <= 0.1 from s = 36 on
    assert SeedNoise(between=1.0, within=4.0, seeds=3).needed(0.1) == 36
    assert rule.next(SeedNoise(between=1.0, within=4.0, seeds=3)) == 6
    assert rule.next(SeedNoise(between=1.0, within=4.0, seeds=24)) == 30
    assert rule.next(SeedNoise(between=1.0, within=4.0, seeds=30)) is None  # the most
    assert rule.next(SeedNoise(between=1.0, within=0.6, seeds=4)) == 6
    assert rule.next(SeedNoise(between=1.0, within=0.4, seeds=4)) is None
    assert rule.next(SeedNoise(between=0.0, within=0.4, seeds=4)) == 8
    assert rule.next(SeedNoise(between=0.0, within=0.0, seeds=4)) is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seeds={start: 1}", "seeds.start"),
        ("seeds={start: 5, most: 4}", r"most \(4\) must not be below start"),
        ("seeds={until: 1.5}", "seeds.until"),
        ("seeds={end: 4}", "seeds.end: no such field.* Fields: start, until, most"),
        ("seeds=[0, -1]", "seeds.1: should be greater than or equal to 0"),
    ],
)
def test_rule_that_cannot_be_is_refused(workspace: Workspace, override: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load("demo", [override], workspace=workspace)


def test_rule_excludes_looks_and_survives_its_own_file(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="read once where a rule adds seeds"):
        load("demo", [RULE, "analysis.looks=[2, 4]"], workspace=workspace)
    spec = load("demo", [RULE], workspace=workspace)
    path = Path(workspace.root) / "again.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(spec.as_yaml())
    assert (
        load(str(path), workspace=workspace).seeds
        == spec.seeds
        == SeedRule(start=2, until=0.3, most=7)
    )


def test_plan_grows_round_by_round_as_its_results_come_in(
    workspace: Workspace, make_result: MakeResult
) -> None:
    changes = ["variants.activation=[tanh,arelu]", "variants.direction=gru", RULE]
    spec = load("demo", changes, workspace=workspace)
    found: dict[str, MemberResult] = {}
    counts = []
    for _ in range(9):
        now = grown(spec, DATA, found)
        fresh = [key for key in now.plan.members if key not in found]
        counts.append(len(now.plan.members) // 4)
        if not fresh:
            break
        # four test utterances score in steps of 25: plenty of luck
        found |= {
            key: make_result(now.plan.members[key], 100 * len(found) + i)
            for i, key in enumerate(fresh)
        }
        half = dict(list(found.items())[:-1])  # interrupted: the same round again
        assert grown(spec, DATA, half).plan.members == now.plan.members
    assert counts[0] == 2
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
    assert not unfinished(spec, list(found.values()))
    assert "has ended" in now.said
    first = [r for r in found.values() if r.seed < 2]
    assert "wanted: at most 30% of the variance" in unfinished(spec, first)


def test_study_with_a_rule_trains_until_it_ends_and_goes_on_after_lost_results(
    workspace: Workspace, tmp_path: Path
) -> None:
    write_corpus(tmp_path)
    changes = [
        *SMALL,
        f"corpus={{format: manifest, path: {tmp_path}}}",
        "training.steps=20",
        "training.evaluate_every=10",
        "training.learning_rate=0.03",
        "stack.max_members=8",
        "seeds={start: 2, until: 0.01, most: 3}",
    ]
    spec = load("demo", changes, workspace=workspace)
    assert run_study(spec, workspace, mirror=False).trained == 2 * 3 * 3
    sorted(workspace.study("small").results.glob("*.npz"))[0].unlink()
    again = run_study(spec, workspace, mirror=False)
    assert (again.planned, again.found, again.trained) == (18, 17, 1)
    status = foresee_study(spec, workspace).status
    assert status.members == status.finished == 18
    assert "has ended" in status.seeds
