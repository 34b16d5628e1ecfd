"""Trained members asked about recordings: the command line and the notebook's face."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import gateswap
import studies
from activations.errors import InputError
from bench.training.results import MemberResult
from studies import model_files
from studies.member_names import chosen_members, one_member
from studies.mlflow_model import save_mlflow_model
from studies.model_files import ModelFolder, bytes_of, model_file
from studies.result_files import PlanRecord, ResultFolder
from studies.runner import run_study
from studies.workspace import Workspace
from tests.studies.conftest import Said

SPEAKERS = "ABC"
SPEC = """
name: small
corpus: {{format: manifest, path: {corpus}}}
protocol: {{classes: [neu, sad], merge: {{}}, test_unit: speaker}}
features: {{kind: logmel}}
model: {{kind: gru, hidden_size: 4, attention_size: 2, dense_size: 4}}
training: {{steps: 8, batch_size: 4, evaluate_every: 4, learning_rate: 1.0e-2}}
variants: {{activation: [tanh, relu]}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recordings below `corpus` and a study trained on them below `runs`."""
    root = tmp_path_factory.mktemp("predicting")
    corpus = root / "corpus"
    rows = ["id,audio,speaker,label"]
    for number, speaker in enumerate(SPEAKERS):
        (corpus / speaker).mkdir(parents=True)
        for take in range(6):
            name, label = f"{speaker}{take}", ("neu", "sad")[take % 2]
            rows.append(f"{name},{speaker}/{name}.wav,{speaker},{label}")
            random = np.random.default_rng(10 * number + take)
            samples = 0.1 * (1 + number) * random.standard_normal(4000 + 900 * take)
            samples *= 1 + np.sin(np.arange(len(samples)) / (50 if label == "neu" else 900))
            soundfile.write(corpus / speaker / f"{name}.wav", np.clip(samples, -1, 1), 16_000)
    (corpus / "manifest.csv").write_text("\n".join(rows))
    (root / "small.yaml").write_text(SPEC.format(corpus=corpus))
    studies.run(str(root / "small.yaml"), workspace=root / "runs", mirror=False, device="cpu")
    return root


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """The same, for a test that changes it."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def of_speaker(root: Path, speaker: str) -> list[Path]:
    return sorted((root / "corpus" / speaker).glob("*.wav"))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: object) -> tuple[int, str, str]:
        code = gateswap.main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def results_of(root: Path, variant: str, fold: str) -> MemberResult:
    (found,) = (
        result
        for result in studies.results("small", workspace=root / "runs")
        if (result.variant.activation.name, result.fold) == (variant, fold)
    )
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def test_all_of_a_test_speakers_recordings_are_told_as_the_study_told_them(trained: Path) -> None:
    found = studies.predict(
        "small", of_speaker(trained, "B"), members=["relu/B/0"], workspace=trained / "runs"
    )
    result = results_of(trained, "relu", "B")
    expected = softmax(result.logits["dev"])
    for row, each in enumerate(found.predictions):
        assert Path(each.file).stem == result.ids[row]
        assert each.label == result.classes[int(expected[row].argmax())]
        np.testing.assert_allclose(list(each.probabilities.values()), expected[row], rtol=1e-4)
    assert found.members == 1


def test_members_agree_by_mean_or_by_majority(trained: Path) -> None:
    files = of_speaker(trained, "A")
    ask = {"workspace": trained / "runs", "speakers": "folder"}
    alone = [
        studies.predict("small", files, members=[f"{name}/{fold}"], **ask)  # type: ignore[arg-type]
        for name in ("tanh", "relu")
        for fold in SPEAKERS
    ]
    probabilities = np.array(
        [[list(p.probabilities.values()) for p in each.predictions] for each in alone]
    )
    mean = studies.predict("small", files, **ask)  # type: ignore[arg-type]
    majority = studies.predict("small", files, by="majority", **ask)  # type: ignore[arg-type]
    assert mean.members == majority.members == 6
    votes = np.stack([(probabilities.argmax(2) == c).sum(0) for c in range(2)], 1)
    for row in range(len(files)):
        expected = probabilities[:, row].mean(0)
        np.testing.assert_allclose(
            list(mean.predictions[row].probabilities.values()), expected, rtol=1e-6
        )
        assert mean.predictions[row].label == mean.classes[int(expected.argmax())]
        said = majority.predictions[row]
        assert [said.votes.get(name, 0) for name in mean.classes] == votes[row].tolist()
        if votes[row][0] != votes[row][1]:
            assert said.label == mean.classes[int(votes[row].argmax())]
        else:
            assert said.label == mean.predictions[row].label


def test_the_command_prints_a_table_or_json_and_says_how_speech_was_normalised(
    trained: Path, run: Run
) -> None:
    files = of_speaker(trained, "A")[:2]
    code, out, err = run("predict", "small", *files, "--workspace", trained / "runs")
    assert code == 0
    assert [str(file) in out for file in files] == [True, True]
    assert "is transductive" in err
    assert "2 recordings are taken to be of one speaker" in err
    assert "s of speech of a speaker are there to normalise by" in err
    code, out, err = run(
        *("predict", "small", *files, "--workspace", trained / "runs", "--json"),
        *("--members", "tanh", "--speakers", "file"),
    )
    found = json.loads(out)
    assert (code, found["members"], found["classes"]) == (0, 3, ["neu", "sad"])
    assert any("of a speaker of its own" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--members", "gelu"], "no member 'gelu'; a member is named by its hash or as VARIANT"),
        (["--by", "vote"], "--by takes mean, majority"),
        (["--speakers", "many"], "--speakers takes one, folder, file"),
    ],
)
def test_what_is_not_there_is_named(trained: Path, run: Run, words: list[str], said: str) -> None:
    file = of_speaker(trained, "A")[0]
    code, _, err = run("predict", "small", file, "--workspace", trained / "runs", *words)
    assert code == 2
    assert said in err


def test_a_recording_that_is_none_is_named(trained: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.wav").write_text("no audio")
    code, _, err = run("predict", "small", tmp_path / "a.wav", "--workspace", trained / "runs")
    assert code == 2
    assert "a.wav" in err


def test_members_without_a_model_are_told_and_made_again_without_touching_results(
    copy: Path, run: Run
) -> None:
    folder, place = Workspace(copy / "runs").study("small"), ["--workspace", copy / "runs"]
    models, files = ModelFolder(folder.models), of_speaker(copy, "A")
    before = {key: models.file(key).read_bytes() for key in models.hashes()}
    results = {path.name: path.read_bytes() for path in folder.results.iterdir()}
    assert len(before) == len(results) == 6

    one = sorted(before)[0]
    models.file(one).unlink()
    found = studies.predict("small", files, workspace=copy / "runs")
    assert found.members == 5
    assert "1 of the members have a result and no model" in found.notes[0]
    for key in before:
        models.file(key).unlink(missing_ok=True)
    code, _, err = run("predict", "small", *files, *place)
    assert code == 2
    assert "to make them: gateswap run small --models" in err

    spec, said = studies.load("small", workspace=copy / "runs"), Said()
    run_study(spec, Workspace(copy / "runs"), mirror=False, display=said)
    assert models.hashes() == set()
    assert any("6 finished members have no model" in line for line in said.lines)
    said = Said()
    run_study(spec, Workspace(copy / "runs"), mirror=False, models=True, display=said)
    assert not any("warning" in line for line in said.lines)
    assert {key: models.file(key).read_bytes() for key in models.hashes()} == before
    assert {path.name: path.read_bytes() for path in folder.results.iterdir()} == results


def test_a_study_that_keeps_none_writes_none_and_says_what_to_change(copy: Path, run: Run) -> None:
    place = ["--workspace", copy / "runs"]
    spec = studies.load("small", ["name=bare", "keep=none"], workspace=copy / "runs")
    studies.run(spec, workspace=copy / "runs", mirror=False, device="cpu")
    folder = Workspace(copy / "runs").study("bare")
    assert len(ResultFolder(folder.results).hashes()) == 6
    assert not folder.models.exists()
    code, _, err = run("run", "bare", "--models", *place)
    assert code == 2
    assert "the study keeps none; add keep=best" in err


def test_what_models_take_is_foretold_and_refused_where_the_disk_is_too_small(
    copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Workspace(copy / "runs").study("small")
    spec = studies.load("small", workspace=copy / "runs")
    members = PlanRecord.read(folder).members
    taken = sum(file.stat().st_size for file in folder.models.iterdir())
    assert 0.5 < taken / bytes_of(members.values(), spec) < 1.1
    place = ["--workspace", copy / "runs"]
    code, out, _ = run("run", "small", "--dry-run", *place)
    assert code == 0
    assert "models (keep: best): 6 files of" in out

    monkeypatch.setattr(model_files, "_free", lambda _folder: 10_000)
    code, _, err = run("run", "small", "name=second", "--device", "cpu", *place)
    assert code == 2
    assert "train without keeping models: keep=none" in err


def test_a_recording_that_is_not_there_is_named_before_any_member_is_asked(trained: Path) -> None:
    with pytest.raises(InputError, match=r"^no recording speech/\*\.wav; give audio files$"):
        studies.predict("small", ["speech/*.wav"], workspace=trained / "runs")


def test_members_go_by_hash_variant_fold_and_seed(trained: Path) -> None:
    workspace = Workspace(trained / "runs")
    members = PlanRecord.read(workspace.study("small")).members
    key = next(iter(members))
    assert list(chosen_members(members, [key[:8]])) == [key]
    assert len(chosen_members(members, ["relu"])) == 3
    assert len(chosen_members(members, ["relu · gru/A", "tanh-gru/B/0"])) == 2
    assert one_member("small/relu/C/0", workspace) == one_member(
        next(k for k in members if members[k].variant.activation.name == "relu"
             and members[k].fold == "C"), workspace,
    )  # fmt: skip
    with pytest.raises(InputError, match="means 3 members"):
        one_member("small/relu", workspace)
    with pytest.raises(InputError, match="no member 'ffffffff'"):
        one_member("ffffffff", workspace)


@pytest.mark.filterwarnings("ignore")
def test_a_member_is_exported_to_onnx_by_its_name(trained: Path, tmp_path: Path, run: Run) -> None:
    place = ["--workspace", trained / "runs"]
    code, out, _ = run("export", "small/tanh/A/0", tmp_path / "m.onnx", *place)
    assert code == 0
    assert "current float32 [B, T, 64]; lengths int64 [1, B]" in out
    assert "onnxruntime's logits are the network's to" in out
    assert (tmp_path / "m.onnx").stat().st_size > 1000
    code, _, err = run("export", "small/tanh", tmp_path / "n.onnx", *place)
    assert (code, "means 3 members" in err) == (2, True)


def test_a_member_is_an_mlflow_model_that_says_what_predict_says(
    trained: Path, tmp_path: Path
) -> None:
    import mlflow.pyfunc
    import pandas as pd

    workspace, files = Workspace(trained / "runs"), of_speaker(trained, "B")
    study, key = one_member("small/relu/B/0", workspace)
    save_mlflow_model(model_file(study, key, workspace), tmp_path / "model", files[:2])
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert model.metadata.get_input_schema().input_names() == ["audio", "speaker"]
    given = pd.DataFrame({"audio": list(map(str, files)), "speaker": "B"})
    found = model.predict(given)
    expected = studies.predict("small", files, members=[key], workspace=trained / "runs")
    for row, each in enumerate(expected.predictions):
        assert found.iloc[row].to_dict() == pytest.approx(each.probabilities, rel=1e-6)
    assert not list((tmp_path / "model").rglob("*.pkl"))
