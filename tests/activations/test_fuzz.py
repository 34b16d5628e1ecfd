"""Random calls of the compiled kernels: each is the reference's, or refused in one sentence.

A few seconds in `make test`; longer with `make fuzz`. A failure names its seed, which
GATESWAP_FUZZ_SEED runs again.
"""

import os
import random
import time

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from activations.gru import GRU
from tests.activations.test_boundary import MAKES, REFUSALS

SECONDS = float(os.environ.get("GATESWAP_FUZZ_SECONDS", 0))  # more calls until they have passed
CALLS = 60  # at least
ACTIVATIONS = ("tanh", "arelu", "x*sigmoid(b*x); b=1 per unit")  # three libraries to compile


def made(choose, x, finish=lambda x: x):
    """The tensor, half the time as something that may not fit."""
    make = choose.choice(list(MAKES.values()))
    if choose.random() < 0.5 or not x.numel():
        return finish(x)
    try:
        return finish(make(x))
    except (RuntimeError, NotImplementedError):  # of a single frame not everything can be made
        return finish(x)


def shape(choose):
    sizes = (0, 1, 1, 2, 3, 5, 8, 16, 17)
    T, B = choose.choice(sizes), choose.choice(sizes)
    return T, B, choose.choice((1, 2, 5, 16, 33))


def drawn(choose, gru, T, B):
    """Arguments of a call, and options: anything that somebody might hand over."""
    states = gru.num_layers * (2 if gru.bidirectional else 1)
    x = torch.randn(T, B, gru.input_size)
    layout = choose.choice(("padded", "padded", "lengths", "packed", "unbatched"))
    h0 = None
    if choose.random() < 0.5:
        h0 = made(choose, torch.randn(states, B, gru.hidden_size))
    if layout == "packed":
        sizes = [choose.randint(-1, B + 1) for _ in range(T)]
        if choose.random() < 0.8:
            sizes = sorted((max(1, min(B, each)) for each in sizes), reverse=True)
        frames = torch.randn(max(sum(sizes), 0), 1, gru.input_size)
        data = made(choose, frames, lambda x: x.squeeze(1) if x.dim() == 3 else x)
        rows = sizes[0] if sizes and sizes[0] >= 0 else 0
        h0 = None if h0 is None else torch.randn(states, rows, gru.hidden_size)
        return (PackedSequence(data, torch.tensor(sizes, dtype=torch.int64)), h0), {}
    if layout == "unbatched":
        x, h0 = x[:, 0] if B else x, None
        return (x, h0), {}
    x = made(choose, x)
    if layout == "lengths":
        return (x, h0), {"lengths": torch.tensor([choose.randint(0, T + 1) for _ in range(B)])}
    return (x, h0), {}


def result(gru, arguments, options, learns):
    """Values and gradients of a call, or the error it ended in."""
    try:
        with torch.set_grad_enabled(learns):
            output, h_n = gru(*arguments, **options)
            data = output if isinstance(output, torch.Tensor) else output.data
            found = [data, h_n]
            if learns and data.requires_grad:
                value = data.square().sum() + h_n.sin().sum()
                found += torch.autograd.grad(value, list(gru.parameters()), materialize_grads=True)
    except REFUSALS as error:
        assert str(error), "an error without a word"  # noqa: PT017
        return error
    return found


def call_once(seed):
    choose = random.Random(seed)
    torch.manual_seed(seed)
    T, B, inputs = shape(choose)
    options = {
        "num_layers": choose.choice((1, 1, 2)),
        "bidirectional": choose.random() < 0.5,
        "bias": choose.random() < 0.8,
        "activation": choose.choice(ACTIVATIONS),
    }
    kernel = GRU(inputs, choose.choice((1, 3, 7, 16, 33)), implementation="cpu", **options)
    plain = GRU(inputs, kernel.hidden_size, implementation="reference", **options)
    plain.load_state_dict(kernel.state_dict())
    arguments, given = drawn(choose, kernel, T, B)
    learns = choose.random() < 0.6
    ours, theirs = (result(gru, arguments, given, learns) for gru in (kernel, plain))
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), theirs
        return "refused"
    assert not isinstance(ours, Exception), ours
    for found, expected in zip(ours, theirs, strict=True):
        assert found.shape == expected.shape
        # float32: a few hundred roundings, relative to the largest number of each result
        scale = expected.abs().max().clamp(min=1.0) if expected.numel() else 1.0
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=5e-5)
    return "ran"


@pytest.mark.fuzz
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(int(SECONDS) + 300)
def test_random_calls_of_the_kernel_are_the_references_or_refused():
    first = int(os.environ.get("GATESWAP_FUZZ_SEED", 1))
    end, outcomes, seed = time.monotonic() + SECONDS, [], first
    while len(outcomes) < CALLS or time.monotonic() < end:
        try:
            outcomes.append(call_once(seed))
        except AssertionError as error:
            raise AssertionError(f"GATESWAP_FUZZ_SEED={seed}: {error}") from error
        seed += 1
    assert outcomes.count("ran") > len(outcomes) // 4
    assert outcomes.count("refused") > len(outcomes) // 20
