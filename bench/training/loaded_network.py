"""A trained network read from its file: utterances in, class probabilities out.

- It hears what training heard: the fold's normalisation is part of the file and is applied here,
  contexts that are missing are heard as the member heard missing ones.
- An utterance's frames are those that a feature store holds: selected, capped, pooled, and
  normalised unless the fold does that (`bench.features.unseen` makes them of new recordings).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from activations.errors import InputError
from bench.arrays import FloatArray
from bench.data.batches import Hearing, TrainingData, gather
from bench.data.examples import Examples
from bench.network.kinds import network_class
from bench.network.network import Network
from bench.training.saved_network import SavedNetwork

Turns = FloatArray | tuple[FloatArray, FloatArray | None, FloatArray | None]

ROWS = 128  # utterances that are computed at once


class LoadedNetwork:
    """A member's network as it was kept. saved: the file's content; network: a stack of one.

    Raises InputError where the weights are not those of the network that the header describes.
    """

    def __init__(self, saved: SavedNetwork, *, implementation: str = "auto") -> None:
        self.saved = saved
        self.network = _network(saved, implementation)
        member = saved.identity.member
        normal = None if saved.normal is None else torch.from_numpy(saved.normal[:, None].copy())
        self._hearing = Hearing.of_hyper(member.hyper, self.network.utterances, normal).whole

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the logits."""
        return self.saved.classes

    def logits(self, utterances: Sequence[Turns]) -> FloatArray:
        """Logits [n, C] of n utterances: each its frames [T, I], T ≥ 0, or these with its contexts.

        A context is the frames of the same speaker's turn before (own) and of the other's (other),
        None where there is none; without contexts both are missing. A network that hears no context
        leaves them alone. Raises InputError for frames of another shape or that are not finite.
        """
        if not utterances:
            return np.zeros((0, len(self.classes)), np.float32)
        data = self._data([_three(each) for each in utterances])
        order = torch.argsort(data.lengths.sum(0), descending=True, stable=True)
        parts = []
        for rows in torch.split(order, ROWS):
            batch = gather(data, rows[None], hearing=self._hearing)
            with torch.no_grad():
                parts.append(self.network(batch.frames, batch.packing)[0].cpu())
        together = torch.cat(parts)
        found: FloatArray = torch.empty_like(together).index_copy_(0, order, together).numpy()
        return found

    def probabilities(self, utterances: Sequence[Turns]) -> FloatArray:
        """Softmax of the logits [n, C]; training's label smoothing makes them less sure."""
        return np.asarray(torch.softmax(torch.from_numpy(self.logits(utterances)), 1).numpy())

    def predict(self, utterances: Sequence[Turns]) -> list[str]:
        """The most probable class of each utterance, by name; arguments as `logits`."""
        return [self.classes[number] for number in self.logits(utterances).argmax(1)]

    def _data(self, utterances: list[tuple[FloatArray | None, ...]]) -> TrainingData:
        """The utterances as training data of as many examples, which are in no fold."""
        n, inputs = len(utterances), self.saved.inputs
        empty = np.zeros((0, inputs), np.float32)
        # encoder by encoder, so that an example's place is its row
        frames = [
            empty if each[place] is None else self._checked(number, each[place])
            for place in range(3)
            for number, each in enumerate(utterances)
        ]
        lengths = torch.tensor([len(each) for each in frames]).view(3, n)
        ends = lengths.flatten().cumsum(0).view(3, n)
        offsets = torch.where(lengths > 0, ends - lengths, 0)
        # a context that is heard as zeros needs a frame to be in their place
        stacked = np.concatenate([*frames, np.zeros((1, inputs), np.float32)])
        return TrainingData(
            frames=torch.from_numpy(stacked),
            offsets=offsets,
            labels=torch.zeros(n, dtype=torch.int64),
            lengths=lengths,
            lengths_on_device=lengths,
            examples=_nameless(n, self.classes),
            folds={},
        )

    def _checked(self, number: int, frames: FloatArray | None) -> FloatArray:
        array = np.asarray(frames, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.saved.inputs:
            raise InputError(
                f"utterance {number} has frames {list(array.shape)}; this network hears "
                f"[frames, {self.saved.inputs}]"
            )
        if not np.isfinite(array).all():
            raise InputError(f"utterance {number} has frames that are not finite")
        return array


def load_network(file: str | Path, *, implementation: str = "auto") -> LoadedNetwork:
    """The network in a model file of a study (`studies/NAME/models/HASH.safetensors`).

    Nothing in the file is executed: weights are plain arrays, formulas are read by the same parser
    as on the command line. implementation: of the recurrence. Raises InputError for a file that is
    missing, not whole, of a later version or no model.
    """
    return LoadedNetwork(SavedNetwork.load(Path(file)), implementation=implementation)


def _network(saved: SavedNetwork, implementation: str) -> Network:
    member = saved.identity.member
    kind = network_class(member.hyper.kind)

    def built(device: str) -> Network:
        return kind(
            member.variant,
            member.hyper,
            torch.zeros(1, dtype=torch.int64, device=device),
            features=saved.inputs,
            classes=len(saved.classes),
            implementation=implementation,
            draw=False,
        )

    # first without memory: a header may claim any size
    expected = {name: tuple(p.shape) for name, p in built("meta").named_parameters()}
    given = {name: array.shape for name, array in saved.weights.items()}
    if given != expected:
        name = next(n for n in {**expected, **given} if given.get(n) != expected.get(n))
        raise InputError(
            f"the weights are not those of the network that the header describes: {name} is "
            f"{given.get(name, 'missing')} and should be {expected.get(name, 'absent')}"
        )
    network = built("cpu")
    network.load_state_dict({name: torch.from_numpy(a) for name, a in saved.weights.items()})
    return network.eval()


def _three(heard: Turns) -> tuple[FloatArray | None, ...]:
    return heard if isinstance(heard, tuple) else (heard, None, None)


def _nameless(n: int, classes: tuple[str, ...]) -> Examples:
    """So many examples of which nothing is known but the order."""
    rows, names = np.arange(n), np.full(n, "")
    return Examples(
        classes=classes,
        ids=names,
        labels=np.zeros(n, np.int64),
        current=rows,
        own=rows,
        other=rows,
        session=names,
        speaker=names,
        dialog=names,
        improvised=np.zeros(n, np.bool_),
    )
