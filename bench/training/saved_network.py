"""A member's trained network on disk: its weights, and all it takes to build and feed it again.

- One safetensors file, plain arrays under a JSON header: loading executes nothing, and any program
  that reads the format can look into it.
- A network is built from its header alone: formulas by their texts, sizes, classes, how frames were
  made and normalised. Names that somebody registered meanwhile mean nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from activations.errors import InputError
from activations.files import file_bytes
from bench.arrays import FloatArray
from bench.training.arrays_file import MOST_BYTES, packed, unpacked
from bench.training.identity import Identity

FORMAT = 1
_WEIGHT, _NORMAL = "network.", "normal"

Keep = Literal["best", "last", "none"]
Weights = Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedNetwork:
    """One member's network; I input features, E encoders.

    identity: which member, of what, and what computed it: its provenance. keep: which checkpoint
    this is: "best" on dev (the last one where there is no dev set) or "last"; step: its training
    step. classes: names in the order of the logits. weights: by the parameters' names in
    bench.network.network.Network, each [E, …]. normal: what is subtracted from and multiplied with
    frames [2, I], where that is the training fold's to say (features.normalise: corpus); None where
    frames come normalised. features: how frames were made, as FeatureSettings has it, and its
    `definition`. scores: dev_uar and test_uar of this checkpoint, shares, where there are any.
    """

    identity: Identity
    keep: Keep
    step: int
    classes: tuple[str, ...]
    weights: Weights
    normal: FloatArray | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """I: features of a frame."""
        name = next(name for name in sorted(self.weights) if name.endswith("weight_ih_l0"))
        return int(self.weights[name].shape[-1])

    def to_bytes(self) -> bytes:
        """The file's content; the same network gives the same bytes."""
        arrays = {f"{_WEIGHT}{name}": array for name, array in self.weights.items()}
        if self.normal is not None:
            arrays[_NORMAL] = self.normal
        return packed(arrays, self.header())

    def header(self) -> dict[str, Any]:
        """All but the arrays, as plain data."""
        return {
            "format": FORMAT,
            "identity": self.identity.as_dict(),
            "keep": self.keep,
            "step": self.step,
            "classes": list(self.classes),
            "features": dict(self.features),
            "scores": dict(self.scores),
        }

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str = "a model file") -> "SavedNetwork":
        """The inverse of `to_bytes`. Raises InputError for what is no whole model of ours."""
        arrays, header = unpacked(content, what="model", where=where)
        try:
            if header["format"] > FORMAT:
                raise InputError(
                    f"{where} was written by a later version of gateswap (format "
                    f"{header['format']}); read it with that version"
                )
            names = {name.removeprefix(_WEIGHT): name for name in arrays if name != _NORMAL}
            return cls(
                identity=Identity.from_dict(header["identity"]),
                keep=header["keep"],
                step=header["step"],
                classes=tuple(header["classes"]),
                weights={short: arrays[name] for short, name in names.items()},
                normal=arrays.get(_NORMAL),
                features=header["features"],
                scores=header["scores"],
            )
        except InputError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{where} is no model of gateswap's ({type(error).__name__}: {str(error)[:100]})"
            ) from error

    @classmethod
    def load(cls, path: Path) -> "SavedNetwork":
        """Read a file. Raises InputError as `from_bytes`, and where there is none."""
        try:
            content = file_bytes(Path(path), most=MOST_BYTES)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"{path} cannot be read: {reason}") from error
        return cls.from_bytes(content, where=str(path))
