"""Files that somebody else wrote, mutated: every reader answers, briefly, and in one line.

Each reader gets valid files of its format with a few bytes or values changed, until its time has
passed: a fraction of a second here, as long as GATESWAP_FUZZ_SECONDS says with `make fuzz`. Exit
code 0 or 2, or 1 with a file named; one line that begins with `gateswap:` and never calls the input
a mistake of ours; less than two seconds of processor time and 500 MB each.
"""

import copy
import io
import json
import os
import random
import resource
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import gateswap
import studies.terminal.display  # what commands import: it is none of a case's cost
import studies.training_run  # noqa: F401
from activations import get
from activations.errors import InputError
from bench.corpora.audio import read_audio
from bench.corpora.corpus import Corpus
from bench.data.members import Member
from bench.features import FeatureSettings, FeatureStore, compute_features
from bench.features.extractors import own_blocks
from bench.features.parts import load_part
from bench.training.results import MemberResult
from studies.loading import load
from studies.plan import make_plan
from studies.result_files import ResultFolder, read_study
from studies.workspace import Workspace
from tests.bench.corpora.test_iemocap import write_dialogue
from tests.studies.conftest import DATA, fake_result

SECONDS = float(os.environ.get("GATESWAP_FUZZ_SECONDS", 0.4))
SEED = int(os.environ.get("GATESWAP_FUZZ_SEED", 0))
MOST_SECONDS, MOST_BYTES = 2.0, 500 << 20

# what somebody might write where a value is expected
VALUES = [
    *(None, True, [], {}, "", "x", " ", -1, 0, 1, 2**31, 2**63, 10**40, -0.5, 1e308, [[]], [None]),
    *(float("nan"), float("inf"), "nan", "\0", "\x1b[2J", "../../x", "~nouser", "=1+1", "$a$b"),
    *({"a": 1}, "ſ", "\u202e", "a" * 10_000, [1, "a"], "x*log(-1)", "tanh(" * 60, "١٢", "9" * 50),
]

pytestmark = pytest.mark.fuzz


class Budget:
    """What one input may cost; checked as the block ends."""

    def __init__(self, about: object) -> None:
        self._about = about

    def __enter__(self) -> None:
        self._seconds = time.process_time()
        self._bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            took = time.process_time() - self._seconds
            grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - self._bytes
            assert took < MOST_SECONDS, f"{took:.1f} s for {self._about!r}"
            assert grew < MOST_BYTES, f"{grew >> 20} MiB for {self._about!r}"


def cases(name: str) -> Iterator[random.Random]:
    """A generator of its own for each case, until the reader's time has passed."""
    until, number = time.monotonic() + SECONDS, 0
    while number < 3 or time.monotonic() < until:
        yield random.Random(f"{name}/{SEED}/{number}")
        number += 1


def changed(value: Any, chance: random.Random) -> Any:
    """Plain data with one or two of its values, keys or entries replaced, dropped or repeated."""
    data = json.loads(json.dumps(value))
    for _ in range(chance.choice((1, 1, 2))):
        here: Any = data
        while True:
            if not isinstance(here, dict | list) or not here:
                return copy.deepcopy(chance.choice(VALUES))
            key = chance.choice(list(here) if isinstance(here, dict) else range(len(here)))
            if isinstance(here[key], dict | list) and here[key] and chance.random() < 0.8:
                here = here[key]
                continue
            how = chance.random()
            if how < 0.7:
                here[key] = copy.deepcopy(chance.choice(VALUES))  # it may be changed next
            elif how < 0.85:
                del here[key]
            elif isinstance(here, dict):
                here[str(chance.choice(VALUES))] = here.pop(key)
            else:
                here.append(here[key])
            break
    return data


def bent(content: bytes, chance: random.Random) -> bytes:
    """Bytes with some changed, cut out, repeated or cut off."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 3, 10))):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 1, 2, 4, 100)))
        how = chance.randrange(5)
        if how == 0:
            data[at:end] = chance.randbytes(end - at)
        elif how == 1:
            del data[at:end]
        elif how == 2:
            data[at:at] = data[at:end] * chance.choice((1, 3, 500))
        elif how == 3 and at < len(data):
            data[at] = chance.choice((0, 0x0A, 0x22, 0x27, 0x2C, 0x5C, 0x7F, 0x80, 0xFF))
        elif chance.random() < 0.2:
            del data[at:]
    return bytes(data)


def answers(*arguments: str, about: object) -> None:
    """A command ends as it must, whatever its input."""
    with Budget(about), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as err:
        code = gateswap.main(arguments)
    said = err.getvalue()
    lines = [line for line in said.splitlines() if line.startswith("gateswap: ")]
    errors = [line for line in lines if not line.startswith("gateswap: warning: ")]
    assert "a mistake in gateswap" not in said, f"{said} for {about!r}"
    assert "Traceback" not in said
    assert not any(ord(c) < 32 and c != "\n" for c in said), f"{said!r} for {about!r}"
    assert code in (0, 1, 2), f"{code} for {about!r}"
    assert len(errors) == (code == 2) or code == 1, f"{said} for {about!r}"
    assert code != 1 or not errors or "/" in errors[0], f"{said} for {about!r}"


def understood(read: Callable[[], object], about: object) -> None:
    """A reader returns, or raises InputError with one line."""
    said: object = ""
    with Budget(about):
        try:
            read()
        except Exception as error:  # none but InputError
            said = error
    assert isinstance(said, str | InputError), f"{type(said).__name__}: {said} for {about!r}"
    assert "\n" not in str(said).strip(), about


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A workspace with a finished study."""
    place = Workspace(tmp_path / "runs")
    changes = ["variants.activation=[tanh,arelu]", "variants.direction=gru", "seeds=2"]
    spec = load("demo", changes, workspace=place)
    plan, folder = make_plan(spec, DATA), place.study("demo")
    plan.record.write(folder)
    folder.spec.write_text(spec.as_yaml())
    for number, (key, member) in enumerate(plan.members.items()):
        ResultFolder(folder.results).write(key, fake_result(member, number))
    return place.root


def test_study_files(tmp_path: Path) -> None:
    text = load("demo", workspace=Workspace(tmp_path)).as_yaml()
    valid, path = yaml.safe_load(text), tmp_path / "s.yaml"
    for chance in cases("study"):
        if chance.random() < 0.6:
            content = yaml.safe_dump(changed(valid, chance), allow_unicode=True).encode(
                errors="replace"
            )
        else:
            content = bent(text.encode(), chance)
        path.write_bytes(content)
        answers("run", "s.yaml", "--dry-run", about=content)


def test_overrides(tmp_path: Path) -> None:
    names = [
        "seeds",
        "corpus.path",
        "training.steps",
        "search.model.dropout",
        "variants.activation",
    ]
    for chance in cases("override"):
        name = chance.choice([*names, "model", "protocol.classes", "analysis.looks", "formulas.a"])
        value = chance.choice(VALUES)
        text = value if isinstance(value, str) else json.dumps(value)
        answers("run", "demo", "--dry-run", f"{name}={text}", about=(name, text))


@pytest.mark.parametrize("name", ["plan.json", "frozen.json", "looks.json", "spec.yaml"])
def test_records_of_a_study(finished: Path, name: str) -> None:
    from studies.frozen import freeze, record_look

    folder = Workspace(finished).study("demo")
    freeze(load(str(folder.spec), workspace=Workspace(finished)), folder)
    record_look(folder, ["a", "b"], 2, complete=True)
    path = folder.root / name
    text = path.read_text()
    valid = yaml.safe_load(text) if name.endswith("yaml") else json.loads(text)
    for command in ("status", "plan"):  # what they import is none of a case's cost
        assert gateswap.main([command, "demo"]) == 0
    for chance in cases(name):
        if chance.random() < 0.7:
            data = changed(valid, chance)
            content = (yaml.safe_dump(data) if name.endswith("yaml") else json.dumps(data)).encode()
        else:
            content = bent(text.encode(), chance)
        path.write_bytes(content)
        answers("status", "demo", about=content)
        answers("plan", "demo", about=content)
    if name == "plan.json":  # it heals
        path.write_text("null")
        answers("status", "demo", about="null")


def test_result_files(finished: Path) -> None:
    folder = Workspace(finished).study("demo")
    results = ResultFolder(folder.results)
    key = sorted(results.hashes())[0]
    valid = results.file(key).read_bytes()
    for chance in cases("result"):
        content = bent(valid, chance) if chance.random() < 0.4 else _result(valid, chance)
        results.file(key).write_bytes(content)
        answers("status", "demo", about=content[:200])
        understood(lambda: read_study(folder), content[:200])
        understood(lambda: _numbers(MemberResult.from_bytes(content)), content[:200])  # noqa: B023


def _result(valid: bytes, chance: random.Random) -> bytes:
    """A result file whose header or one of whose arrays is another."""
    with np.load(io.BytesIO(valid)) as data:
        arrays = {name: data[name] for name in data.files}
    if chance.random() < 0.5:
        header = changed(json.loads(str(arrays["meta"])), chance)
        arrays["meta"] = np.array(json.dumps(header))
    else:
        name = chance.choice(sorted(arrays))
        others = [arrays[name][..., None], arrays[name].astype(str), np.array(3), np.zeros((0, 4))]
        others += [
            np.full(7, np.nan),
            np.array(["a"]),
            np.full((4, 2), -5),
            np.atleast_1d(arrays[name])[:1],
        ]
        arrays[name] = chance.choice(others)
    if chance.random() < 0.1:
        arrays[chance.choice(["more", "meta2", "logits/x", "curves/"])] = np.zeros(3)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _numbers(result: MemberResult) -> None:
    for selection in ("dev", "oracle", "last"):
        result.confusion(selection)
    result.dev_uar()
    assert isinstance(result.member, Member)


def test_result_that_unpacks_to_gigabytes_is_refused() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=np.zeros(1 << 26))
    understood(lambda: MemberResult.from_bytes(buffer.getvalue()), "a bomb")


def test_manifests(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = ["id,audio,speaker,label,dialog,turn,start,end,gender,improvised,split,valence"]
    for number in range(6):
        name = f"a{number}"
        _silence(folder / f"{name}.wav")
        lines.append(f"{name},{name}.wav,s{number % 3},ang,d,{number},0,0.01,F,yes,train,2.5")
    text = "\n".join(lines).encode()
    for chance in cases("manifest"):
        content = bent(text, chance)
        if chance.random() < 0.4:
            cell = str(chance.choice(VALUES)).encode(errors="replace")
            words = content.split(b",")
            words[chance.randrange(len(words))] = cell
            content = b",".join(words)
        (folder / "manifest.csv").write_bytes(content)
        answers("corpus", "describe", "corpus", "--format", "manifest", about=content)


def test_iemocap_annotations(tmp_path: Path) -> None:
    root = tmp_path / "release"
    turns = [("F000", "neu", 1.0), ("M000", "exc", 3.5), ("F001", "ang", 6.0), ("M001", "sad", 9.0)]
    for session in range(1, 6):
        write_dialogue(root, f"Ses0{session}F_impro01", turns)
    (root / "SYNTHETIC.json").write_text('{"name": "demo"}')
    files = [*root.rglob("*.txt"), root / "SYNTHETIC.json"]
    for chance in cases("iemocap"):
        path = chance.choice(files)
        valid = path.read_bytes()
        content = bent(valid, chance)
        path.write_bytes(content)
        answers("corpus", "describe", "release", about=(path.name, content))
        path.write_bytes(valid)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64"])
def test_audio(tmp_path: Path, suffix: str) -> None:
    import soundfile

    path = tmp_path / f"audio.{suffix}"
    samples = np.sin(np.arange(3_200) / 7).astype(np.float32) / 3
    try:
        soundfile.write(path, samples, 16_000)
    except (soundfile.LibsndfileError, ValueError):
        pytest.skip(f"this libsndfile writes no {suffix}")
    valid = path.read_bytes()
    soundfile.write(tmp_path / "slow.wav", samples, 8_000)
    read_audio(tmp_path / "slow.wav")  # what resamples is imported once, and is no case's cost
    for chance in cases(suffix):
        content = bent(valid, chance)
        path.write_bytes(content)
        understood(lambda: read_audio(path), content[:100])


@pytest.mark.parametrize("name", ["settings.json", "index.npz", "frames.npy", "checksums.json"])
def test_feature_stores(tmp_path: Path, name: str) -> None:
    import pandas as pd

    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for number in range(3):
        _silence(folder / f"{number}.wav")
        rows.append((str(number), str(folder / f"{number}.wav"), 0.0, 1.0, f"s{number}", "d"))
    table = pd.DataFrame(rows, columns=["id", "audio", "start", "end", "speaker", "dialog"])
    table = table.assign(turn=range(3), session="1", label="ang", text="", gender="")
    corpus = Corpus("tiny", folder, table.assign(improvised=False))
    store = compute_features(
        corpus, tmp_path / "features", settings=FeatureSettings(kind="logmel"), jobs=1
    )
    path = store.folder / name
    valid = path.read_bytes()
    for chance in cases(name):
        path.write_bytes(bent(valid, chance))
        if name == "settings.json" and chance.random() < 0.5:
            path.write_text(json.dumps(changed(json.loads(valid), chance)))
        understood(lambda: FeatureStore.open(store.folder).of(0), name)


def test_own_features(tmp_path: Path) -> None:
    path = tmp_path / "u.npy"
    np.save(path, np.ones((20, 3), np.float32))
    valid = path.read_bytes()
    for chance in cases("own"):
        content = bent(valid, chance)
        if chance.random() < 0.3:
            size = str(chance.choice((10**9, 10**30, -3, 0, True, "x", "9" * 5_000))).encode()
            content = valid.replace(b"(20, 3)", b"(" + size + b", 3)")
        path.write_bytes(content)
        understood(lambda: list(own_blocks(tmp_path, "u")), content[:200])


class Harm:
    """What writes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (Path("ran"),)


def test_arrays_of_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    harm = np.array([Harm()], dtype=object)
    np.save(tmp_path / "u.npy", harm, allow_pickle=True)
    with pytest.raises(InputError, match=r"u\.npy is no \.npy file of numbers"):
        list(own_blocks(tmp_path, "u"))
    store = tmp_path / "store"
    store.mkdir()
    (store / "settings.json").write_text('{"key": "k", "settings": {"names": []}, "notes": {}}')
    for name, arrays in (("objects", {"ids": harm}), ("numbers", {"ids": np.array(["a"])})):
        np.savez(store / "index.npz", allow_pickle=True, lengths=np.array([1]), **arrays)
        np.save(store / "frames.npy", harm, allow_pickle=True)
        with pytest.raises(InputError, match="store is damaged"):
            FeatureStore.open(store)
        np.savez(tmp_path / name, allow_pickle=True, first=0, notes=harm, **arrays)
        assert load_part(tmp_path / f"{name}.npz", 0, 1) is None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=True, meta=harm)
    understood(lambda: MemberResult.from_bytes(buffer.getvalue()), "objects")
    assert not Path("ran").exists()
    assert np.load(tmp_path / "u.npy", allow_pickle=True) is not None
    assert Path("ran").exists()  # it would have


def test_formulas() -> None:
    for chance in cases("formula"):
        text = _formula(chance, chance.randrange(2, 40))
        if chance.random() < 0.2:
            text = bent(text.encode(), chance).decode(errors="replace")
        understood(lambda: get(text).program(derivatives=True), text)  # noqa: B023


def _formula(chance: random.Random, size: int) -> str:
    """A formula of about so many parts, in the grammar or nearly."""
    if size <= 1:
        return chance.choice(["x", "x", "x", "a", "0.5", "2", "1e30", "-1", "pi", "0", "1e-30"])
    left, right = _formula(chance, size // 2), _formula(chance, size - 1 - size // 2)
    one = _formula(chance, size - 1)
    functions = [
        "tanh",
        "sin",
        "exp",
        "log",
        "sqrt",
        "erf",
        "sigmoid",
        "softplus",
        "abs",
        "sign",
        "atan",
        "log1p",
        "expm1",
        "cos",
    ]
    return chance.choice(
        [
            *(f"({left} {sign} {right})" for sign in "+-*/"),
            *(f"{chance.choice(functions)}({one})" for _ in range(3)),
            f"({one})**{chance.choice((2, 3, -1, 16, 17))}",
            f"max({left}, {right})",
            f"where({left} < {right}, {left}, {right})",
        ]
    ) + (f"; a={chance.choice((0.25, -3, 1e29))}" if size > 30 and chance.random() < 0.5 else "")


def _silence(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(640))
