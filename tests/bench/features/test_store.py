import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import stats

from activations.errors import GateswapError, InputError
from bench.corpora.audio import read_audio
from bench.corpora.corpus import Corpus
from bench.features import (
    FeatureSettings,
    FeatureStore,
    checksums,
    compute_features,
    frames,
    parts,
    store,
    workers,
)
from bench.features.extract import NAMES, extract
from bench.features.moments import Moments, normalisation
from tests.bench.features.voices import RATE, make_corpus, signal_of


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("frames", ["all", "voiced"])
def test_the_store_holds_what_extracting_normalising_capping_and_pooling_by_hand_gives(
    corpus, tmp_path, frames
):
    settings = FeatureSettings(frames=frames, cap=23, pool=4)
    made = compute_features(corpus, tmp_path / "features", settings=settings, jobs=1)
    raw = [extract(read_audio(Path(path)).samples) for path in corpus.table["audio"]]
    if frames == "voiced":
        raw = [one[one[:, 0] > 0] for one in raw]
    for speaker in "AB":
        rows = np.flatnonzero(corpus.table["speaker"] == speaker)
        together = stats.zscore(np.concatenate([raw[row] for row in rows]).astype(np.float64))
        start = 0
        for row in rows:
            normal = together[start : start + len(raw[row])]
            start += len(raw[row])
            normal = normal[:23]
            expected = [normal[i : i + 4].mean(axis=0) for i in range(0, len(normal), 4)]
            assert made.of(row).shape == (len(expected), 45)
            assert np.allclose(made.of(row), expected, atol=2e-4)
    assert made.names == NAMES
    assert made.ids == tuple(corpus.table["id"])
    assert made.frames.dtype == np.float32
    assert np.isfinite(made.frames).all()


def test_every_feature_of_a_speaker_has_mean_zero_and_deviation_one(corpus, tmp_path):
    settings = FeatureSettings(pool=1)
    made = compute_features(corpus, tmp_path / "f", settings=settings, jobs=1)
    for speaker in "AB":
        rows = np.flatnonzero(corpus.table["speaker"] == speaker)
        frames = np.concatenate([made.of(row) for row in rows]).astype(np.float64)
        assert np.abs(frames.mean(axis=0)).max() < 1e-4
        assert np.abs(frames.std(axis=0) - 1).max() < 1e-4


def test_a_speaker_whose_recordings_are_all_silent_gets_zeros(corpus, tmp_path):
    for row in range(0, len(corpus), 2):
        soundfile.write(corpus.table["audio"][row], np.zeros(3000), RATE)
    made = compute_features(corpus, tmp_path / "f", jobs=1)
    assert (made.of(0) == 0).all()
    assert np.abs(made.of(1)).max() > 0.5


def test_moments_of_a_large_mean_do_not_cancel():
    generator = np.random.default_rng(0)
    values = 1e4 + 0.1 * generator.standard_normal((60, 45))
    pieces = [values[:10], values[10:35], values[35:]]
    made = parts.Part(
        first=0,
        frames=np.zeros((3, 45), np.float32),
        lengths=np.ones(3, np.int64),
        counts=np.array([len(piece) for piece in pieces]),
        means=np.stack([piece.mean(axis=0) for piece in pieces]),
        squares=np.stack([((piece - piece.mean(axis=0)) ** 2).sum(axis=0) for piece in pieces]),
        notes=("", "", ""),
    )
    own = Moments(made.counts, made.means, made.squares)
    centre, scale = normalisation(own, np.array(["s", "s", "s"]))
    assert np.allclose(centre[0], values.mean(axis=0), rtol=1e-12)
    assert np.allclose(1 / scale[0], values.std(axis=0), rtol=1e-6)


def test_processes_do_not_change_a_byte_and_progress_counts_utterances(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", 60)
    seen = []
    one = compute_features(corpus, tmp_path / "one", jobs=1)
    two = compute_features(
        corpus, tmp_path / "two", jobs=2, progress=lambda done, total: seen.append((done, total))
    )
    assert contents(one.folder) == contents(two.folder)
    assert seen[0] == (0, 60)
    assert seen[-1] == (60, 60)
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert not left_over(tmp_path / "two")


def test_the_store_is_opened_and_not_computed_again(corpus, tmp_path, monkeypatch):
    first = compute_features(corpus, tmp_path / "f", jobs=1)

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(store, "compute_part", refuse)
    again = compute_features(corpus, tmp_path / "f", jobs=1)
    assert np.array_equal(again.frames, first.frames)
    reopened = FeatureStore.open(first.folder)
    assert reopened.key == first.key
    assert np.array_equal(reopened.offsets, np.cumsum(first.lengths) - first.lengths)
    assert isinstance(reopened.frames, np.memmap)


def test_other_audio_or_other_settings_make_another_store(corpus, tmp_path):
    first = compute_features(corpus, tmp_path / "f", jobs=1)
    second = compute_features(corpus, tmp_path / "f", settings=FeatureSettings(pool=3), jobs=1)
    soundfile.write(corpus.table["audio"][0], signal_of(99), RATE)
    changed = Corpus(corpus.name, corpus.root, corpus.table)
    third = compute_features(changed, tmp_path / "f", jobs=1)
    assert len({first.key, second.key, third.key}) == 3
    assert len(list((tmp_path / "f").iterdir())) == 3


def test_stereo_and_other_rates_are_mixed_resampled_and_noted(corpus, tmp_path):
    plain = compute_features(corpus, tmp_path / "plain", jobs=1)
    for row in (0, 1):
        signal = soundfile.read(corpus.table["audio"][row])[0]
        stereo = np.stack([signal, signal], axis=1)
        soundfile.write(corpus.table["audio"][row], stereo, RATE, subtype="PCM_16")
    doubled = np.repeat(soundfile.read(corpus.table["audio"][2])[0], 2)
    soundfile.write(corpus.table["audio"][2], doubled, 2 * RATE)
    changed = Corpus(corpus.name, corpus.root, corpus.table)
    made = compute_features(changed, tmp_path / "f", jobs=1)
    assert made.notes == {"mixed down from 2 channels": 2, "resampled from 32,000 Hz": 1}
    assert json.loads((made.folder / "settings.json").read_text())["notes"] == made.notes
    assert np.array_equal(made.lengths, plain.lengths)


def spoil_truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def spoil_header(path):
    path.write_bytes(path.read_bytes()[:30])


def spoil_text(path):
    path.write_text("this is not audio\n" * 50)


def spoil_nan(path):
    soundfile.write(path, np.full(4000, np.nan), RATE, subtype="FLOAT")


def spoil_folder(path):
    path.unlink()
    path.mkdir()


SPOILT = {
    "is cut short: ": spoil_truncated,
    "is in no audio format": spoil_text,
    "is cut short: it ends within its header": spoil_header,
    "is empty": lambda path: path.write_bytes(b""),
    "holds no samples": lambda path: soundfile.write(path, np.zeros(0), RATE),
    "not numbers": spoil_nan,
    "are missing, the first is": lambda path: path.unlink(),
    "are missing": spoil_folder,
}


@pytest.mark.parametrize(("message", "jobs"), [*((one, 1) for one in SPOILT), ("not numbers", 2)])
def test_audio_that_cannot_be_used_is_named_with_a_remedy_and_leaves_no_store(
    tmp_path, message, jobs
):
    corpus = make_corpus(tmp_path / "corpus", 30)
    spoilt = Path(corpus.table["audio"][27])
    SPOILT[message](spoilt)
    with pytest.raises(InputError) as caught:
        compute_features(corpus, tmp_path / "f", jobs=jobs)
    text = str(caught.value)
    assert message.strip() in text
    assert spoilt.name in text
    assert "Copy" in text
    assert "\n" not in text
    if (tmp_path / "f").exists():
        assert all(path.name.startswith(".") for path in (tmp_path / "f").iterdir())


def test_a_mended_file_is_all_that_is_computed_again(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path / "corpus", 60)
    spoilt = Path(corpus.table["audio"][59])
    good = spoilt.read_bytes()
    monkeypatch.setattr(Corpus, "fingerprint", "the same")
    spoilt.write_text("no audio")
    with pytest.raises(InputError):
        compute_features(corpus, tmp_path / "f", jobs=1)
    spoilt.write_bytes(good)
    seen = []
    compute_features(corpus, tmp_path / "f", jobs=1, progress=lambda *now: seen.append(now))
    assert seen == [(48, 60), (60, 60), (60, 60)]


def test_a_damaged_part_is_computed_again(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path / "corpus", 30)
    expected = contents(compute_features(corpus, tmp_path / "whole", jobs=1).folder)

    def stop(*_):
        raise RuntimeError("stop before the store is written")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_store", stop)
        with pytest.raises(RuntimeError):
            compute_features(corpus, tmp_path / "f", jobs=1)
    kept = sorted((tmp_path / "f").rglob("*.npz"))
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:-100])
    kept[1].write_bytes(kept[0].read_bytes()[:10])
    assert contents(compute_features(corpus, tmp_path / "f", jobs=1).folder) == expected


PROGRAM = """
import sys, time
from pathlib import Path
from bench.features import compute_features

from tests.bench.features.voices import make_corpus

# as people write it, without `if __name__ == "__main__"`
corpus = make_corpus(Path({root!r}), 120)
def progress(done, total):
    print(done, flush=True)
compute_features(corpus, Path({folder!r}), jobs=2, progress=progress)
"""


def start(tmp_path: Path) -> subprocess.Popen:
    """compute_features of 120 utterances in two processes, returned once a part exists."""
    program = tmp_path / "program.py"
    root, folder = tmp_path / "corpus", tmp_path / "f"
    program.write_text(PROGRAM.format(root=str(root), folder=str(folder)))
    child = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 24:
            return child
    raise AssertionError(child.communicate()[1])


def group_is_empty(group: int) -> bool:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_killed_computation_leaves_no_store_and_no_process_and_resumes_to_the_same_bytes(
    tmp_path,
):
    child = start(tmp_path)
    child.kill()
    child.communicate()
    assert group_is_empty(child.pid)
    assert not [path for path in (tmp_path / "f").iterdir() if not path.name.startswith(".")]
    corpus = make_corpus(tmp_path / "corpus", 120)
    seen = []
    resumed = compute_features(
        corpus, tmp_path / "f", jobs=1, progress=lambda *now: seen.append(now)
    )
    assert 24 <= seen[0][0] < 120
    assert not left_over(tmp_path / "f")
    straight = compute_features(corpus, tmp_path / "straight", jobs=1)
    assert contents(resumed.folder) == contents(straight.folder)


@pytest.mark.parametrize("presses", [1, 5])
def test_ctrl_c_ends_at_once_and_leaves_no_process(tmp_path, presses):
    child = start(tmp_path)
    for _ in range(presses):
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the workers too
        time.sleep(0.01)
    _, errors = child.communicate(timeout=60)
    assert child.returncode != 0
    assert errors.count("KeyboardInterrupt") == 1 or presses > 1, errors
    assert group_is_empty(child.pid)
    assert not [path for path in (tmp_path / "f").iterdir() if not path.name.startswith(".")]


def test_two_processes_that_want_the_same_store_both_get_it(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", 30)
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=compute_features, args=(corpus, tmp_path / "f"), kwargs={"jobs": 1})
        for _ in range(2)
    ]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert len(list((tmp_path / "f").iterdir())) == 1


@pytest.mark.parametrize("name", ["frames.npy", "index.npz", "settings.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_store_is_refused_by_name(corpus, tmp_path, name, damage):
    folder = compute_features(corpus, tmp_path / "f", jobs=1).folder
    path = folder / name
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"Delete .* compute the features again") as caught:
        FeatureStore.open(folder)
    assert str(folder) in str(caught.value)


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _without_checksums(folder: Path) -> None:
    """Make a store what it would be had an earlier version written it."""
    (folder / "checksums.json").unlink()
    about = json.loads((folder / "settings.json").read_text())
    del about["checksums"]
    (folder / "settings.json").write_text(json.dumps(about))


def _zero_the_last_frames(folder: Path) -> None:
    content = (folder / "frames.npy").read_bytes()
    (folder / "frames.npy").write_bytes(content[:-4096] + bytes(4096))


def _shift_lengths(folder: Path) -> None:
    index = dict(np.load(folder / "index.npz"))
    index["lengths"][:2] += [1, -1]
    np.savez(folder / "index.npz", **index)


DAMAGES = {
    "a bit of the frames": lambda folder: _flip(folder / "frames.npy", -1),
    "a bit of the ids": lambda folder: _flip(folder / "index.npz", -200),
    "a bit of the settings": lambda folder: _flip(folder / "settings.json", 40),
    "a bit of the checksums": lambda folder: _flip(folder / "checksums.json", -8),
    "a page of zeros": _zero_the_last_frames,
    "lengths that moved": _shift_lengths,
    "no checksums": lambda folder: (folder / "checksums.json").unlink(),
    "empty checksums": lambda folder: (folder / "checksums.json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_that_is_not_what_was_written_is_refused(corpus, tmp_path, damage):
    folder = compute_features(corpus, tmp_path / "f", jobs=1).folder
    frames.verify(folder)
    DAMAGES[damage](folder)
    for look in (FeatureStore.open, frames.verify):
        with pytest.raises(InputError, match=rf"{folder} is damaged .*compute the features again"):
            look(folder)
    with pytest.raises(InputError, match=str(folder)):
        compute_features(corpus, tmp_path / "f", jobs=1)


def test_big_files_are_opened_by_a_sample_and_verified_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "PART", 16)
    monkeypatch.setattr(checksums, "SAMPLE", 4)
    (tmp_path / "frames.npy").write_bytes(bytes(range(250)))
    checksums.write(tmp_path)
    _flip(tmp_path / "frames.npy", 100)
    said = "1 of 16 parts of frames.npy are not what was written"
    assert checksums.fault(tmp_path, whole=True) == said
    monkeypatch.setattr(checksums.time, "time_ns", lambda: 2)
    assert checksums.fault(tmp_path) == said  # the parts 2, 6, 10 and 14
    monkeypatch.setattr(checksums.time, "time_ns", lambda: 3)
    assert checksums.fault(tmp_path) == ""


def test_a_store_of_an_earlier_version_gets_checksums_when_it_is_next_used(corpus, tmp_path):
    folder = compute_features(corpus, tmp_path / "f", jobs=1).folder
    _without_checksums(folder)
    FeatureStore.open(folder)
    assert not (folder / "checksums.json").exists()
    compute_features(corpus, tmp_path / "f", jobs=1)
    _flip(folder / "frames.npy", -1)
    with pytest.raises(InputError, match=r"1 of 1 parts of frames\.npy are not what was written"):
        FeatureStore.open(folder)


def test_a_store_of_an_earlier_version_whose_frames_are_not_finite_is_refused(corpus, tmp_path):
    folder = compute_features(corpus, tmp_path / "f", jobs=1).folder
    _without_checksums(folder)
    np.lib.format.open_memmap(folder / "frames.npy", mode="r+")[-1] = np.nan
    with pytest.raises(InputError, match="not all of its frames are finite"):
        compute_features(corpus, tmp_path / "f", jobs=1)


def test_a_store_of_other_utterances_is_refused(corpus, tmp_path):
    folder = compute_features(corpus, tmp_path / "f", jobs=1).folder
    index = dict(np.load(folder / "index.npz"))
    np.savez(folder / "index.npz", lengths=index["lengths"], ids=index["ids"][::-1])
    (folder / "checksums.json").unlink()
    checksums.write(folder)
    with pytest.raises(InputError, match="its utterances are not the corpus's"):
        compute_features(corpus, tmp_path / "f", jobs=1)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a feature store"):
        FeatureStore.open(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_written_is_named(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written there"):
        compute_features(corpus, tmp_path / "file" / "f", jobs=1)


def test_a_corpus_with_faults_or_without_utterances_is_refused(corpus, tmp_path):
    faulty = Corpus("tiny", corpus.root, corpus.table, faults=("u7 has no audio.", "so has u8."))
    with pytest.raises(InputError, match=r"u7 has no audio\. \(1 more such fault"):
        compute_features(faulty, tmp_path / "f")
    with pytest.raises(InputError, match="no utterances"):
        compute_features(Corpus("tiny", corpus.root, corpus.table[:0]), tmp_path / "f")


def test_a_process_that_dies_is_reported_with_what_to_do(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PROGRAM", "raise SystemExit(1)")
    monkeypatch.setattr(store, "PART_SIZE", 2)
    with pytest.raises(GateswapError, match="fewer --jobs"):
        compute_features(corpus, tmp_path / "f", jobs=2)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="frames 'some' is none of"):
        FeatureSettings(frames="some")
    with pytest.raises(ValueError, match="at least 1"):
        FeatureSettings(pool=0)


def test_the_key_depends_on_everything_the_numbers_depend_on():
    settings = [FeatureSettings(), FeatureSettings(frames="voiced"), FeatureSettings(cap=9)]
    keys = {one.key(fingerprint) for one in settings for fingerprint in ("a", "b")}
    assert len(keys) == 6
    assert FeatureSettings().key("a") == FeatureSettings().key("a")
    assert all(len(key) == 16 for key in keys)
