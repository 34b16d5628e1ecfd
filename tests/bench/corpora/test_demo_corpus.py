"""The demo corpus: the same bytes for the same seed, in the release's grammar, for its reader."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from activations.errors import GateswapError, InputError
from bench.corpora.corpus import Corpus
from bench.corpora.demo import speak, write_demo_corpus
from bench.corpora.demo.plan import VOICES, plan_corpus
from bench.corpora.reading import read_corpus
from bench.data.describe import describe
from bench.data.examples import build_examples
from bench.data.folds import make_folds
from bench.data.protocol import Protocol

pytest.importorskip("espeakng_loader", reason="the demo is spoken by espeak-ng")


def digest(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dialogues a session, one for each marker."""
    root = tmp_path_factory.mktemp("corpora") / "demo"
    return write_demo_corpus(root, seed=3, dialogues_per_session=2, jobs=2)


@pytest.fixture(scope="module")
def corpus(demo: Path) -> Corpus:
    return read_corpus(demo)


def test_the_same_seed_gives_the_same_bytes_however_many_processes_speak(
    demo: Path, tmp_path: Path
) -> None:
    again = write_demo_corpus(tmp_path / "again", seed=3, dialogues_per_session=2, jobs=3)
    assert digest(again) == digest(demo)


def test_another_seed_gives_other_speech(demo: Path, tmp_path: Path) -> None:
    other = write_demo_corpus(tmp_path / "other", seed=4, dialogues_per_session=1)
    first, second = digest(demo), digest(other)
    shared = first.keys() & second.keys()
    assert len(shared) > 20
    assert [name for name in shared if first[name] == second[name]] == []


def test_fewer_dialogues_are_the_first_ones_of_more(demo: Path, tmp_path: Path) -> None:
    fewer = digest(write_demo_corpus(tmp_path / "fewer", seed=3, dialogues_per_session=1))
    del fewer["SYNTHETIC.json"]
    assert fewer.items() <= digest(demo).items()


def test_the_reader_of_the_release_reads_it_whole_and_knows_it_is_synthetic(
    corpus: Corpus,
) -> None:
    assert corpus.synthetic
    assert "synthetic" in corpus.name
    assert corpus.problems == ()
    assert corpus.faults == ()
    spoken = sum(len(dialogue.turns) for dialogue in plan_corpus(3, 2))
    assert len(corpus) == spoken


def test_the_reader_gets_what_the_plan_said(corpus: Corpus) -> None:
    table = corpus.table
    for dialogue in plan_corpus(3, 2):
        if dialogue.session == 2:  # ordered by start, and neighbours may be exchanged elsewhere
            rows = table[table["dialog"] == dialogue.name]
            assert rows["label"].to_list() == [turn.label for turn in dialogue.turns]
            assert rows["text"].to_list() == [turn.text for turn in dialogue.turns]
            assert [name[-1] for name in rows["speaker"]] == [t.speaker for t in dialogue.turns]


def test_taking_the_markers_letter_for_the_speaker_would_be_wrong_half_of_the_time(
    corpus: Corpus,
) -> None:
    wrong = corpus.table["dialog"].str[5] != corpus.table["speaker"].str[5]
    assert 0.35 < wrong.mean() < 0.65


def test_the_audio_is_16_khz_mono_16_bit_of_a_sensible_length_and_level(corpus: Corpus) -> None:
    seconds, levels = [], []
    for path, start, end in zip(
        corpus.table["audio"], corpus.table["start"], corpus.table["end"], strict=True
    ):
        with wave.open(path) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        assert len(samples) / 16_000 == pytest.approx(end - start, abs=2e-4)  # four decimals
        assert np.mean(np.abs(samples) > 0.999) < 0.001  # not clipped
        seconds.append(end - start)
        levels.append(20 * np.log10(samples.std()))
    assert 1.5 < np.mean(seconds) < 3
    assert 0.7 < min(seconds) < max(seconds) < 7
    assert -50 < min(levels) < max(levels) < -5


def test_there_are_five_sessions_of_two_voices_no_two_alike(corpus: Corpus) -> None:
    assert sorted(set(corpus.table["speaker"])) == sorted(VOICES)
    assert len({voice for voice, *_ in VOICES.values()}) == 10
    for session, rows in corpus.table.groupby("session"):
        assert set(rows["speaker"]) == {f"{session}F", f"{session}M"}


def test_there_are_labels_that_no_protocol_keeps_and_turns_without_context(
    corpus: Corpus,
) -> None:
    described = describe(corpus, Protocol())
    assert described["labels"].keys() >= {"ang", "hap", "exc", "neu", "sad", "xxx", "fru"}
    assert described["examples"]["own_missing"] > 0
    assert described["examples"]["other_missing"] > 0
    assert described["problems"] == []


def test_the_default_demo_has_the_size_and_the_mix_that_the_study_needs() -> None:
    dialogues = plan_corpus(0, 10)
    labels = Counter(turn.label for dialogue in dialogues for turn in dialogue.turns)
    assert 1000 <= labels.total() <= 1400
    shares = {
        "ang": labels["ang"],
        "hap": labels["hap"] + labels["exc"],
        "neu": labels["neu"],
        "sad": labels["sad"],
    }
    kept = sum(shares.values())
    assert min(shares.values()) > 0.15 * kept
    assert max(shares.values()) < 0.40 * kept
    assert labels["sur"] > 0
    names = [dialogue.name for dialogue in dialogues]
    assert len(set(names)) == len(names) == 50
    assert {"Ses01F_impro01", "Ses01M_impro03", "Ses05F_script01_1", "Ses05M_script01_2"} <= set(
        names
    )


def test_both_speakers_last_emotions_matter_for_the_next() -> None:
    turns: list[tuple[str, str, str]] = []
    for dialogue in plan_corpus(0, 40):
        last: dict[str, str] = {}
        for turn in dialogue.turns:
            other = last.get("M" if turn.speaker == "F" else "F")
            own = last.get(turn.speaker)
            if own is not None and other is not None and own != other:
                turns.append((turn.emotion, own, other))
            last[turn.speaker] = turn.emotion
    assert len(turns) > 1000
    shares = Counter(emotion for emotion, _, _ in turns)
    for place in (1, 2):
        agree = sum(turn[0] == turn[place] for turn in turns) / len(turns)
        chance = sum(shares[turn[place]] / len(turns) for turn in turns) / len(turns)
        assert agree > chance + 0.1


def test_emotions_overlap_in_every_knob_but_differ_in_the_mean() -> None:
    rates: dict[str, list[int]] = {}
    for dialogue in plan_corpus(0, 10):
        for turn in dialogue.turns:
            if dialogue.session == 1 and turn.speaker == "F":
                rates.setdefault(turn.emotion, []).append(int(turn.speech["rate"]))
    assert np.mean(rates["sad"]) < np.mean(rates["neu"]) < np.mean(rates["exc"])
    assert max(rates["sad"]) > min(rates["exc"])


def test_a_script_has_the_same_words_in_every_session_and_an_improvisation_has_not() -> None:
    words: dict[str, set[tuple[str, ...]]] = {}
    for dialogue in plan_corpus(0, 10):
        scene = dialogue.name.split("_", 1)[1]
        texts = tuple(turn.text for turn in dialogue.turns)
        words.setdefault(scene, set()).add(texts)
    assert len(words["script01_1"]) == len(words["script01_2"]) == 1
    assert len(words["impro01"]) == 10


def test_folds_of_the_demo_are_clean_under_every_rule(corpus: Corpus) -> None:
    for unit in ("session", "speaker"):
        protocol = Protocol.from_dict({"test_unit": unit})
        folds = make_folds(build_examples(corpus, protocol), protocol)
        assert len(folds) == {"session": 5, "speaker": 10}[unit]


def test_the_files_have_the_releases_quirks(demo: Path) -> None:
    transcripts = sorted(demo.glob("Session*/dialog/transcriptions/*.txt"))
    evaluations = sorted(demo.glob("Session*/dialog/EmoEvaluation/*.txt"))
    texts = [path.read_bytes() for path in transcripts]
    assert any(b"\r\n" in text for text in texts)
    assert any(b"\r\n" not in text for text in texts)
    assert any(re.search(rb"^[FM]: ", text, re.M) for text in texts)
    assert any(re.search(rb"_[FM]XX\d \[", text) for text in texts)
    for path in evaluations:
        lines = path.read_text().splitlines()
        assert lines[0] == "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
        assert re.fullmatch(
            r"\[\d+\.\d{4} - \d+\.\d{4}\]\tSes0\d[FM]_\w+_F000\t[a-z]{3}\t"
            r"\[\d\.\d{4}, \d\.\d{4}, \d\.\d{4}\]",
            lines[2],
        )
        assert lines[3].startswith("C-E1:\t")
        assert re.fullmatch(r"A-E1:\tval \d; act \d; dom  \d;\t\(\)", lines[6])


def test_a_demo_of_the_same_settings_is_kept_and_nothing_is_spoken(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was spoken")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    before = (demo / "SYNTHETIC.json").stat()
    assert write_demo_corpus(demo, seed=3, dialogues_per_session=2) == demo
    assert (demo / "SYNTHETIC.json").stat().st_ino == before.st_ino


def test_a_demo_of_other_settings_is_replaced(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    write_demo_corpus(root, seed=1, dialogues_per_session=1)
    write_demo_corpus(root, seed=2, dialogues_per_session=1)
    assert json.loads((root / "SYNTHETIC.json").read_text())["seed"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]  # nothing is left beside it


@pytest.mark.parametrize(
    "path", ["notes.txt", "Session1/dialog/wav/mine.wav", "Session1/dialog/EmoEvaluation/mine.txt"]
)
@pytest.mark.parametrize("revision", ["this", "another"])
def test_a_demo_beside_which_somebody_put_a_file_is_never_replaced(
    demo: Path, tmp_path: Path, path: str, revision: str
) -> None:
    root = tmp_path / "demo"
    shutil.copytree(demo, root)
    if revision == "another":
        marker = json.loads((root / "SYNTHETIC.json").read_text())
        (root / "SYNTHETIC.json").write_text(json.dumps(marker | {"revision": 0}))
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text("mine")
    with pytest.raises(InputError, match=rf"and {path}, which no demo wrote; move it away"):
        write_demo_corpus(root, seed=1, dialogues_per_session=1)
    assert (root / path).read_text() == "mine"


def test_of_two_who_want_one_new_demo_the_second_waits_and_finds_it(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()  # empty, as somebody may have made it
    calls: list[list[tuple[int, int]]] = [[], []]

    def make(which: int) -> Path:
        return write_demo_corpus(
            tmp_path / "demo",
            seed=0,
            dialogues_per_session=1,
            progress=lambda *call: calls[which].append(call),
        )

    with ThreadPoolExecutor(2) as pool:  # a lock is of an open folder: threads are as good
        assert set(pool.map(make, (0, 1))) == {tmp_path / "demo"}
    total = sum(len(dialogue.turns) for dialogue in plan_corpus(0, 1))
    assert sorted(calls, key=len) == [[], [(n, total) for n in range(1, total + 1)]]
    assert len(read_corpus(tmp_path / "demo")) == total
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.parametrize("content", ["thesis.txt", "SYNTHETIC.json"])
def test_a_folder_that_holds_something_else_is_refused_and_left_alone(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / content).write_text("not ours")
    with pytest.raises(InputError, match="is there and is no demo corpus; choose a folder"):
        write_demo_corpus(tmp_path)
    assert (tmp_path / content).read_text() == "not ours"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot be written to .*file/demo \(.*; choose a folder"):
        write_demo_corpus(tmp_path / "file" / "demo", dialogues_per_session=1)


@pytest.mark.parametrize("settings", [{"seed": -1}, {"dialogues_per_session": 0}])
def test_settings_that_cannot_be_are_refused(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"a seed from 0 up to .* and 1 to 1,000 dialogues"):
        write_demo_corpus(tmp_path / "demo", **settings)  # type: ignore[arg-type]


def test_a_synthesiser_that_fails_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "speak.py"
    broken.write_text("raise RuntimeError('espeak-ng refuses the voice')\n")
    monkeypatch.setattr(speak, "__file__", str(broken))
    with pytest.raises(GateswapError, match="refuses the voice"):
        write_demo_corpus(tmp_path / "out" / "demo", dialogues_per_session=1)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_voice_is_refused_by_name() -> None:
    utterance = {"path": "x.wav", "speech": {"text": "a", "voice": "en-XX+q9"}, "room": {}}
    utterance["speech"] |= {"rate": 175, "pitch": 50, "pitch_range": 50, "gap": 0}  # type: ignore[operator]
    done = subprocess.run(
        [sys.executable, "-P", speak.__file__],
        input=json.dumps([utterance]),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "espeak-ng refuses the voice en-XX+q9" in done.stderr


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from bench.corpora.demo import write_demo_corpus\n"
        "write_demo_corpus(Path(sys.argv[1]), jobs=1, progress=lambda n, _: print(n, flush=True))"
    )
    place = tmp_path / "out" / "demo"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to every process of the terminal
    process.stdout.read()
    assert process.wait(timeout=60) != 0
    assert time.monotonic() - begun < 30
    assert list((tmp_path / "out").iterdir()) == []


def probe(seed: int, *, contexts: bool) -> float:
    """UAR of weighted least squares on the five knobs, leaving one session out.

    The knobs are normalised by speaker. They are what the audio can tell at best, so this is about
    what a good model can reach.
    """
    classes = {"ang": 0, "hap": 1, "exc": 1, "neu": 2, "sad": 3}
    rows, labels, speakers, own, other = [], [], [], [], []
    for dialogue in plan_corpus(seed, 10):
        first = len(rows)
        for place, turn in enumerate(dialogue.turns):
            rows.append(
                [turn.speech[name] for name in ("rate", "pitch", "pitch_range", "gap")]
                + [turn.room["gain"]]
            )
            labels.append(classes.get(turn.label, -1))
            speakers.append(f"{dialogue.session}{turn.speaker}")
            before = range(first + place - 1, max(first, first + place - 8) - 1, -1)
            own.append(next((i for i in before if speakers[i] == speakers[-1]), -1))
            other.append(next((i for i in before if speakers[i] != speakers[-1]), -1))
    knobs, truth, speaker = np.array(rows, dtype=float), np.array(labels), np.array(speakers)
    for name in set(speakers):
        mine = speaker == name
        knobs[mine] = (knobs[mine] - knobs[mine].mean(axis=0)) / knobs[mine].std(axis=0)
    padded = np.vstack([knobs, np.zeros(5)])  # row -1: there is no context
    seen = np.hstack([padded[:-1], padded[own], padded[other]]) if contexts else knobs
    seen = np.hstack([seen, np.ones((len(seen), 1))])
    session = np.array([name[0] for name in speakers])
    recalls = []
    for tested in "12345":
        train = (session != tested) & (truth >= 0)
        weight = 1 / np.sqrt(np.bincount(truth[train]))[truth[train], None]
        targets = np.eye(4)[truth[train]]
        solution = np.linalg.lstsq(seen[train] * weight, targets * weight, rcond=None)[0]
        for label in range(4):
            rows_of = (session == tested) & (truth == label)
            recalls.append(((seen[rows_of] @ solution).argmax(axis=1) == label).mean())
    return 100 * float(np.mean(recalls))


def test_the_task_is_neither_trivial_nor_hopeless_and_its_context_helps() -> None:
    alone = [probe(seed, contexts=False) for seed in range(4)]
    both = [probe(seed, contexts=True) for seed in range(4)]
    assert 62 < np.mean(alone) < 78
    assert 68 < np.mean(both) < 84
    assert np.mean(both) - np.mean(alone) > 3


if __name__ == "__main__":  # the figures of docs/corpora.md
    for with_contexts in (False, True):
        scores = [probe(each, contexts=with_contexts) for each in range(10)]
        print(f"contexts={with_contexts}: {np.mean(scores):.1f} ± {np.std(scores, ddof=1):.1f}")
