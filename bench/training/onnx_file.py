"""A trained network as an ONNX file, for programs that know neither Python nor gateswap.

- The file holds what the member is: the fold's normalisation before the encoders, what a missing
  context is heard as, and the model file's header as metadata.
- It is written only where onnxruntime, if it is here, computes what the network does.
"""

import io
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from activations.errors import GateswapError, InputError
from activations.files import write_atomically
from bench.data.members import MISSING_FRAMES
from bench.network.padded import frames_of
from bench.training.loaded_network import LoadedNetwork, Turns

CLOSE = 1e-3  # of a logit: float32 over hundreds of steps of gates that need not contract
NEEDED = "pip install 'gateswap[onnx]'"
UTTERANCES = ("current", "own", "other")


@dataclass(frozen=True)
class OnnxFile:
    """inputs: the graph's, by name, with their axes. difference: the largest of a logit between
    onnxruntime and the network, on recordings made up; None where onnxruntime is not installed.
    """

    inputs: dict[str, str]
    difference: float | None


class Exportable(nn.Module):
    """One member over padded batches, with what its fold and its setting do before the encoders."""

    normal: Tensor | None

    def __init__(self, network: LoadedNetwork) -> None:
        super().__init__()
        saved = network.saved
        self.own = network.network.padded(0)
        self.heard = network.network.utterances
        self.missing = MISSING_FRAMES * (
            saved.identity.member.hyper.missing_context == "frames" and self.heard > 1
        )
        normal = None if saved.normal is None else torch.from_numpy(saved.normal.copy())
        self.register_buffer("normal", normal)

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities [B, C] of utterances' frames [B, T, I] and lengths [E, B]."""
        *frames, lengths = given
        if self.normal is not None:
            frames = [(each - self.normal[0]) * self.normal[1] for each in frames]
        if self.missing:
            zeros = nn.functional.pad
            real = [frames_of(each, n) for each, n in zip(frames, lengths, strict=True)]
            frames = [torch.where(r, each, 0.0) for r, each in zip(real, frames, strict=True)]
            frames = [frames[0], *(zeros(each, (0, 0, 0, self.missing)) for each in frames[1:])]
            contexts = torch.where(lengths[1:] == 0, self.missing, lengths[1:])
            lengths = torch.cat([lengths[:1], contexts])
        logits = self.own(*frames, lengths if self.heard > 1 else lengths[0])
        return logits, torch.softmax(logits, 1)


def export_onnx(network: LoadedNetwork, path: Path) -> OnnxFile:
    """Write a network to an `.onnx` file with any batch and any time, and compare it.

    Inputs: frames `current` [B, T, I] (and `own`, `other`, each with a T of its own ≥ 1, of a
    network that hears contexts), as a feature store has them, and `lengths` [E, B] int64, 0 where a
    context is missing. Outputs: `logits` and `probabilities` [B, C]. Metadata: `gateswap`, the
    model file's header.

    Raises InputError where what ONNX needs is not installed, and for a network whose contexts go on
    to the end of a batch; GateswapError where the file computes something else, which then is not
    written.
    """
    hyper = network.saved.identity.member.hyper
    if not hyper.context_mask and network.network.utterances > 1:
        raise InputError(
            "a network with model.context_mask: false hears contexts to the end of their batch, "
            "which a file for any batch cannot hold"
        )
    names = UTTERANCES[: network.network.utterances]
    content = _graph(network, names)
    difference = _difference(network, content, names)
    if difference is not None and not difference <= CLOSE:
        raise GateswapError(
            f"{path} is not written: onnxruntime's logits differ from the network's by up to "
            f"{difference:.2g} on made-up recordings (allowed: {CLOSE}); please report it"
        )
    write_atomically(path, content)
    inputs = network.saved.inputs
    axes = {name: f"float32 [B, T{'' if i == 0 else i}, {inputs}]" for i, name in enumerate(names)}
    return OnnxFile({**axes, "lengths": f"int64 [{len(names)}, B]"}, difference)


def _graph(network: LoadedNetwork, names: tuple[str, ...]) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 - what torch.onnx.export writes with
    except ImportError:
        raise InputError(f"ONNX is not installed; install it with: {NEEDED}") from None
    dimension = torch.export.Dim
    batch = dimension("B")
    shapes = tuple({0: batch, 1: dimension(f"T{i or ''}")} for i, _ in enumerate(names))
    lengths = torch.tensor([[4, 2, 3]] * len(names))
    given = tuple(torch.zeros(3, 4 + i, network.saved.inputs) for i, _ in enumerate(names))
    for name in ("onnxscript", "torch.onnx"):  # they tell what they did not shorten or need
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators that have no meaning here
        program = torch.onnx.export(
            Exportable(network).eval(),
            (*given, lengths),
            dynamo=True,
            verbose=False,
            input_names=[*names, "lengths"],
            output_names=["logits", "probabilities"],
            dynamic_shapes=((*shapes, {1: batch}),),
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"gateswap": json.dumps(network.saved.header())})
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()


def _difference(network: LoadedNetwork, content: bytes, names: tuple[str, ...]) -> float | None:
    """The largest difference of a logit on made-up recordings, with contexts missing."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    lengths = np.array([[7, 1, 12, 5], [3, 0, 6, 0], [0, 9, 2, 0]])[: len(names)]
    given: dict[str, Any] = {
        name: random.standard_normal((4, max(1, *own), network.saved.inputs)).astype(np.float32)
        for name, own in zip(names, lengths, strict=True)
    }
    heard: list[Turns] = []
    for row in range(4):
        three = [
            given[name][row, :n] if n else None
            for name, n in zip(names, lengths[:, row], strict=True)
        ]
        current, own, other = [*three, None, None][:3]
        assert current is not None
        heard.append((current, own, other))
    found = session.run(["logits"], {**given, "lengths": lengths})[0]
    return float(np.abs(found - network.logits(heard)).max())
