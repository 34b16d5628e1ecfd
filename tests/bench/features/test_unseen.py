"""Frames of recordings outside of a corpus: the same numbers as the store's, speaker by speaker."""

import json
from pathlib import Path

import numpy as np
import pytest

from activations.errors import InputError
from bench.features import FeatureSettings, compute_features
from bench.features.parts import Utterance
from bench.features.unseen import described, settings_of, unseen
from tests.bench.features.voices import make_corpus


@pytest.mark.parametrize(
    "settings",
    [
        FeatureSettings(),
        FeatureSettings(frames="voiced", cap=40, pool=3, pool_tail="zeros"),
        FeatureSettings(kind="logmel", normalise="none"),
    ],
    ids=["speaker", "literal", "none"],
)
def test_a_whole_corpus_heard_as_new_recordings_is_its_store(
    settings: FeatureSettings, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    store = compute_features(corpus, tmp_path / "features", settings=settings, jobs=1)
    again = settings_of(json.loads(json.dumps(described(settings))))
    assert again == settings
    utterances = [
        Utterance(str(path), str(name), *stretch)
        for path, name, stretch in zip(
            corpus.table["audio"], corpus.table["id"], corpus.stretches, strict=True
        )
    ]
    found = unseen(utterances, again, corpus.table["speaker"].tolist())
    for row, frames in enumerate(found):
        np.testing.assert_array_equal(frames, store.of(row))


def test_features_of_another_version_are_refused() -> None:
    old = described(FeatureSettings()) | {"version": 0}
    with pytest.raises(InputError, match="whose version was 0, and this version"):
        settings_of(old)
    with pytest.raises(InputError, match="does not say how its features"):
        settings_of({})


def test_no_recordings_have_no_frames() -> None:
    assert unseen([], FeatureSettings(), []) == []
