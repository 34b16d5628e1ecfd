"""Specifications: what is written is what runs, and a mistake is named with its remedy."""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from activations.errors import InputError
from bench.data.members import Hyperparameters
from studies.loading import load, shipped
from studies.plan import make_plan
from studies.workspace import Workspace
from tests.studies.conftest import DATA

MISTAKES = [
    ("trainning.steps=3", ["override trainning.steps=3", "Did you mean 'training'?"]),
    ("training.learn_rate=1", ["training.learn_rate", "Did you mean 'learning_rate'?", "Fields:"]),
    ("training.dropout=0.3", ["Did you mean 'model.dropout'?"]),
    ("training.steps=many", ["training.steps", "integer", "not 'many'"]),
    ("training.steps=0", ["override training.steps=0", "training.steps must be at least 1, not 0"]),
    ("training.clip_norm=true", ["training.clip_norm", "must be a number"]),
    ("model.dropout=1", ["model.dropout must be in [0, 1), not 1.0"]),
    ("model=3", ["model: ", "not 3"]),
    ("name.x=1", ["name has no fields below it"]),
    ("name=a/b", ["'a/b' cannot name a folder"]),
    ("variants.activation=[tanh,swsh]", ["variants.activation.1", "Did you mean 'swish'"]),
    ("variants.activation=x*__import__('os')", ["no function '__import__'"]),
    ("variants.activation=[tanh,tanh]", ["names 'tanh' twice"]),
    ("variants.activation=[silu,swish,tanh]", ["names 'silu' twice"]),
    ("variants.activation=[tanh,elu,celu]", ["variants: elu · gru and celu · gru are the same"]),
    ("variants.activation=[tanh,relu,'max(x,0)']", ["relu · gru and max(x, 0) · gru are the sa"]),
    ("variants.activation=[]", ["variants.activation", "must not be empty"]),
    ("variants.also=[{activaton: relu}]", ["variants.also.0", "Did you mean 'activation'?"]),
    ("variants.direction=both", ["should be 'gru' or 'bigru', not 'both'"]),
    ("protocol.devs=session", ["protocol.devs", "dev_fraction"]),
    ("protocol.dev=elsewhere", ["protocol.dev", "session, dialogues"]),
    ("features.pool=0", ["features: ", "pool 0"]),
    ("seeds=0", ["seeds: must not be empty"]),
    ("seeds=[1,1]", ["names 1 twice"]),
    ("baseline=gelu", ["baseline gelu is not among", "add it to variants.activation"]),
    ("corpus.path=/data", ["corpus.path has no meaning with corpus.format: demo"]),
    ("corpus.format=wav", ["corpus.format", "iemocap, manifest, audformat"]),
    ("search.training.lr=[1]", ["no such field to search"]),
    ("search.training.l2.low=1", ["search.training.l2", "needs low and high"]),
    ("search.training.l2={low: 0, high: 1, log: true}", ["log needs a low above 0"]),
    ("training.steps", ["'training.steps' is not an override", "key=value"]),
]


@pytest.mark.parametrize(("override", "said"), MISTAKES, ids=[pair[0] for pair in MISTAKES])
def test_a_mistaken_override_is_named_with_its_remedy(
    override: str, said: list[str], workspace: Workspace
) -> None:
    with pytest.raises(InputError) as raised:
        load("demo", [override], workspace=workspace)
    for part in said:
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpus: {format: demo}\ntraning: {steps: 3}", ["study.yaml: traning", "'training'"]),
        ("corpus: {format: demo}\nseeds: [a]", ["study.yaml: seeds.0", "not 'a'"]),
        ("corpus: {format: demo}\nseeds: 1\nseeds: 2", ["line 3", "'seeds' is given twice"]),
        ("corpus: {format: demo", ["study.yaml, line 1", "not valid YAML"]),
        ("seeds: 3", ["study.yaml: corpus is needed"]),
        ("- a list", ["is not a study"]),
        ("", ["is not a study"]),
    ],
)
def test_a_mistake_in_a_study_file_is_named_with_its_file(
    text: str, said: list[str], workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        load(str(path), workspace=workspace)
    for part in said:
        assert part in str(raised.value)


def test_an_unknown_study_is_told_with_the_nearest_name(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"no study 'dmo'\. Did you mean 'demo'"):
        load("dmo", workspace=workspace)
    with pytest.raises(InputError, match=r"nowhere\.yaml cannot be read"):
        load("nowhere.yaml", workspace=workspace)


@pytest.mark.parametrize("name", list(shipped()))
def test_every_shipped_study_loads_and_saves_to_the_same_specification(
    name: str, workspace: Workspace, tmp_path: Path
) -> None:
    spec = load(name, workspace=workspace)
    saved = tmp_path / "saved.yaml"
    saved.write_text(spec.as_yaml())
    assert load(str(saved), workspace=workspace) == spec
    assert spec.name == name


def test_the_paper_study_has_the_published_settings_and_500_members_on_five_folds(
    workspace: Workspace,
) -> None:
    spec = load("paper", workspace=workspace)
    assert spec.hyperparameters() == Hyperparameters()
    assert len(spec.variants.variants()) * 5 * len(spec.seeds) == 500


def test_overrides_are_typed_by_the_field_they_change(workspace: Workspace) -> None:
    changes = ["training.learning_rate=1e-4", "seeds=[4, 2]", "training.clip_norm=null"]
    changes += ["variants.activation=[tanh, 'max(x,0)+a*min(x,0); a=0.25']"]
    changes += ["search.training.learning_rate.low=1e-3"]
    spec = load("demo", changes, workspace=workspace)
    assert spec.training.learning_rate == 1e-4
    assert spec.training.clip_norm is None
    assert spec.seeds == (4, 2)
    assert [each.name for each in spec.variants.activation] == [
        "tanh",
        "a*min(x, 0) + max(x, 0); a=0.25",
    ]
    assert spec.search["training.learning_rate"].range == (1e-3, 1e-2)


def test_variants_are_the_grid_and_the_listed_ones_each_once(workspace: Workspace) -> None:
    changes = ["variants.activation=[tanh,relu]", "variants.direction=[gru,bigru]"]
    changes += ["variants.also=[{update: hardtanh}, {activation: relu}]"]
    labels = [v.label for v in load("demo", changes, workspace=workspace).variants.variants()]
    assert labels == [
        *("tanh · gru", "relu · gru", "tanh · bigru", "relu · bigru"),
        "tanh · gru · update hardtanh",
    ]


def test_a_study_that_was_run_is_found_by_its_name(workspace: Workspace, tmp_path: Path) -> None:
    spec = load("demo", ["name=mine", "seeds=3"], workspace=workspace)
    folder = workspace.study("mine")
    folder.root.mkdir(parents=True)
    folder.spec.write_text(spec.as_yaml())
    assert load("mine", workspace=workspace) == spec
    assert yaml.safe_load(folder.spec.read_text())["seeds"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.kind=lstm", "model.kind 'lstm' is none of iaan, gru"),
        ("model.layers=2", "model.layers has no meaning with model.kind: iaan"),
        ("model.pooling=max", "pooling"),
        ("features.kind=own", "path is needed with features.kind: own"),
    ],
)
def test_settings_that_the_network_or_the_features_would_not_read_are_refused(
    change: str, message: str, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load("demo", [change], workspace=workspace)


SIZES = list(range(8, 108))
MANY = json.dumps(
    {f"model.{name}": SIZES for name in ("hidden_size", "attention_size", "dense_size")}
    | {"training.batch_size": SIZES}
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seeds=1000000000", "at most 10,000 seeds"),
        ("seeds=10000", "asks for 200,000 members"),
        ("model.hidden_size=100000", "at most 65,536"),
        ("training.batch_size=10000000", "at most 1,000,000"),
        ("training.steps=1000000000", "at most 100,000,000"),
        ("corpus.seed=100000000000000000000", "less than or equal to 9223372036854775807"),
        ("corpus.dialogues_per_session=1000000000", "less than or equal to 1000"),
        ("tuning.trials=1000000000", "less than or equal to 10000"),
        ("tuning.batch=1000000000", "less than or equal to 10000"),
        (f"across={MANY}", "across: 100,000,000 combinations, and at most 10,000"),
        ([f"search={MANY}", "tuning.sampler=grid"], "search: 100,000,000 combinations"),
    ],
)
def test_sizes_from_outside_have_limits_that_are_said_at_once(
    workspace: Workspace, change: str | list[str], said: str
) -> None:
    changes = [change] if isinstance(change, str) else change
    with pytest.raises(InputError, match=said):
        make_plan(load("demo", changes, workspace=workspace), DATA)


def test_an_alias_bomb_is_refused_before_it_is_built(workspace: Workspace, tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in itertools.pairwise("abcdefghi"):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="with its aliases it has more than 50,000 values"):
        load(str(tmp_path / "bomb.yaml"), workspace=workspace)
