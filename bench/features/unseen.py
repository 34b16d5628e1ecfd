"""Frames of recordings that belong to no corpus, made as a feature store's were.

- A network is fed what it was trained on: the same columns, selection, cap, pooling, and the same
  way of normalising, applied to what there is.
- Where training normalised by speaker, a new speaker's mean and deviation can only come from the
  recordings at hand. Who speaks in which is the caller's to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from activations.errors import InputError
from bench.arrays import FloatArray
from bench.features.moments import Moments, normalisation
from bench.features.parts import Utterance, part_of
from bench.features.settings import FeatureSettings


def described(settings: FeatureSettings) -> dict[str, Any]:
    """The settings as a model file keeps them: what `settings_of` and `unseen` need.

    Raises InputError where `own` features cannot be read.
    """
    return {**settings.as_dict(), "given": {f.name: getattr(settings, f.name) for f in _GIVEN}}


def settings_of(description: Mapping[str, Any]) -> FeatureSettings:
    """The settings that were `described`.

    Raises InputError for those of another version of an extractor: its frames are other frames.
    """
    try:
        settings = FeatureSettings(**description["given"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the model does not say how its features were made ({error})") from None
    if settings.kind == "own":
        return settings
    now = settings.as_dict()
    for name, value in now.items():
        if description.get(name) != value:
            raise InputError(
                f"the model was trained on features whose {name} was "
                f"{str(description.get(name))[:60]}, and this version of gateswap computes "
                f"{str(value)[:60]}; use the version that trained it"
            )
    return settings


def unseen(
    utterances: Sequence[Utterance], settings: FeatureSettings, speakers: Sequence[str]
) -> list[FloatArray]:
    """Frames [T, I] of each utterance, as a store of these settings would hold them.

    speakers: whose each utterance is; utterances of one speaker are normalised together where the
    settings normalise by speaker (or by wearer). Raises InputError for audio that cannot be used.
    """
    if not utterances:
        return []
    part = part_of(0, tuple(utterances), settings)
    groups = np.asarray(speakers) if settings.normalise in ("speaker", "wearer") else None
    moments = Moments(part.counts, part.means, part.squares)
    frames = part.normalised(*normalisation(moments, groups), settings)
    return np.split(frames, np.cumsum(part.lengths)[:-1])


_GIVEN = fields(FeatureSettings)
