"""The record of one member: all that is ever known of a finished training run, in one file.

- Result files are the truth of a study, so a file must be readable by any later version and by
  anyone: one .npz, a JSON header `meta` beside plain arrays, no pickle.
- The same record always gives the same bytes: a resumed study can be compared with an uninterrupted
  one by hash.
- A diverged run is a record like any other, with a constant prediction and a flag.
- A file that is not whole is another matter than one that is not ours or of a later version: only
  the first may be trained again.
"""

import dataclasses
import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from activations.errors import InputError
from activations.files import file_bytes
from bench.arrays import UNREADABLE, IntArray
from bench.data.members import Hyperparameters, Member, Variant
from bench.training import npz
from bench.training.identity import Identity
from bench.training.metrics import confusion

FORMAT = 1
MOST_BYTES = 1 << 28  # unpacked: a thousand times what a member of IEMOCAP has
CURVES = (
    "step",
    "train_loss",
    "dev_uar",
    "dev_war",
    "test_uar",
    "test_war",
    "gradient_norm",
)
SELECTIONS = ("dev", "oracle", "last")

_PER_UTTERANCE = ("ids", "truths", "speakers", "dialogs", "lengths", "improvised")
_ARRAYS = (*_PER_UTTERANCE, "dev_truths")
_META = "meta.npy"
_GROUPS = ("curves", "logits", "dev_logits", "parameters", "diagnostics")

Array = npt.NDArray[Any]
AGAIN = ". Run the study again: the file is set aside and only this member is repeated"


class TornResultError(InputError):
    """A result file that is not whole: cut short, or changed on the disk."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MemberResult:
    """One member's record; n = test utterances, C = classes, K = evaluation points, D = directions.

    identity: which run this is, of what, and what computed it.
    outcome: "ok", or "diverged"; diverged_at is then the step (from 1) whose loss or gradient was
        no longer finite.
    curves: {step, train_loss, dev_uar, dev_war, test_uar, test_war, gradient_norm: [K]}; train_loss
        is the mean since the last point, without the L2 term; scores are shares in 0..1;
        gradient_norm is the mean before clipping.
    ids, truths (class numbers), speakers, dialogs, lengths (frames of the current utterance),
        improvised: [n].
    logits: {dev, oracle, last: [n, C] float32}, selected_step: the step of each selection. A
        diverged member's logits are the log class frequencies of its training fold (a constant
        prediction, UAR 1/C), its selected_step 0.
    dev_truths: [n_dev] class numbers; where there are none, dev's selection is the last step.
    dev_logits: as logits, of the development set; none in files of earlier versions.
    classes: names, in the order of the logits.
    parameters: {"current.candidate": [K, D, P, K'], …} learnt activation parameters at the
        evaluation points, K' = 1 (per layer) or H (per unit), for each encoder and each site that
        has any.
    diagnostics: {name: array}, see bench.training.diagnostics.
    train_size: examples that were trained on. wall_seconds: the stack's time divided by its
        members. peak_memory_bytes: the device's (CUDA) or the process's.
    """

    identity: Identity
    outcome: Literal["ok", "diverged"]
    diverged_at: int | None
    curves: Mapping[str, Array]
    ids: Array
    truths: Array
    speakers: Array
    dialogs: Array
    lengths: Array
    improvised: Array
    logits: Mapping[str, Array]
    selected_step: Mapping[str, int]
    dev_truths: Array
    classes: tuple[str, ...]
    train_size: int
    test_size: int
    parameters: Mapping[str, Array]
    diagnostics: Mapping[str, Array]
    wall_seconds: float
    stack_members: int
    peak_memory_bytes: int
    parameter_count: int
    dev_logits: Mapping[str, Array] = dataclasses.field(default_factory=dict)

    @property
    def variant(self) -> Variant:
        """The variant that was trained."""
        return self.member.variant

    @property
    def fold(self) -> str:
        """The fold's name."""
        return self.member.fold

    @property
    def seed(self) -> int:
        """The seed."""
        return self.member.seed

    @property
    def hyper(self) -> Hyperparameters:
        """The hyper-parameters."""
        return self.member.hyper

    @property
    def member(self) -> Member:
        """The member this is the record of."""
        return self.identity.member

    def predictions(self, selection: str) -> npt.NDArray[np.int64]:
        """Predicted class numbers [n] of a selection. Raises KeyError for an unknown one."""
        predictions: npt.NDArray[np.int64] = np.argmax(self.logits[selection], axis=1)
        return predictions

    def confusion(self, selection: str) -> IntArray:
        """Counts [C, C] of the test utterances, true class by predicted class."""
        return confusion(self.truths, self.predictions(selection), len(self.classes))

    def dev_uar(self, selection: str = "dev") -> float:
        """UAR on dev, a share, at a selection's step; NaN without a dev set.

        A diverged run's is chance: its constant prediction recalls one class of those that occur.
        """
        if not len(self.dev_truths):
            return float("nan")
        if self.outcome == "diverged":
            return 1.0 / len(np.unique(self.dev_truths))
        at = np.flatnonzero(self.curves["step"] == self.selected_step[selection])
        return float(self.curves["dev_uar"][at[0]])

    def to_bytes(self) -> bytes:
        """The record as the content of one .npz file; the same record gives the same bytes."""
        meta: dict[str, Any] = {"format": FORMAT, "identity": self.identity.as_dict()}
        arrays: dict[str, Array] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _ARRAYS:
                arrays[field.name] = np.asarray(value)
            elif field.name in _GROUPS:
                arrays |= {f"{field.name}/{name}": np.asarray(a) for name, a in value.items()}
            elif field.name != "identity":
                meta[field.name] = value
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise ValueError(
                    f"{name} holds Python objects; a result file holds plain arrays only"
                )
        header = json.dumps(meta, ensure_ascii=False, sort_keys=True, default=_plain)
        buffer = io.BytesIO()
        contents: dict[str, Any] = {"meta": np.array(header), **arrays}
        np.savez_compressed(buffer, allow_pickle=False, **contents)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str = "a result file") -> "MemberResult":
        """The inverse of `to_bytes`.

        where: what messages call it. Raises TornResultError for content that is not whole,
        InputError for what is whole but of a later format, or no record.
        """
        meta, contents = opened(content, where)
        with understood(where):
            fields: dict[str, Any] = meta | {name: {} for name in _GROUPS}
            for file, data in contents.items():
                name = file.removesuffix(".npy")
                group, slash, rest = name.partition("/")
                if slash:
                    fields[group][rest] = npz.array(data)
                else:
                    fields[name] = npz.array(data)
            fields["identity"] = Identity.from_dict(meta["identity"])
            fields["classes"] = tuple(meta["classes"])
            result = cls(**fields)
            result.check()
            return result

    def check(self) -> None:
        """Raise ValueError where the parts do not belong together, or are not of their kinds."""
        n, classes = len(self.ids), len(self.classes)
        if any(getattr(self, name).shape != (n,) for name in _PER_UTTERANCE):
            raise ValueError("its utterances are not equally many everywhere")
        if not classes or not all(isinstance(name, str) for name in self.classes):
            raise ValueError("its classes are no names")
        for truths in (self.truths, self.dev_truths):
            if truths.dtype.kind not in "iu" or np.any((truths < 0) | (truths >= classes)):
                raise ValueError("a class number is none of its classes")
        for name in SELECTIONS:
            logits = self.logits[name]
            if logits.shape != (n, classes) or logits.dtype.kind != "f":
                raise ValueError(f"its logits of the selection {name} are not one per class")
            if not isinstance(self.selected_step[name], int):
                raise ValueError(f"its step of the selection {name} is no number")
        points = self.curves["step"].shape
        if len(points) != 1 or any(self.curves[name].shape != points for name in CURVES):
            raise ValueError("its curves are not equally long")
        if any(self.curves[name].dtype.kind not in "iuf" for name in CURVES):
            raise ValueError("its curves are no numbers")
        counts = (self.train_size, self.test_size, self.stack_members, self.parameter_count)
        if not all(isinstance(c, int) and c >= 0 for c in (*counts, self.peak_memory_bytes)):
            raise ValueError("one of its counts is none")
        if not isinstance(self.wall_seconds, float | int) or not 0 <= self.wall_seconds < math.inf:
            raise ValueError("its time is none")
        diverged = self.outcome == "diverged"
        if self.outcome not in ("ok", "diverged") or isinstance(self.diverged_at, int) != diverged:
            raise ValueError("its outcome is none")
        dev_step = self.selected_step["dev"]
        if not diverged and len(self.dev_truths) and dev_step not in self.curves["step"]:
            raise ValueError("its step of the selection dev is no evaluation point")

    def save(self, path: Path) -> None:
        """Write the record to `path`, not atomically; a folder of results writes `to_bytes` its own
        way.
        """
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path) -> "MemberResult":
        """Read a record. Raises as `from_bytes` does, and InputError for no file."""
        return cls.from_bytes(content_of(path), where=str(path))


def constant_logits(train: Array, test_size: int, classes: int) -> npt.NDArray[np.float32]:
    """A diverged run's prediction [test_size, C]: the log class frequencies of its training fold.

    train: class numbers of the training examples.
    """
    with np.errstate(divide="ignore"):  # a class that no example has: minus infinity
        shares = np.log(np.bincount(train, minlength=classes) / len(train))
    return np.tile(shares.astype(np.float32), (test_size, 1))


def content_of(path: Path) -> bytes:
    """What a file holds. Raises InputError, naming it, where it cannot be read."""
    try:
        return file_bytes(Path(path), most=MOST_BYTES)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}"
        ) from error


def opened(content: bytes, where: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The header of a result file and its arrays' .npy files by name, all checksums compared.

    Raises as `MemberResult.from_bytes`.
    """
    try:
        contents = npz.unpack(content, most=MOST_BYTES)
    except npz.TooLargeError as error:
        raise TornResultError(f"{where} is not a whole result file ({error}){AGAIN}") from error
    except Exception as error:  # whatever zipfile, zlib, bz2 and lzma raise
        raise TornResultError(
            f"{where} is not a whole result file ({type(error).__name__}){AGAIN}"
        ) from error
    with understood(where):
        meta = json.loads(str(npz.array(contents.pop(_META))[()]))
        number = meta.pop("format")
        if isinstance(number, int) and number > FORMAT:
            raise InputError(
                f"{where} was written in another format ({number}) by a later version of "
                "gateswap; read it with that version, or move it elsewhere"
            )
        if number != FORMAT:
            raise ValueError(f"format {number!r}")
        return meta, contents


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Turn what our own reading raises for what is no record into an InputError."""
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(
            f"{where} is no result of gateswap's ({type(error).__name__}: "
            f"{str(error)[:100]}); move it elsewhere"
        ) from error


def _plain(value: object) -> object:
    """NumPy's scalars in the header become Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong into a result file's header")
