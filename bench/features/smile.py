"""openSMILE's descriptors: eGeMAPS, and `emobase`'s columns as IAAN's authors picked them.

- openSMILE is an extra (`pip install 'gateswap[opensmile]'`): its licence allows research only.
- It is not thread-safe, so nothing here is called from two threads: corpora are computed by
  processes.
- Frames start every 10 ms where the signal begins, so that there are a few fewer than on librosa's
  centred grid.
- emobase has no ΔΔ: the authors' configuration takes openSMILE's own Δ once more, which is the
  regression of bench.features.extract.delta.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from activations.errors import InputError
from bench.arrays import FloatArray
from bench.corpora.audio import SAMPLE_RATE
from bench.features import extract

SHORTEST = 1600  # samples: below some 60 ms openSMILE gives no frame; shorter signals get silence
_MFCC = tuple(f"mfcc_sma[{number}]" for number in range(1, extract.MFCCS + 1))
# emobase's columns in the order of extract.NAMES; Δ of Δ is ours
_F0, _LOUDNESS, _VOICING, _ZCR = "F0_sma", "pcm_loudness_sma", "voiceProb_sma", "pcm_zcr_sma"
_SINGLE = (_F0, _LOUDNESS, _VOICING, _ZCR)

_EGEMAPS_NAMES = (
    *("Loudness", "alphaRatio", "hammarbergIndex", "slope0-500", "slope500-1500", "spectralFlux"),
    *("mfcc1", "mfcc2", "mfcc3", "mfcc4", "F0semitoneFrom27.5Hz", "jitterLocal", "shimmerLocaldB"),
    *("HNRdBACF", "logRelF0-H1-H2", "logRelF0-H1-A3", "F1frequency", "F1bandwidth"),
    *("F1amplitudeLogRelF0", "F2frequency", "F2bandwidth", "F2amplitudeLogRelF0", "F3frequency"),
    *("F3bandwidth", "F3amplitudeLogRelF0"),
)
EGEMAPS: dict[str, Any] = {
    "extractor": "opensmile",
    "version": 1,
    "feature_set": "eGeMAPSv02",
    "names": list(_EGEMAPS_NAMES),
}
IAAN45: dict[str, Any] = {
    "extractor": "opensmile",
    "version": 1,
    "feature_set": "emobase",
    "delta_width": extract.DELTA_WIDTH,
    "names": list(extract.NAMES),
}


def egemaps(samples: FloatArray) -> FloatArray:
    """The 25 low-level descriptors of eGeMAPS v02 (Eyben et al., 2016), [T, 25], of samples [n].

    At 16 kHz. Smoothed over three frames by openSMILE, F0 0 where unvoiced.
    """
    _, frames = _names_and_frames("eGeMAPSv02", "LowLevelDescriptors", samples)
    return frames


def iaan45(samples: FloatArray) -> FloatArray:
    """F0, loudness, voicing, zero-crossing rate and MFCC with Δ (ΔΔ) of emobase, [T, 45].

    In the order of extract.NAMES, of samples [n] at 16 kHz.
    """
    own = _columns("LowLevelDescriptors", samples)
    slopes = _columns("LowLevelDescriptors_Deltas", samples)
    steps = min(len(next(iter(own.values()))), len(next(iter(slopes.values()))))
    once = {name: slopes[name.replace("_sma", "_sma_de")] for name in (*_SINGLE, *_MFCC)}
    picked = [
        *(own[_F0], once[_F0]),
        *(own[_LOUDNESS], once[_LOUDNESS], extract.delta(once[_LOUDNESS])),
        *(own[_VOICING], once[_VOICING], own[_ZCR], once[_ZCR]),
        *(own[name] for name in _MFCC),
        *(once[name] for name in _MFCC),
        *(extract.delta(once[name]) for name in _MFCC),
    ]
    return np.stack([column[:steps] for column in picked], axis=1).astype(np.float32)


def _columns(level: str, samples: FloatArray) -> dict[str, FloatArray]:
    names, frames = _names_and_frames("emobase", level, samples)
    return dict(zip(names, frames.T, strict=True))


def _names_and_frames(
    feature_set: str, level: str, samples: FloatArray
) -> tuple[list[str], FloatArray]:
    """The columns and their values [T, F]."""
    smile = _smile(feature_set, level)
    padded = np.pad(samples, (0, max(0, SHORTEST - len(samples))))
    frames = smile.process_signal(padded, SAMPLE_RATE).to_numpy(dtype=np.float32)
    return list(smile.column_names), np.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0)


@lru_cache(maxsize=4)
def _smile(feature_set: str, level: str) -> Any:
    """The extractor of a feature set, made once in a process."""
    try:
        import opensmile
    except ImportError:
        raise InputError(
            "openSMILE is not installed; install it with: pip install 'gateswap[opensmile]' "
            "(research use), or take features.kind: iaan45 with features.extractor: librosa"
        ) from None
    return opensmile.Smile(
        getattr(opensmile.FeatureSet, feature_set), getattr(opensmile.FeatureLevel, level)
    )
