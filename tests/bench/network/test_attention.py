"""Attention over packed frames: by hand, by its derivatives, and the GPU's kernel against torch."""

import importlib.util
import math

import pytest
import torch

from activations.kernels.packing import Packing
from bench.network.attention import Segments, attend
from tests.interpreter import interpret

RAGGED = [[5, 0, 3, 7], [1, 4, 4, 2]]
CASES: dict[str, dict[str, object]] = {
    "without offers": {"lengths": RAGGED, "W": 8, "A": 3},
    "with offers": {"lengths": RAGGED, "W": 8, "A": 3, "offer": True},
    "more columns than are read at once": {"lengths": RAGGED, "W": 130, "A": 16, "offer": True},
    "more frames than are read at once": {"lengths": [[70, 31], [32, 33]], "W": 5, "A": 4},
    "one unit of one frame": {"lengths": [[1]], "W": 1, "A": 1, "offer": True},
    "scores beyond the exponential": {"lengths": [[40, 3]], "W": 4, "A": 4, "scale": 200.0},
    "no frame at all": {"lengths": [[0, 0]], "W": 4, "A": 2, "offer": True},
    "with room": {"lengths": RAGGED, "W": 8, "A": 3, "offer": True, "against": "room", "room": 20},
    "alone": {"lengths": RAGGED, "W": 8, "A": 3, "offer": True, "against": "alone"},
}


def test_attention_of_two_rows_by_hand() -> None:
    packing = Packing.from_lengths(torch.tensor([[1, 2]]))  # frames: row 1, row 0, row 1
    states = torch.tensor([[1.0], [5.0], [3.0]])
    scores = torch.tensor([0.0, 9.0, math.log(3.0)])
    assert packing.row_of_frame.tolist() == [1, 0, 1]
    pooled = attend(states, scores, Segments.of(packing))
    torch.testing.assert_close(pooled, torch.tensor([[5.0], [0.25 * 1 + 0.75 * 3]]))


@pytest.mark.parametrize("groups", [(0, 3), (0, 1), (1, 3), (2, 3)])
def test_attention_gradients_are_its_derivatives_also_with_empty_rows(
    groups: tuple[int, int],
) -> None:
    lengths = torch.tensor([[3, 0, 5, 2], [1, 4, 4, 0], [0, 0, 0, 0]])
    packing = Packing.from_lengths(lengths[slice(*groups)])
    segments = Segments.of(packing)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(packing.N, 3, dtype=torch.double, generator=generator, requires_grad=True)
    scores = torch.randn(packing.N, dtype=torch.double, generator=generator, requires_grad=True)
    torch.autograd.gradcheck(lambda a, b: attend(a, b, segments), (states, scores))
    torch.autograd.gradgradcheck(lambda a, b: attend(a, b, segments), (states, scores))
    # as in a network, whose scores are made from the states
    torch.autograd.gradgradcheck(lambda a: attend(a, a.sin().sum(1), segments), (states,))


def test_attention_to_states_or_by_scores_alone_has_its_second_derivative() -> None:
    packing = Packing.from_lengths(torch.tensor(RAGGED))
    segments = Segments.of(packing)
    states, scores = torch.randn(packing.N, 3).double(), torch.randn(packing.N).double()
    torch.autograd.gradgradcheck(
        lambda each: attend(states, each, segments), scores.requires_grad_(), fast_mode=True
    )
    # linear in the states: behind a sum the gradient has a graph by the scores alone
    (by_states,) = torch.autograd.grad(
        attend(states.requires_grad_(), scores, segments).sum(), states, create_graph=True
    )
    (found,) = torch.autograd.grad(by_states.square().sum(), scores)
    assert found.abs().max() > 1e-3


def test_frames_are_given_to_the_rows_that_they_belong_to() -> None:
    packing = Packing.from_lengths(torch.tensor(RAGGED))
    segments = Segments.of(packing)
    assert torch.equal(segments.rows, packing.row_of_frame)
    by_row = torch.split(segments.order, packing.lengths.flatten().tolist())
    for row, frames in enumerate(by_row):
        assert (packing.row_of_frame[frames] == row).all()
        assert packing.time_of_frame[frames].tolist() == list(range(len(frames)))


def test_attention_survives_scores_that_overflow_the_exponential() -> None:
    packing = Packing.from_lengths(torch.tensor([[2]]))
    scores = torch.tensor([1000.0, -1000.0])
    pooled = attend(torch.tensor([[1.0], [2.0]]), scores, Segments.of(packing))
    assert pooled.item() == 1.0


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed (it exists for Linux only)")
    found: dict[str, dict[str, float]] = interpret("bench.network.gpu.interpreted_attention", CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_gpu_attention_equals_torchs_in_values_and_gradients(
    name: str, interpreted: dict[str, dict[str, float]]
) -> None:
    # a few float32 roundings (6e-8) of at most 70 terms; tanh by polynomial, scores up to hundreds;
    # with room or alone the same bits
    limit = 0.0 if "against" in CASES[name] else 5e-5 if "scale" in CASES[name] else 2e-6
    wrong = {tensor: error for tensor, error in interpreted[name].items() if not error <= limit}
    assert not wrong
