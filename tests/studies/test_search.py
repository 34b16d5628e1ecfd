"""What a search may ask for: found out before anything trains."""

import re

import pytest

from activations.errors import InputError
from studies.loading import load
from studies.search import SEARCH_SEED, grid_cells
from studies.workspace import Workspace


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
