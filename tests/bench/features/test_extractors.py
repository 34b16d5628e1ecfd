"""Kinds of features and ways to normalise them, against direct computation on small corpora."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from activations.errors import InputError
from bench.corpora.audio import read_audio
from bench.corpora.corpus import Corpus
from bench.corpora.library import librosa
from bench.data.batches import Hearing, TrainingData, gather
from bench.data.examples import build_examples
from bench.data.folds import Fold
from bench.data.members import Member, Variant
from bench.data.protocol import Protocol
from bench.features import FeatureSettings, compute_features, extractors
from bench.features.extract import NAMES, delta
from bench.features.streaming import pool
from tests.bench.features.voices import make_corpus, signal_of

needs_opensmile = pytest.mark.skipif(
    importlib.util.find_spec("opensmile") is None, reason="openSMILE is not installed"
)
EXTRACTED = [
    pytest.param("iaan45", "librosa", 45),
    pytest.param("iaan45", "opensmile", 45, marks=needs_opensmile),
    pytest.param("egemaps", "librosa", 25, marks=needs_opensmile),
    pytest.param("logmel", "librosa", 64),
]


@pytest.mark.parametrize(("kind", "extractor", "columns"), EXTRACTED)
def test_every_kind_gives_finite_frames_also_of_the_shortest_sound(
    kind: Any, extractor: str, columns: int
) -> None:
    extract = extractors.extractor_of(kind, extractor)
    assert len(extractors.definition_of(kind, extractor, None)["names"]) == columns
    for samples in (signal_of(3), signal_of(3)[:1], signal_of(3)[:700], np.zeros(5000, np.float32)):
        frames = extract(samples)
        assert frames.shape[0] >= 1
        assert frames.shape[1] == columns
        assert frames.dtype == np.float32
        assert np.isfinite(frames).all()


@needs_opensmile
def test_opensmiles_second_slope_is_the_regression_of_its_first() -> None:
    """openSMILE's own Δ, made from its contours by our regression: so ΔΔ from Δ is its, too."""
    from bench.features import smile

    frames = smile.iaan45(signal_of(5))
    for name in ("loudness", "mfcc3", "zcr"):
        contour, slope = (frames[:, NAMES.index(n)] for n in (name, f"{name}_delta"))
        inner = slice(2, -2)
        np.testing.assert_allclose(
            delta(contour)[inner], slope[inner], rtol=1e-4, atol=1e-5 * np.abs(slope).max()
        )


def test_logmel_is_loudest_where_a_tone_is() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000).astype(np.float32)
    bands = extractors.extractor_of("logmel", "librosa")(tone)[10]
    edges = librosa().mel_frequencies(66, fmin=0, fmax=8000)
    assert edges[bands.argmax()] < 1000 < edges[bands.argmax() + 2]


def test_settings_that_came_later_leave_the_key_of_earlier_stores() -> None:
    # written down once: a change of these keys computes every corpus anew
    assert FeatureSettings().key("0" * 32) == "7aab134e0f522369"
    assert FeatureSettings(frames="voiced", pool=3).key("0" * 32) == "769994f28dc6aa7f"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "mfcc"}, "kind 'mfcc' is none of iaan45"),
        ({"kind": "logmel", "frames": "voiced"}, "frames voiced has no meaning"),
        ({"kind": "egemaps", "extractor": "opensmile"}, "extractor opensmile has no meaning"),
        ({"kind": "own"}, "path is needed"),
        ({"path": "/x"}, "path is needed"),
        ({"normalise": "corpus", "pool_tail": "zeros"}, "pool_tail zeros is not possible"),
    ],
)
def test_settings_that_mean_nothing_together_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureSettings(**settings)


@pytest.fixture
def own(tmp_path: Path) -> tuple[Corpus, Path]:
    """A corpus of eight utterances, and a folder of features of its own, [3 … 10, 6]."""
    corpus = make_corpus(tmp_path / "corpus")
    folder = tmp_path / "own"
    folder.mkdir()
    for row, name in enumerate(corpus.table["id"]):
        frames = np.random.default_rng(row).normal(row, 2, size=(row + 3, 6))
        np.save(folder / f"{name}.npy", frames.astype(np.float64 if row % 2 else np.float16))
    return corpus, folder


def test_own_features_are_stored_under_their_content_whatever_their_path(
    own: tuple[Corpus, Path], tmp_path: Path
) -> None:
    corpus, folder = own
    settings = FeatureSettings(kind="own", path=str(folder), normalise="none", pool=1)
    store = compute_features(corpus, tmp_path / "f", settings=settings, jobs=1)
    assert store.names == ("own1", "own2", "own3", "own4", "own5", "own6")
    for row, name in enumerate(corpus.table["id"]):
        np.testing.assert_array_equal(
            store.of(row), np.load(folder / f"{name}.npy").astype(np.float32)
        )
    moved = folder.rename(folder.with_name("moved"))
    extractors.own_definition.cache_clear()
    again = FeatureSettings(kind="own", path=str(moved), normalise="none", pool=1)
    assert again.key(corpus.fingerprint) == store.key
    np.save(moved / "u000.npy", np.ones((2, 6)))
    extractors.own_definition.cache_clear()
    assert again.key(corpus.fingerprint) != store.key


SPOILT: dict[str, Any] = {
    "u003.npy is missing": lambda path: path.unlink(),
    "u003.npy is no .npy file": lambda path: path.write_text("numbers"),
    r"holds float64 \[6\]": lambda path: np.save(path, np.ones(6)),
    r"holds bool \[2, 6\]": lambda path: np.save(path, np.ones((2, 6), bool)),
    "not finite": lambda path: np.save(path, np.full((2, 6), np.nan)),
    "equally many": lambda path: np.save(path, np.ones((2, 7))),
}


@pytest.mark.parametrize("message", SPOILT)
def test_own_features_that_cannot_be_used_are_named(
    message: str, own: tuple[Corpus, Path], tmp_path: Path
) -> None:
    corpus, folder = own
    SPOILT[message](folder / "u003.npy")
    settings = FeatureSettings(kind="own", path=str(folder))
    with pytest.raises(InputError, match=message):
        compute_features(corpus, tmp_path / "f", settings=settings, jobs=1)


def test_folder_without_features_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.npy file"):
        FeatureSettings(kind="own", path=str(tmp_path)).as_dict()


def raw(corpus: Corpus, row: int) -> np.ndarray:
    return extractors.extractor_of("logmel", "librosa")(
        read_audio(Path(corpus.table["audio"][row])).samples
    )


def test_frames_are_as_extracted_where_nothing_normalises(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    settings = FeatureSettings(kind="logmel", normalise="none", pool=1)
    store = compute_features(corpus, tmp_path / "f", settings=settings, jobs=1)
    np.testing.assert_allclose(store.of(3), raw(corpus, 3), rtol=1e-6)


def test_last_frame_is_filled_up_with_zeros_after_normalising_by_wearer(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    with pytest.raises(InputError, match="u000 names no marker wearer"):
        compute_features(corpus, tmp_path, settings=FeatureSettings(normalise="wearer"), jobs=1)
    table = corpus.table.assign(
        id=[f"Ses01{'F' if row < 5 else 'M'}_impro01_{'FM'[row % 2]}00{row}" for row in range(8)]
    )
    corpus = Corpus("tiny", corpus.root, table)
    settings = FeatureSettings(kind="logmel", normalise="wearer", pool_tail="zeros", cap=23)
    store = compute_features(corpus, tmp_path / "f", settings=settings, jobs=1)
    # IAAN's preprocessing: z-scores over the prefix's frames, a cap, zeros to a multiple of five
    frames = [raw(corpus, row) for row in range(8)]
    for rows in (range(5), range(5, 8)):
        together = stats.zscore(np.concatenate([frames[row] for row in rows]).astype(np.float64))
        ends = np.cumsum([len(frames[row]) for row in rows])
        for row, own in zip(rows, np.split(together, ends[:-1]), strict=True):
            kept = own[:23]
            filled = np.concatenate([kept, np.zeros((-len(kept) % 5, 64))])
            expected = filled.reshape(-1, 5, 64).mean(1)
            np.testing.assert_allclose(store.of(row), expected, atol=2e-5)


def test_each_fold_normalises_by_its_own_training_utterances_alone(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    labels = ["ang", "hap"] * 4
    corpus = Corpus("tiny", corpus.root, corpus.table.assign(label=labels))
    settings = FeatureSettings(kind="logmel", normalise="corpus")
    store = compute_features(corpus, tmp_path / "f", settings=settings, jobs=1)
    protocol = Protocol(classes=("ang", "hap"), merge={}, context_turns=0)
    examples = build_examples(corpus, protocol)
    sides = [np.array(rows) for rows in ([0, 1, 2], [3, 4], [5, 6, 7])]
    folds = [Fold("a", sides[0], sides[1], sides[2]), Fold("b", sides[2], sides[1], sides[0])]
    data = TrainingData.build(store, examples, folds)
    assert isinstance(store.frames, np.memmap)
    assert data.frames.data_ptr() == store.frames.ctypes.data  # mapped, not copied
    members = [Member(Variant(), fold, 0) for fold in ("a", "b")]
    import torch

    given = gather(data, torch.tensor([[5], [0]]), hearing=Hearing.of(members, data, 1))
    for m, (train, row) in enumerate(((sides[0], 5), (sides[2], 0))):
        heard = np.concatenate([raw(corpus, r) for r in train]).astype(np.float64)
        expected = pool((raw(corpus, row) - heard.mean(0)) / heard.std(0), 5)
        own = given.frames[given.packing.bounds[m] : given.packing.bounds[m + 1]]
        np.testing.assert_allclose(own, expected, atol=1e-4)
