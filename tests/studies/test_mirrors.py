"""MLflow and Optuna: pictures of the result files that can be drawn again and stay the same."""

import itertools
import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pytest

from activations.errors import GateswapError, InputError, one_line
from bench.data.members import Activation, Hyperparameters
from studies import databases, run_writing, tuning
from studies.loading import load
from studies.plan import Plan, group_attempts
from studies.reaching import bounded
from studies.reflecting import mirror_study
from studies.result_files import ResultFolder
from studies.run_records import confusion_table, member_record, trial_record
from studies.serving import server_command
from studies.spec import StudySpec
from studies.storages import Storage, storage_of
from studies.tracking import Mirror
from studies.tuned import objective
from studies.workspace import StudyFolder, Workspace
from tests.programs import Program
from tests.studies.conftest import MakeResult, Said

if TYPE_CHECKING:
    from mlflow.entities import Run

SEARCH = [
    "search={training.learning_rate: {low: 1e-3, high: 1e-2, log: true}, "
    "model.hidden_size: [16, 32], training.batch_size: {low: 8, high: 64}}"
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, made once: MLflow needs seconds to create one."""
    place = Workspace(tmp_path_factory.mktemp("mlflow"))
    Mirror("demo", place)
    return place.mlflow_database


def picture(workspace: Workspace, study: str = "demo") -> dict[str, dict[str, Any]]:
    """Everything MLflow shows of a study, by run name, without the runs' own ids."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(bounded(storage_of(workspace, "MLflow")))
    experiment = client.get_experiment_by_name(study)
    runs: list[Run] = client.search_runs([experiment.experiment_id], max_results=1000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    drawn = {}
    for run in runs:
        tags = dict(run.data.tags)
        parent = tags.pop("mlflow.parentRunId", None)
        curve = client.get_metric_history(run.info.run_id, "train_loss")
        drawn[run.info.run_name] = {
            "parent": names.get(parent),
            "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": tags,
            "status": run.info.status,
            "when": (run.info.start_time, run.info.end_time),
            "artifact_uri": run.info.artifact_uri.replace(run.info.run_id, "RUN"),
            "data": [
                (each.dataset.name, each.dataset.digest, each.dataset.profile, each.tags[0].value)
                for each in run.inputs.dataset_inputs
            ],
            "train_loss": [(point.step, point.value) for point in curve],
            "artifacts": [file.path for file in client.list_artifacts(run.info.run_id)],
        }
    assert len(drawn) == len(runs)
    return drawn


def rounded(drawn: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A picture that does not depend on the order in which members were drawn, as means do, and
    trials, which begin with the first of them.
    """
    return {
        name: run
        | {"metrics": {key: round(value, 12) for key, value in run["metrics"].items()}}
        | ({} if run["parent"] else {"when": None})
        for name, run in drawn.items()
    }


def test_mlflow_shows_trials_with_their_members_and_rebuilding_shows_the_same(
    database: Path, finished: StudyFolder, plan: Plan, workspace: Workspace
) -> None:
    results = ResultFolder(finished.results)
    workspace.mlflow_database.write_bytes(database.read_bytes())
    half = list(plan.members)[:5]
    hidden = workspace.root / "hidden"
    hidden.mkdir()
    for key in half:
        results.file(key).rename(hidden / results.file(key).name)
    assert Mirror("demo", workspace).add(results) == 3
    for key in half:
        (hidden / results.file(key).name).rename(results.file(key))
    assert Mirror("demo", workspace).add(results) == 5
    drawn = picture(workspace)
    assert Mirror("demo", workspace).add(results) == 0
    assert picture(workspace) == drawn

    assert len(drawn) == 10  # two trials and their eight members
    member = drawn["arelu · gru · Ses02 · seed 1"]
    result = next(r for r in results.by_hash().values() if _name(r) == "arelu · gru Ses02 1")
    assert member["parent"] == "arelu · gru"
    assert member["status"] == "FINISHED"
    assert member["params"]["learning_rate"] == str(result.hyper.learning_rate)
    assert member["tags"]["kernel"] == "reference (torch 2.13.0)"
    assert member["tags"]["code_version"] == "0.1.0 (abc)"
    assert member["tags"]["corpus"] == "demo (synthetic)"
    assert member["artifacts"] == ["confusion.csv"]
    steps = result.curves["step"].astype(int).tolist()
    assert member["train_loss"] == list(
        zip(steps, result.curves["train_loss"].tolist(), strict=True)
    )
    accuracy = np.mean(result.predictions("dev") == result.truths)
    assert member["metrics"]["test_war.dev"] == pytest.approx(accuracy)
    whole = drawn["arelu · gru"]
    trial = whole["metrics"]
    scores = [
        run["metrics"]["test_uar.dev"] for run in drawn.values() if run["parent"] == "arelu · gru"
    ]
    assert int(whole["tags"]["gateswap.members"]) == len(scores) == 4
    assert trial["test_uar.dev"] == pytest.approx(np.mean(scores))
    assert trial["test_uar.dev.std"] == pytest.approx(np.std(scores, ddof=1))
    curves = [run["train_loss"] for run in drawn.values() if run["parent"] == "arelu · gru"]
    assert [step for step, _ in whole["train_loss"]] == steps
    expected = np.mean([[value for _, value in curve] for curve in curves], axis=0)
    np.testing.assert_allclose([value for _, value in whole["train_loss"]], expected)

    workspace.mlflow_database.write_bytes(database.read_bytes())
    assert Mirror("demo", workspace).add(results) == 8
    again = picture(workspace)
    assert rounded(again) == rounded(drawn)


def test_rows_inserted_at_once_show_what_mlflow_s_interface_shows(
    database: Path, finished: StudyFolder, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = min(ResultFolder(finished.results).hashes())
    results = ResultFolder(finished.results)
    odd = results.read(key)
    odd.curves["train_loss"][:] = [math.nan, math.inf, -math.inf]
    results.file(key).unlink()
    results.write(key, odd)
    workspace.mlflow_database.write_bytes(database.read_bytes())
    Mirror("demo", workspace).add(results)
    assert isinstance(Mirror("demo", workspace)._runs, run_writing.Tables)
    inserted = json.dumps(rounded(picture(workspace)), sort_keys=True)  # NaN equals itself
    workspace.mlflow_database.write_bytes(database.read_bytes())
    monkeypatch.setattr(run_writing, "_is_known", lambda _: False)
    assert Mirror("demo", workspace).add(results) == 8
    assert json.dumps(rounded(picture(workspace)), sort_keys=True) == inserted
    monkeypatch.undo()
    assert Mirror("demo", workspace).add(results) == 0
    assert json.dumps(rounded(picture(workspace)), sort_keys=True) == inserted


def test_a_study_called_default_is_drawn_into_mlflows_experiment_of_that_name(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    from mlflow.tracking import MlflowClient

    workspace.mlflow_database.write_bytes(database.read_bytes())
    assert Mirror("Default", workspace).add(ResultFolder(finished.results)) == 8
    assert Mirror("Default", workspace).add(ResultFolder(finished.results)) == 0
    client = MlflowClient(bounded(storage_of(workspace, "MLflow")))
    assert client.get_experiment_by_name("Default").experiment_id == "0"
    assert len(client.search_runs(["0"])) == 10  # two trials and their eight members


@pytest.mark.parametrize(
    "name", ["=cmd|'/C calc'!A1", "@SUM(A1)", "a\x1b[2J\n../b\0", "\udcff" * 400, "x" * 500]
)
def test_names_from_outside_are_text_in_what_mlflow_lists(
    name: str, plan: Plan, make_result: MakeResult
) -> None:
    member = replace(next(iter(plan.members.values())), fold=name)
    variant = replace(member.variant, activation=Activation(name, "x*x"))
    result = make_result(replace(member, variant=variant))
    corpus = replace(result.identity.corpus, name=name)
    result = replace(result, identity=replace(result.identity, corpus=corpus))
    for record in (
        member_record("k", result, "p", ended=2_000),
        trial_record(result, started=1, ended=2),
    ):
        assert len(record.name) <= 250
        texts = [record.name, *record.params.values(), record.tags["corpus"]]
        for text in (*texts, record.dataset.dataset.name):
            assert not text.startswith(("=", "+", "-", "@"))
            assert text == one_line(text)
            text.encode()


def test_a_run_that_was_cut_off_half_way_is_drawn_anew(
    database: Path, finished: StudyFolder, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setattr(run_writing, "_is_known", lambda _: False)
    workspace.mlflow_database.write_bytes(database.read_bytes())
    mirror = Mirror("demo", workspace)
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_text", _killed)
        with pytest.raises(KeyboardInterrupt):
            mirror.add(ResultFolder(finished.results))
    assert Mirror("demo", workspace).add(ResultFolder(finished.results)) == 8
    assert {run["status"] for run in picture(workspace).values()} == {"FINISHED"}


@pytest.mark.parametrize("moment", ["after the trial's run", "before the trial's summary"])
def test_what_a_kill_left_of_a_trial_is_mended(
    moment: str,
    database: Path,
    finished: StudyFolder,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking import MlflowClient

    workspace.mlflow_database.write_bytes(database.read_bytes())
    results = ResultFolder(finished.results)
    Mirror("demo", workspace).add(results)
    expected = picture(workspace)
    workspace.mlflow_database.write_bytes(database.read_bytes())
    with monkeypatch.context() as patched:
        if moment == "after the trial's run":
            patched.setattr(run_writing, "_is_known", lambda _: False)
            patched.setattr(MlflowClient, "log_batch", _killed)
        else:
            patched.setattr(Mirror, "_summarise", _nth_call_kills(1, Mirror._summarise))
        mirror = Mirror("demo", workspace)
        with pytest.raises(KeyboardInterrupt):
            mirror.add(results)
    added = Mirror("demo", workspace).add(results)
    assert added == (8 if moment == "after the trial's run" else 0)
    assert rounded(picture(workspace)) == rounded(expected)


def test_a_trial_without_parameters_gets_those_of_its_members(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    workspace.mlflow_database.write_bytes(database.read_bytes())
    results = ResultFolder(finished.results)
    Mirror("demo", workspace).add(results)
    expected = picture(workspace)
    with sqlite3.connect(workspace.mlflow_database) as connection:
        connection.execute(
            "delete from params where run_uuid not in "
            "(select run_uuid from tags where key = 'gateswap.member')"
        )
    assert picture(workspace) != expected
    Mirror("demo", workspace).add(results)
    assert rounded(picture(workspace)) == rounded(expected)


def test_two_mirrors_of_one_study_draw_each_member_once(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    workspace.mlflow_database.write_bytes(database.read_bytes())
    first, second = Mirror("demo", workspace), Mirror("demo", workspace)
    results = ResultFolder(finished.results)
    key = min(results.hashes())
    hidden = workspace.root / "hidden"
    results.file(key).rename(hidden)
    assert first.add(results) == 7
    hidden.rename(results.file(key))
    assert second.add(results) == 1
    assert first.add(results) == 0
    assert len(picture(workspace)) == 10


MIRRORS = """
import sys
from pathlib import Path
from studies.result_files import ResultFolder
from studies.tracking import Mirror
from studies.workspace import Workspace
place, name = Workspace(Path(sys.argv[1])), sys.argv[2]
print(Mirror(name, place).add(ResultFolder(place.study(name).results)))
"""


@pytest.mark.services
def test_two_studies_begun_at_once_in_a_new_workspace_are_both_mirrored(
    finished: StudyFolder, workspace: Workspace
) -> None:
    shutil.copytree(finished.root, workspace.study("other").root)
    both = [Program(MIRRORS, str(workspace.root), name) for name in ("demo", "other")]
    for program in both:
        done = program.end(240)
        assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr
    assert len(picture(workspace)) == len(picture(workspace, "other")) == 10


def test_an_interrupted_first_start_leaves_no_database(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.store.db.utils as schema

    with monkeypatch.context() as patched:
        patched.setattr(schema, "_upgrade_db", _killed)
        with pytest.raises(KeyboardInterrupt):
            Mirror("demo", workspace)
    assert list(workspace.root.iterdir()) == []


def test_a_half_migrated_database_without_runs_is_set_aside(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    with sqlite3.connect(workspace.mlflow_database) as connection:  # what a kill once left
        connection.execute("create table experiments (experiment_id integer, name text)")
        connection.execute("create table runs (run_uuid text)")
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('451aebb31d03')")
    assert Mirror("demo", workspace).add(ResultFolder(finished.results)) == 8
    assert (workspace.root / "mlflow.db.unusable1").exists()


def _with_version(database: Path, target: Path, version: str) -> None:
    target.write_bytes(database.read_bytes())
    with sqlite3.connect(target) as connection:
        connection.execute("update alembic_version set version_num = ?", [version])
        experiment = "insert into runs (run_uuid, experiment_id) values ('mine', 0)"
        connection.execute(experiment)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("451aebb31d03", r"an older version of MLflow made it.*mlflow db upgrade sqlite:///"),
        ("ffffffffffff", r"a later version of MLflow made it.*pip install -U mlflow"),
    ],
)
def test_a_database_of_another_mlflow_is_told_how_to_go_on_and_stays(
    version: str, said: str, database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    _with_version(database, workspace.mlflow_database, version)
    before = workspace.mlflow_database.read_bytes()
    with pytest.raises(GateswapError, match=said):
        Mirror("demo", workspace)
    assert workspace.mlflow_database.read_bytes() == before
    assert finished.results.exists()


def test_a_locked_database_is_told_to_be_waited_for() -> None:
    error = sqlite3.OperationalError("database is locked")
    storage = Storage("Optuna", "sqlite:///optuna.db", file=Path("optuna.db"))
    said = str(databases.trouble(storage, error, "demo"))
    assert "another program has locked it" in said
    assert "wait for that to end, then run: gateswap mirror demo" in said


def test_a_diverged_member_is_shown_with_its_step(
    database: Path, plan: Plan, make_result: MakeResult, workspace: Workspace
) -> None:
    workspace.root.mkdir()
    workspace.mlflow_database.write_bytes(database.read_bytes())
    key, member = next(iter(plan.members.items()))
    results = ResultFolder(workspace.study("demo").results)
    curves = {"train_loss": np.array([0.7, math.nan, math.inf])}
    diverged = make_result(member, outcome="diverged", diverged_at=17)
    diverged.curves.update(curves)  # type: ignore[attr-defined]
    results.write(key, diverged)
    Mirror("demo", workspace).add(results)
    (run,) = (run for run in picture(workspace).values() if run["parent"])
    assert run["tags"]["outcome"] == "diverged"
    assert run["tags"]["diverged_at"] == "17"


@pytest.mark.parametrize("content", [b"this is no database " * 100, bytes(4096), None])
def test_a_broken_mlflow_database_is_told_with_the_remedy(
    content: bytes | None, workspace: Workspace
) -> None:
    workspace.root.mkdir()
    if content is None:
        workspace.mlflow_database.mkdir()
    else:
        workspace.mlflow_database.write_bytes(content)
    with pytest.raises(
        GateswapError, match="move the file elsewhere and run: gateswap mirror demo"
    ):
        Mirror("demo", workspace)


def test_the_confusion_table_counts_every_test_utterance(
    plan: Plan, make_result: MakeResult
) -> None:
    result = make_result(next(iter(plan.members.values())))
    header, *rows = [
        line.split(",")
        for line in confusion_table(result.confusion("last"), result.classes).splitlines()
    ]
    assert header == ["true \\ predicted", "ang", "hap"]
    assert [row[0] for row in rows] == ["ang", "hap"]
    assert [sum(map(int, row[1:])) for row in rows] == [2, 2]


def test_the_ui_needs_runs_and_a_free_port(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="gateswap demo"):
        server_command(workspace, 5000)
    workspace.root.mkdir()
    workspace.mlflow_database.touch()
    command, environment = server_command(workspace, 0)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def optuna_trials(workspace: Workspace) -> list[tuple[Any, ...]]:
    study = optuna.load_study(
        study_name="demo", storage=f"sqlite:///{workspace.optuna_database.resolve()}"
    )
    return sorted(
        (
            t.user_attrs["variant"],
            t.value,
            sorted(t.params.items()),
            t.user_attrs["members"],
            t.user_attrs["settings"],
        )
        for t in study.get_trials()
    )


def test_optuna_is_told_each_finished_trial_once_and_rebuilding_tells_the_same(
    finished: StudyFolder, plan: Plan, workspace: Workspace
) -> None:
    found = ResultFolder(finished.results).by_hash()
    incomplete = dict(list(found.items())[1:])
    attempts = group_attempts(plan.members)
    assert tuning.tell(plan.spec, attempts, incomplete, workspace) == 3  # of four
    assert tuning.tell(plan.spec, attempts, found, workspace) == 1
    assert tuning.tell(plan.spec, attempts, found, workspace) == 0
    told = optuna_trials(workspace)
    labels = [entry[0] for entry in told]
    assert labels == ["arelu · gru", "arelu · gru", "tanh · gru", "tanh · gru"]  # two folds
    assert [entry[-1] for entry in told] == [plan.spec.hyperparameters().as_dict()] * 4
    workspace.optuna_database.unlink()
    tuning.tell(plan.spec, attempts, found, workspace)
    assert optuna_trials(workspace) == told


def test_a_trial_s_value_is_its_mean_dev_uar_at_the_checkpoint_chosen_on_dev(
    plan: Plan, make_result: MakeResult
) -> None:
    member = next(iter(plan.members.values()))
    first, second = make_result(member, 1), make_result(member, 2, outcome="diverged")
    at_20 = float(first.curves["dev_uar"][1])
    assert objective([first]) == at_20
    assert objective([first, second]) == pytest.approx((at_20 + 0.5) / 2)  # chance of two


def test_a_changed_choice_of_variants_draws_optuna_s_study_again(
    finished: StudyFolder, plan: Plan, workspace: Workspace
) -> None:
    found = ResultFolder(finished.results).by_hash()
    attempts = group_attempts(plan.members)
    tuning.tell(plan.spec, attempts, found, workspace)
    tanh = [attempt for attempt in attempts if attempt.variant.activation.name == "tanh"]
    assert tuning.tell(plan.spec, tanh, found, workspace) == 2


def test_none_among_the_choices_is_in_optuna_s_record(
    finished: StudyFolder, plan: Plan, workspace: Workspace
) -> None:
    found = ResultFolder(finished.results).by_hash()
    changes = ["training.clip_norm=null", "search={training.clip_norm: [null, 1.0]}"]
    spec = load("demo", changes, workspace=workspace)
    attempts = [
        replace(each, hyper=replace(each.hyper, clip_norm=None))
        for each in group_attempts(plan.members)
    ]
    tuning.tell(spec, attempts, found, workspace)
    assert {dict(entry[2])["training.clip_norm"] for entry in optuna_trials(workspace)} == {None}


def test_mirroring_a_study_needs_nothing_but_its_result_files(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    workspace.mlflow_database.write_bytes(database.read_bytes())
    assert mirror_study("demo", workspace) == (8, 4)
    assert mirror_study("demo", workspace) == (0, 0)
    with sqlite3.connect(workspace.optuna_database) as connection:
        assert connection.execute("select count(*) from trials").fetchone() == (4,)


def test_a_long_member_has_what_the_log_says_was_used_while_it_trained(
    database: Path, plan: Plan, make_result: MakeResult, workspace: Workspace
) -> None:
    workspace.root.mkdir()
    workspace.mlflow_database.write_bytes(database.read_bytes())
    folder = workspace.study("demo")
    results = ResultFolder(folder.results)
    (long, member), (short, other) = list(plan.members.items())[:2]
    results.write(long, make_result(member, wall_seconds=100.0))  # in a stack of two
    results.write(short, make_result(other, wall_seconds=0.01))
    ended = results.file(long).stat().st_mtime
    times = [datetime.fromtimestamp(ended - before) for before in (260, 150, 90, -60)]
    lines = [f"{at:%Y-%m-%d %H:%M:%S}  x · CPU {n} of 4 cores" for n, at in enumerate(times)]
    folder.log.write_text("\n".join(lines))
    Mirror("demo", workspace).add(results)
    members = [run["metrics"] for run in picture(workspace).values() if run["parent"]]
    found = sorted(run.get("system/cpu_utilization_percentage", -1) for run in members)
    assert found == [-1, 50]  # the last of two samples


def test_a_report_is_kept_with_a_run_of_its_own_and_replaced_when_it_has_changed(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    from mlflow.tracking import MlflowClient

    workspace.mlflow_database.write_bytes(database.read_bytes())
    mirror = Mirror("demo", workspace)
    assert not mirror.add_report(finished.report)  # there is none
    (finished.report / "figures").mkdir(parents=True)
    for name in ("figures/confusion.png", "figures/confusion.pdf", "index.html"):
        (finished.report / name).write_text("first")
    assert mirror.add_report(finished.report)
    assert not Mirror("demo", workspace).add_report(finished.report)
    (finished.report / "index.html").write_text("second")
    assert mirror.add_report(finished.report)
    mirror.add(ResultFolder(finished.results))  # whose runs leave it alone
    client = MlflowClient(bounded(storage_of(workspace, "MLflow")))
    experiment = client.get_experiment_by_name("demo").experiment_id
    (run,) = client.search_runs([experiment], "tags.`gateswap.level` = 'study'")
    assert run.info.status == "FINISHED"
    page = client.download_artifacts(run.info.run_id, "index.html")
    assert Path(page).read_text() == "second"
    figures = client.list_artifacts(run.info.run_id, "figures")
    assert [file.path for file in figures] == ["figures/confusion.png"]


def test_files_that_the_mirrors_pass_over_are_named_and_counted(
    database: Path, finished: StudyFolder, workspace: Workspace
) -> None:
    workspace.mlflow_database.write_bytes(database.read_bytes())
    files = sorted(finished.results.glob("*.npz"))
    for file in files:
        file.write_bytes(b"cut off")
    said = Said()
    assert mirror_study("demo", workspace, said) == (0, 0)
    *named, counted = said.lines
    assert [str(file) in line for file, line in zip(files, named, strict=True)] == [True] * 8
    assert "8 of 8 result files of study demo are passed over" in counted


def tune(spec: StudySpec, scores: dict[Hyperparameters, float], rounds: int) -> list[Any]:
    """Propose and finish settings of the first variant, judged by how near they are to 5e-3."""
    variant = spec.variants.variants()[0]
    proposed = []
    for _ in range(rounds):
        for hyper in tuning.propose(spec, variant, "Ses01", scores, most=1):
            scores[hyper] = -abs(math.log(hyper.learning_rate / 5e-3))
            proposed.append(hyper)
    return proposed


def test_tuning_starts_with_the_study_s_own_setting_and_stays_inside_the_search(
    workspace: Workspace,
) -> None:
    spec = load("demo", SEARCH, workspace=workspace)
    settings = tune(spec, {}, 12)
    assert settings[0] == spec.hyperparameters()
    assert len(set(settings)) == 12
    for hyper in settings[1:]:
        assert 1e-3 <= hyper.learning_rate <= 1e-2
        assert hyper.hidden_size in (16, 32)
        assert 8 <= hyper.batch_size <= 64
        assert isinstance(hyper.batch_size, int)


def test_a_search_that_is_exhausted_ends(workspace: Workspace) -> None:
    spec = load("demo", ["search={model.hidden_size: [16, 32]}"], workspace=workspace)
    assert len(tune(spec, {}, 10)) == 2


def test_tuning_without_a_search_is_told_with_an_example(workspace: Workspace) -> None:
    spec = load("demo", ["search={}"], workspace=workspace)
    with pytest.raises(InputError, match=r"search: \{training.learning_rate"):
        tuning.check_search(spec)


def _killed(*_args: object, **_kwargs: object) -> None:
    raise KeyboardInterrupt


def _nth_call_kills(number: int, function: Callable[..., None]) -> Callable[..., None]:
    """`function`, but for its call of that number (from 0), which a kill comes before."""
    calls = itertools.count()

    def called(*arguments: object) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt
        function(*arguments)

    return called


def _name(result: Any) -> str:
    return f"{result.variant.label} {result.fold} {result.seed}"
