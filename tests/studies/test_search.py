"""What a search may ask for: found out before anything trains."""

import re

import pytest

from activations.catalogue import read_catalogue
from activations.errors import InputError
from reports.analysis.comparisons import resolve_baselines
from reports.score_table import load as score_table
from studies.loading import load, shipped
from studies.plan import make_plan
from studies.search import SEARCH_SEED, grid_cells
from studies.workspace import Workspace
from tests.studies.conftest import DATA, fake_result


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["search={training.learning_rate: {low: -1, high: 1}}"], "learning_rate must be positive"),
        (["search={model.dropout: {low: 0, high: 1}}"], "dropout must be in [0, 1), not 1"),
        (["search={model.hidden_size: {low: 0, high: 8}}"], "hidden_size must be at least 1"),
        (["search={model.hidden_size: {low: 1.5, high: 3}}"], "1.5: should be a valid integer"),
        (["search={model.layers: [1, 2]}"], "layers has no meaning with model.kind: iaan"),
        (["search={training.steps: [true]}"], "True: should be a valid integer"),
        (["search={training.adam: [torch, tf]}"], "should be 'torch' or 'tensorflow'"),
        (["search={training.clip_norm: [null, 0]}"], "clip_norm must be positive or None, not 0"),
        (
            ["model.kind=gru", "search={model.pooling: [attention, mean], "
             "model.attention_size: [16, 32]}"],
            "model.pooling 'mean', model.attention_size 32: attention_size has no meaning",
        ),
        (["tuning.sampler=grid"], "a grid needs a list of choices, not low and high"),
        (["search={}", "settings=tuned"], "settings: tuned needs to know what is searched"),
        (["seeds=[1, 1000]", "settings=tuned"], "seeds: 1000 is searched with"),
    ],
)  # fmt: skip
def test_a_search_that_would_fail_in_training_is_refused_before_it(
    changes: list[str], said: str, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        load("demo", changes, workspace=workspace)


def test_a_grid_has_exactly_its_cells_and_none_is_one_of_them(workspace: Workspace) -> None:
    changes = ["search={training.learning_rate: [5e-4, 2e-3], training.clip_norm: [null, 1.0]}"]
    spec = load("demo", [*changes, "tuning.sampler=grid"], workspace=workspace)
    assert [list(cell.values()) for cell in grid_cells(spec.search)] == [
        *([5e-4, None], [5e-4, 1.0]),
        *([2e-3, None], [2e-3, 1.0]),
    ]
    assert spec.tuning.seeds == (SEARCH_SEED,)


def test_crossed_settings_are_run_by_every_variant_and_compared_at_their_own(
    workspace: Workspace,
) -> None:
    plan = make_plan(load("size", workspace=workspace), DATA)
    assert len(plan.members) == 4 * 3 * 2 * 3  # variants, sizes, folds, seeds
    trials = {(t.variant.label, t.hyper.hidden_size) for t in plan.trials}
    assert len(trials) == 12
    results = [fake_result(member) for member in plan.members.values()]
    scores, _ = score_table(results, planned=plan.members.values())
    pairs = resolve_baselines(scores, "tanh")
    assert pairs["relu · gru · hidden_size 16"] == "tanh · gru · hidden_size 16"
    assert len(pairs) == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["across={model.hidden_size: [0]}"], "across.model.hidden_size: 0: hidden_size must be"),
        (["across={model.layer: [1]}"], "no such field. Did you mean 'model.layers'?"),
        (["across={model.hidden_size: [8, 8]}"], "needs a list of different values"),
        (["across.model.hidden_size=[8]", "settings=tuned"], "are either crossed or tuned"),
    ],
)
def test_a_crossing_that_makes_no_sense_is_refused(
    changes: list[str], said: str, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        load("demo", changes, workspace=workspace)


@pytest.mark.parametrize("study", [name for name in shipped() if name != "demo"])
def test_every_study_that_comes_with_gateswap_makes_a_plan(
    study: str, workspace: Workspace
) -> None:
    spec = load(study, workspace=workspace)
    chosen = None
    if spec.settings == "tuned":
        own = spec.hyperparameters()
        chosen = {(v, fold): own for v in spec.variants.variants() for fold in DATA.folds}
    plan = make_plan(spec, DATA, chosen)
    variants = len(spec.variants.variants())
    cells = len(spec.all_settings())
    assert len(plan.members) == variants * cells * len(DATA.folds) * len(spec.first_seeds)


@pytest.mark.parametrize("study", ["atlas-emodb", "atlas-ravdess"])
def test_the_atlas_has_every_formula_of_the_catalogue(study: str, workspace: Workspace) -> None:
    spec = load(study, workspace=workspace)
    texts = {variant.activation.text for variant in spec.variants.variants()}
    assert texts == {entry.formula().text for entry in read_catalogue()}
