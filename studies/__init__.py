r"""Studies: the plan is data, the result files are the truth.

A study on a made-up corpus of three speakers with four turns each, which prints nothing:

>>> import tempfile, wave
>>> from pathlib import Path
>>> import studies
>>> folder = Path(tempfile.mkdtemp())
>>> rows = ["id,audio,speaker,label"]
>>> for speaker in "ABC":
...     for number, label in enumerate(["ang", "hap", "neu", "sad"]):
...         name = f"{speaker}{number}"
...         rows.append(f"{name},{name}.wav,{speaker},{label}")
...         with wave.open(str(folder / f"{name}.wav"), "wb") as file:
...             file.setparams((1, 2, 16_000, 0, "NONE", ""))
...             file.writeframes(bytes(range(ord(speaker))) * (40 * (number + 1)))
>>> _ = (folder / "manifest.csv").write_text("\n".join(rows))
>>> spec = studies.load("demo", [
...     "name=small", f"corpus={{format: manifest, path: {folder}}}",
...     "protocol.test_unit=speaker", "seeds=1", "variants.activation=[tanh, x*sigmoid(x)]",
...     "variants.direction=gru", "model.hidden_size=4", "training.steps=2",
... ])
>>> results = studies.run(spec, workspace=folder / "runs", mirror=False, device="cpu")
>>> [(result.variant.label, result.fold, result.outcome) for result in results[:4]]
... # doctest: +NORMALIZE_WHITESPACE
[('tanh · gru', 'A', 'ok'), ('tanh · gru', 'B', 'ok'), ('tanh · gru', 'C', 'ok'),
 ('x*sigmoid(x) · gru', 'A', 'ok')]
>>> status = studies.status("small", workspace=folder / "runs")
>>> status.finished, status.members
(6, 6)
>>> len(studies.results("small", workspace=folder / "runs"))
6

Everything is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.face import load as load
    from studies.face import predict as predict
    from studies.face import results as results
    from studies.face import run as run
    from studies.face import status as status
    from studies.face import tune as tune

_HOME = dict.fromkeys(["load", "predict", "results", "run", "status", "tune"], "face")

__all__ = ["load", "predict", "results", "run", "status", "tune"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'studies' has no attribute {name!r}")
    return getattr(import_module(f"studies.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
