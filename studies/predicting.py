"""What the trained members of a study say of new recordings.

- Members are asked one by one and agree by the mean of their probabilities or by majority: a study
  then ends in something that can be used.
- Recordings are prepared as each member's training speech was. Where that normalised by speaker,
  the new speaker's statistics come from the recordings at hand, which is said every time.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from activations.errors import InputError
from bench.arrays import FloatArray
from bench.data.members import Member
from bench.features.parts import Utterance
from bench.features.settings import FeatureSettings
from bench.features.unseen import settings_of, unseen
from bench.network.kinds import KINDS
from bench.training.loaded_network import LoadedNetwork
from bench.training.saved_network import SavedNetwork
from studies.completion import find_study
from studies.member_names import chosen_members
from studies.model_files import ModelFolder, without_model
from studies.result_files import PlanRecord, ResultFolder
from studies.workspace import Workspace

By = Literal["mean", "majority"]
Speakers = Literal["one", "folder", "file"]

LITTLE_SPEECH = 60.0  # seconds: means and deviations of less vary between recordings of a speaker
FRAME = 0.01  # seconds


@dataclass(frozen=True)
class Prediction:
    """What is said of one recording.

    probabilities: by class, the mean over the members. votes: members by the class they say.
    """

    file: str
    label: str
    probabilities: dict[str, float]
    votes: dict[str, int]


@dataclass(frozen=True)
class PredictedFiles:
    """PredictedFiles of a study's members, and what to know of them: a sentence each."""

    study: str
    by: By
    members: int
    classes: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def predict_files(
    study: str,
    files: Sequence[Path],
    workspace: Workspace,
    *,
    members: Sequence[str] = (),
    by: str = "mean",
    speakers: str = "one",
) -> PredictedFiles:
    """What members of a study say of audio files (of `.npy` frames where features are `own`).

    members: their names (see studies.member_names), by default all that have a model. by: "mean" of
    the probabilities, or "majority" of the members' classes, the mean deciding between equally
    many. speakers: whose the recordings are: of "one" speaker, of one in each "folder", or each
    "file" of another.
    Raises InputError for a study or member that is not there or has no model, and for audio that
    cannot be used.
    """
    _check_choices(by, speakers)
    name = find_study(study, workspace)
    asked, notes = _models(name, members, workspace)
    if absent := [str(file) for file in files if not file.is_file()]:
        raise InputError(f"no recording {absent[0]}; give audio files")
    heard: dict[str, list[FloatArray]] = {}
    total = votes = np.zeros(())
    for key in asked:
        saved = SavedNetwork.load(ModelFolder(workspace.study(name).models).file(key))
        way = repr(sorted(saved.features.items()))
        if way not in heard:
            settings = settings_of(saved.features)
            heard[way] = _frames(files, settings, speakers)
            notes += _about_normalising(settings, speakers, files, heard[way])
        network = LoadedNetwork(saved)
        own = network.probabilities([*heard[way]])
        total = total + own.astype(np.float64)
        votes = votes + (own.argmax(1)[:, None] == np.arange(own.shape[1]))
        classes = saved.classes
        notes += _about_member(saved)
    mean = np.asarray(total) / len(asked)
    counts = np.asarray(votes)
    decided = mean if by == "mean" else counts + mean / 2  # a mean is at most 1: it breaks ties
    return PredictedFiles(
        study=name,
        by="mean" if by == "mean" else "majority",
        members=len(asked),
        classes=classes,
        predictions=tuple(
            Prediction(
                file=str(file),
                label=classes[int(decided[row].argmax())],
                probabilities=dict(zip(classes, mean[row].tolist(), strict=True)),
                votes={c: int(n) for c, n in zip(classes, counts[row], strict=True) if n},
            )
            for row, file in enumerate(files)
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _check_choices(by: str, speakers: str) -> None:
    for option, value, choice in (("by", by, By), ("speakers", speakers, Speakers)):
        if value not in get_args(choice):
            raise InputError(f"--{option} takes {', '.join(get_args(choice))}, not {value!r}")


def _models(
    study: str, names: Sequence[str], workspace: Workspace
) -> tuple[dict[str, Member], list[str]]:
    """The members that are asked, and a note where others of those named have no model.

    Raises InputError, with the remedy, where none has one.
    """
    folder = workspace.study(study)
    chosen = chosen_members(PlanRecord.read(folder).members, names)
    models, results = ModelFolder(folder.models), ResultFolder(folder.results)
    there = models.hashes()
    asked = {key: member for key, member in chosen.items() if key in there}
    lacking = without_model(chosen, results, models)
    remedy = (
        f"{len(lacking)} of the members have a result and no model (trained without keeping any, "
        f"or by an earlier version); to make them: gateswap run {study} --models"
    )
    if asked:
        return asked, [remedy] if lacking else []
    if lacking:
        raise InputError(f"study {study}: {remedy}")
    if chosen.keys() <= results.hashes():
        raise InputError(f"study {study}: every member named has diverged; none has a model")
    raise InputError(
        f"study {study}: none of the {len(chosen)} members is finished; first: gateswap run {study}"
    )


def _frames(files: Sequence[Path], settings: FeatureSettings, speakers: str) -> list[FloatArray]:
    """The files' frames, normalised speaker by speaker where the settings say so."""
    whose = {
        "one": ["" for _ in files],
        "folder": [str(file.absolute().parent) for file in files],
        "file": [str(number) for number, _ in enumerate(files)],
    }[speakers]
    if settings.kind == "own":
        wrong = [file for file in files if file.suffix != ".npy"]
        if wrong:
            raise InputError(
                f"{wrong[0]}: the study's features were made outside of gateswap "
                "(features.kind: own); give .npy files of the same features"
            )
    return unseen([Utterance(str(file), file.stem) for file in files], settings, whose)


def _about_normalising(
    settings: FeatureSettings, speakers: str, files: Sequence[Path], frames: Sequence[FloatArray]
) -> list[str]:
    """What the user must know of how these recordings were normalised."""
    if settings.normalise not in ("speaker", "wearer"):
        return []
    ours = "the recording is" if len(files) == 1 else f"the {len(files)} recordings are"
    taken = {
        "one": f"{ours} taken to be of one speaker (--speakers folder or file says otherwise)",
        "folder": "the recordings of a folder are taken to be of one speaker",
        "file": "each recording is taken to be of a speaker of its own",
    }[speakers]
    notes = [
        f"features.normalise: {settings.normalise} is transductive: in the study each speaker's "
        "frames were normalised by all of this speaker's recordings, test speakers' too. Here "
        f"{taken}, whose frames are normalised by themselves; scores of the study hold for as much "
        "speech of each speaker as it had. features.normalise: corpus needs no speech of the "
        "speaker"
    ]
    seconds = sum(map(len, frames)) * settings.pool * FRAME
    smallest = seconds if speakers == "one" else min(map(len, frames)) * settings.pool * FRAME
    if smallest < LITTLE_SPEECH and settings.kind != "own":
        notes.append(
            f"only {smallest:.0f} s of speech of a speaker are there to normalise by; under "
            f"{LITTLE_SPEECH:.0f} s, mean and deviation say as much of the words as of the voice"
        )
    return notes


def _about_member(saved: SavedNetwork) -> list[str]:
    """What the user must know of a member's training."""
    identity, notes = saved.identity, []
    kind = identity.member.hyper.kind
    if KINDS[kind].contexts:
        notes.append(
            f"model.kind: {kind} hears the turns before an utterance, of which single recordings "
            "have none: it hears both contexts as missing"
        )
    if not identity.member.hyper.context_mask:
        notes.append(
            "model.context_mask: false hears contexts to the end of the batch: what is said of a "
            "recording depends on the others given with it"
        )
    if identity.corpus.synthetic:
        notes.append(
            f"the members were trained on {identity.corpus.name}, which is synthetic speech: what "
            "they say means nothing of human emotion"
        )
    return notes
