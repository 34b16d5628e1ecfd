r"""From a speech corpus to trained and scored members.

A folder of recordings with a table (`manifest.csv`) is a corpus; here a made-up one, three speakers
with four turns each:

>>> import tempfile, wave
>>> from pathlib import Path
>>> import bench
>>> folder = Path(tempfile.mkdtemp())
>>> rows = ["id,audio,speaker,label"]
>>> for speaker in "ABC":
...     for number, label in enumerate(["ang", "hap", "neu", "sad"]):
...         name = f"{speaker}{number}"
...         rows.append(f"{name},{name}.wav,{speaker},{label}")
...         with wave.open(str(folder / f"{name}.wav"), "wb") as file:
...             file.setparams((1, 2, 16_000, 0, "NONE", ""))
...             file.writeframes(bytes(range(200)) * (16 * (number + 1)))
>>> _ = (folder / "manifest.csv").write_text("\n".join(rows))
>>> corpus = bench.read_corpus(folder, "manifest")
>>> len(corpus), corpus.labels
(12, {'ang': 3, 'hap': 3, 'neu': 3, 'sad': 3})
>>> protocol = bench.Protocol(test_unit="speaker")
>>> bench.describe(corpus, protocol)["folds"]["A"]
{'train': 4, 'dev': 4, 'test': 4}

Its features are computed once; examples, folds and features are what training takes:

>>> features = bench.compute_features(corpus, folder / "features", jobs=1)
>>> features.frames.shape
(72, 45)
>>> examples = bench.build_examples(corpus, protocol)
>>> folds = bench.make_folds(examples, protocol)
>>> data = bench.TrainingData.build(features, examples, folds)

A member is one training run; members whose networks have one shape train together:

>>> small = bench.Hyperparameters(hidden_size=4, steps=2, evaluate_every=1, batch_size=4)
>>> members = [bench.Member(bench.Variant("relu"), fold.name, 0, small) for fold in folds]
>>> results = bench.train_stack(members, data)
>>> isinstance(results[0], bench.MemberResult)
True
>>> [result.outcome for result in results]
['ok', 'ok', 'ok']
>>> results[0].curves["train_loss"].shape
(2,)

Everything is imported when it is first used; what must be asked of Intel MKL and of OpenMP before
they are used is asked here (`bench.rounding`, `activations.kernels.cpu.threads`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from activations.kernels.cpu.threads import wait_asleep
from bench.rounding import ask_mkl

if TYPE_CHECKING:
    from bench.corpora.reading import read_corpus as read_corpus
    from bench.data.batches import TrainingData as TrainingData
    from bench.data.describe import describe as describe
    from bench.data.examples import build_examples as build_examples
    from bench.data.folds import make_folds as make_folds
    from bench.data.members import Hyperparameters as Hyperparameters
    from bench.data.members import Member as Member
    from bench.data.members import Variant as Variant
    from bench.data.protocol import Protocol as Protocol
    from bench.features.store import compute_features as compute_features
    from bench.training.loaded_network import LoadedNetwork as LoadedNetwork
    from bench.training.loaded_network import load_network as load_network
    from bench.training.results import MemberResult as MemberResult
    from bench.training.train import train_stack as train_stack

wait_asleep()
ask_mkl()

_HOME = {
    "Hyperparameters": "data.members",
    "LoadedNetwork": "training.loaded_network",
    "Member": "data.members",
    "MemberResult": "training.results",
    "Protocol": "data.protocol",
    "TrainingData": "data.batches",
    "Variant": "data.members",
    "build_examples": "data.examples",
    "compute_features": "features.store",
    "describe": "data.describe",
    "load_network": "training.loaded_network",
    "make_folds": "data.folds",
    "read_corpus": "corpora.reading",
    "train_stack": "training.train",
}

__all__ = [
    "Hyperparameters",
    "LoadedNetwork",
    "Member",
    "MemberResult",
    "Protocol",
    "TrainingData",
    "Variant",
    "build_examples",
    "compute_features",
    "describe",
    "load_network",
    "make_folds",
    "read_corpus",
    "train_stack",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(f"bench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
