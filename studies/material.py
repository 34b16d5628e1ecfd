"""What a specification trains on: corpus, examples, folds and features, read or made when needed.

- A plan needs only identities (the corpus's fingerprint, the features' key, the folds' names), so
  features are computed after the plan, and not at all where nothing is missing.
- The demo corpus is spoken into the workspace on first use: `gateswap run demo` needs no other
  command before it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from activations.errors import InputError
from activations.wording import counted
from bench.arrays import FloatArray, IntArray
from bench.corpora.corpus import Corpus
from bench.corpora.demo import write_demo_corpus
from bench.corpora.reading import read_corpus
from bench.data.examples import Examples, build_examples
from bench.data.folds import Fold, make_folds
from bench.data.review import fold_notes
from bench.data.suspicions import suspicions
from bench.features import FeatureStore, compute_features
from bench.features.moments import Moments
from bench.network.kinds import KINDS
from bench.training.identity import CorpusIdentity
from studies.plan import Data
from studies.progress import Display
from studies.spec import StudySpec
from studies.workspace import Workspace

if TYPE_CHECKING:  # what is planned and not trained needs no torch, which takes two seconds
    import torch

    from bench.data.batches import TrainingData

DEMO_SEED = 0
DEMO_DIALOGUES = 10
DEMO_FOLDS = tuple(f"Ses0{number}" for number in range(1, 6))


class DataSource(Protocol):
    """Where training data comes from; small enough to be sent to another process."""

    def build(self, device: "torch.device") -> "TrainingData":
        """The data on a device. Raises GateswapError where it cannot be read any more."""


@dataclass(frozen=True)
class StoredFeatures:
    """Training data from a feature store on disk."""

    folder: Path
    examples: Examples
    folds: Sequence[Fold]

    def build(self, device: "torch.device") -> "TrainingData":
        """Read the store and put it on a device."""
        from bench.data.batches import TrainingData

        return TrainingData.build(FeatureStore.open(self.folder), self.examples, self.folds, device)

    def carried(self) -> "CarriedFeatures":
        """The same with the frames in it, for machines that do not see the folder."""
        store = FeatureStore.open(self.folder)
        return CarriedFeatures(
            np.asarray(store.frames),
            store.offsets,
            store.lengths,
            store.moments,
            self.examples,
            self.folds,
        )


@dataclass(frozen=True, eq=False)
class CarriedFeatures:
    """Training data with its frames [F, I]; offsets, lengths [U], moments as in a store."""

    frames: FloatArray
    offsets: IntArray
    lengths: IntArray
    moments: Moments | None
    examples: Examples
    folds: Sequence[Fold]

    def build(self, device: "torch.device") -> "TrainingData":
        """Put it on a device; on a CPU the frames stay where they are."""
        from bench.data.batches import TrainingData

        with warnings.catch_warnings():
            # an object store's arrays must not be written, and nobody writes frames
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return TrainingData.build(self, self.examples, self.folds, device)


@dataclass(frozen=True, eq=False)
class Material:
    """A corpus as a protocol sees it."""

    corpus: Corpus
    examples: Examples
    folds: Sequence[Fold]
    data: Data


def read_material(spec: StudySpec, workspace: Workspace, display: Display) -> Material:
    """Read the corpus of a specification, speaking it first if it is the demo.

    Raises InputError for a corpus that is missing, has problems that the specification does not
    allow, or cannot give the protocol's folds.
    """
    corpus, problems, examples, folds = _read(spec, workspace, display)
    reservations, found = corpus.lacking, counted(len(problems), "problem")
    if problems:
        told = f"trained in spite of {found}, which gateswap corpus describe names"
        reservations = (*reservations, told)
    if problems and not spec.corpus.allow_problems:
        raise InputError(
            f"{corpus.root}: {found} with corpus {corpus.name}: {problems[0]}. Mend the corpus, "
            "or train on it as it is: corpus.allow_problems=true"
        )
    if unheard := deaf_encoders(spec, examples):
        display.say(f"{corpus.name}: {unheard}")
    data = Data(
        corpus=CorpusIdentity(
            name=corpus.name,
            fingerprint=corpus.fingerprint,
            synthetic=corpus.synthetic,
            reservations=reservations,
        ),
        features=spec.features.settings().key(corpus.fingerprint),
        folds=tuple(fold.name for fold in folds),
    )
    return Material(corpus, examples, folds, data)


def deaf_encoders(spec: StudySpec, examples: Examples) -> str:
    """What to know where a network has encoders for turns that no example has; "" for nothing."""
    has_context = bool(((examples.own >= 0) | (examples.other >= 0)).any())
    if has_context or not KINDS[spec.model.kind].contexts:
        return ""
    return (
        f"no utterance has a turn before it, so that two of the three encoders of model.kind: "
        f"{spec.model.kind} hear nothing; model.kind: gru hears the utterance alone"
    )


def read_folds(
    spec: StudySpec, workspace: Workspace, display: Display
) -> tuple[Corpus, Examples, tuple[Fold, ...]]:
    """The corpus of a specification with the protocol's examples and folds; its problems are said.

    Raises as `read_material` does, but for problems.
    """
    corpus, _, examples, folds = _read(spec, workspace, display)
    return corpus, examples, folds


def _read(
    spec: StudySpec, workspace: Workspace, display: Display
) -> tuple[Corpus, list[str], Examples, tuple[Fold, ...]]:
    """What `read_folds` returns, with the corpus's problems, which take reading its audio."""
    root, layout = corpus_folder(spec, workspace), spec.corpus.format
    if layout == "demo":
        layout = "iemocap"
        seed, dialogues = _demo_size(spec)
        with display.counting("demo corpus, utterances spoken") as count:
            write_demo_corpus(root, seed=seed, dialogues_per_session=dialogues, progress=count)
    corpus = replace(
        read_corpus(root, layout, pattern=spec.corpus.layout(), selection=spec.corpus.selection()),
        digests=workspace.digests,
    )
    problems = [*corpus.problems, *suspicions(corpus, spec.protocol)]
    for problem in problems:
        display.say(f"{corpus.name}: problem: {problem}")
    examples = build_examples(corpus, spec.protocol)
    folds = make_folds(examples, spec.protocol)
    for note in (*corpus.notes, *fold_notes(folds, examples, spec.protocol)):
        display.say(f"{corpus.name}: {note}")
    return corpus, problems, examples, folds


def foresee(
    spec: StudySpec, workspace: Workspace, display: Display
) -> tuple[Data, Material | None]:
    """The identities for a dry run, and their material: nothing is written, so an unspoken demo has
    none, and only its folds.
    """
    if spec.corpus.format == "demo" and not corpus_folder(spec, workspace).is_dir():
        corpus = CorpusIdentity(name="demo, not spoken yet", synthetic=True)
        return Data(corpus=corpus, features="", folds=DEMO_FOLDS), None
    material = read_material(spec, workspace, display)
    return material.data, material


def training_source(
    spec: StudySpec, material: Material, workspace: Workspace, display: Display
) -> StoredFeatures:
    """What training data is built from; features are computed unless the workspace has them."""
    with display.counting("features, utterances") as count:
        store = compute_features(
            material.corpus,
            workspace.features,
            settings=spec.features.settings(),
            progress=count,
        )
    return StoredFeatures(store.folder, material.examples, material.folds)


def corpus_folder(spec: StudySpec, workspace: Workspace) -> Path:
    """Where the corpus of a specification lies. Raises InputError where it does not say so."""
    corpus = spec.corpus
    if corpus.format == "demo":
        seed, dialogues = _demo_size(spec)
        return workspace.corpora / f"demo-{seed}-{dialogues}"
    if corpus.path is None and corpus.selection().database is not None:
        return workspace.corpora / "audb"
    if corpus.path is None:
        raise InputError(
            f"study {spec.name} needs a corpus; say where it is: "
            f"gateswap run {spec.name} corpus.path=/path/to/{corpus.format}"
        )
    return Path(corpus.path)


def _demo_size(spec: StudySpec) -> tuple[int, int]:
    """The demo corpus's seed, and the dialogues in each of its sessions."""
    seed, dialogues = spec.corpus.seed, spec.corpus.dialogues_per_session
    return DEMO_SEED if seed is None else seed, dialogues or DEMO_DIALOGUES
