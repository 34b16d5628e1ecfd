"""Utterances that are cut out of longer files have the features of their own files."""

from pathlib import Path

import numpy as np
import soundfile

from bench.corpora.manifest import read_manifest
from bench.features import compute_features


def test_a_segment_has_the_features_of_the_same_samples_in_a_file_of_their_own(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    long = rng.uniform(-0.5, 0.5, 48_000).astype(np.float32)
    cuts = {"a": (0.0, 1.0), "b": (1.0, 1.75), "c": (1.75, 3.0)}
    header = "id,audio,speaker,label"
    for folder in ("whole", "apart"):
        (tmp_path / folder).mkdir()
    soundfile.write(str(tmp_path / "whole" / "long.wav"), long, 16_000, subtype="FLOAT")
    lines = [f"{name},long.wav,s,ang,{start},{end}" for name, (start, end) in cuts.items()]
    (tmp_path / "whole" / "manifest.csv").write_text("\n".join([f"{header},start,end", *lines]))
    for name, (start, end) in cuts.items():
        part = long[round(16_000 * start) : round(16_000 * end)]
        soundfile.write(str(tmp_path / "apart" / f"{name}.wav"), part, 16_000, subtype="FLOAT")
    lines = [f"{name},{name}.wav,s,ang" for name in cuts]
    (tmp_path / "apart" / "manifest.csv").write_text("\n".join([header, *lines]))
    whole, apart = (
        compute_features(read_manifest(tmp_path / folder), tmp_path / "store", jobs=1)
        for folder in ("whole", "apart")
    )
    assert whole.key != apart.key
    assert whole.lengths.tolist() == apart.lengths.tolist()
    assert np.array_equal(whole.frames, apart.frames)
