"""GRU with tanh against torch.nn.GRU, which no one here wrote: values and every gradient."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from activations.gru import GRU

# float64 leaves only the order of sums; float32 adds up some hundred roundings of 6e-8
TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6}

implementations = pytest.mark.parametrize(
    ("implementation", "dtype"),
    [
        pytest.param("reference", torch.float64, id="reference-float64"),
        pytest.param("reference", torch.float32, id="reference-float32"),
        pytest.param("auto", torch.float32, id="auto-float32"),
    ],
)


def pair(implementation, dtype, **options):
    """torch.nn.GRU and ours with its weights."""
    torch.manual_seed(0)
    theirs = nn.GRU(5, 7, dtype=dtype, **options)
    ours = GRU(5, 7, dtype=dtype, implementation=implementation, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def results(gru, x, h0, lengths=None):
    """Output, h_n and the gradients of a weighted sum of both by x, h0 and every parameter."""
    x = x.clone().requires_grad_()
    h0 = None if h0 is None else h0.clone().requires_grad_()
    inputs = x
    if lengths is not None:
        inputs = pack_padded_sequence(x, lengths, batch_first=gru.batch_first, enforce_sorted=False)
    output, h_n = gru(inputs, h0)
    found = {}
    if isinstance(output, PackedSequence):
        found["sorted_indices"] = output.sorted_indices
        found["unsorted_indices"] = output.unsorted_indices
        found["batch_sizes"] = output.batch_sizes
        output = output.data
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (part * torch.randn(part.shape, generator=generator, dtype=part.dtype)).sum()
        for part in (output, h_n)
    )
    gru.zero_grad()
    loss.backward()
    found |= {"output": output, "h_n": h_n, "gradient of x": x.grad}
    if h0 is not None:
        found["gradient of h0"] = h0.grad
    return found | {name: parameter.grad for name, parameter in gru.named_parameters()}


def assert_equal(theirs, ours, dtype):
    assert list(theirs) == list(ours)
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape, name
        torch.testing.assert_close(
            ours[name],
            expected,
            rtol=TOLERANCE[dtype],
            atol=TOLERANCE[dtype],
            msg=lambda message, name=name: f"{name}: {message}",
        )


@implementations
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["gru", "bigru"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time_first", "batch_first"])
def test_padded_batches_give_torchs_values_and_gradients(
    implementation, dtype, num_layers, bidirectional, batch_first
):
    theirs, ours = pair(
        implementation,
        dtype,
        num_layers=num_layers,
        bidirectional=bidirectional,
        batch_first=batch_first,
    )
    x = torch.randn((4, 11, 5) if batch_first else (11, 4, 5), dtype=dtype)
    h0 = torch.randn(num_layers * (1 + bidirectional), 4, 7, dtype=dtype)
    assert_equal(results(theirs, x, h0), results(ours, x, h0), dtype)


@implementations
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["gru", "bigru"])
@pytest.mark.parametrize("lengths", [[11, 9, 9, 1], [2, 11, 1, 7]], ids=["sorted", "unsorted"])
def test_packed_batches_give_torchs_values_and_gradients(
    implementation, dtype, num_layers, bidirectional, lengths
):
    theirs, ours = pair(implementation, dtype, num_layers=num_layers, bidirectional=bidirectional)
    x = torch.randn(11, 4, 5, dtype=dtype)
    h0 = torch.randn(num_layers * (1 + bidirectional), 4, 7, dtype=dtype)
    lengths = torch.tensor(lengths)
    assert_equal(results(theirs, x, h0, lengths), results(ours, x, h0, lengths), dtype)


@implementations
def test_a_single_unbatched_row_gives_torchs_values_and_gradients(implementation, dtype):
    theirs, ours = pair(implementation, dtype, num_layers=2, bidirectional=True)
    x, h0 = torch.randn(11, 5, dtype=dtype), torch.randn(4, 7, dtype=dtype)
    assert_equal(results(theirs, x, h0), results(ours, x, h0), dtype)


@implementations
@pytest.mark.parametrize("options", [{"bias": False}, {"bias": False, "bidirectional": True}, {}])
def test_without_biases_or_initial_state_it_is_torchs_as_well(implementation, dtype, options):
    theirs, ours = pair(implementation, dtype, **options)
    x = torch.randn(11, 4, 5, dtype=dtype)
    assert_equal(results(theirs, x, None), results(ours, x, None), dtype)


@implementations
def test_dropout_between_layers_draws_the_same_mask_as_torch(implementation, dtype):
    theirs, ours = pair(implementation, dtype, num_layers=3, dropout=0.4, bidirectional=True)
    x = torch.randn(11, 4, 5, dtype=dtype)
    found = []
    for gru in (theirs, ours):
        torch.manual_seed(5)
        found.append(results(gru, x, None))
    assert_equal(*found, dtype)


def test_training_follows_torchs_training_step_by_step():
    theirs, ours = pair("auto", torch.float32, num_layers=2, bidirectional=True)
    x, target = torch.randn(11, 4, 5), torch.randn(11, 4, 14)
    losses = []
    for gru in (theirs, ours):
        optimiser = torch.optim.Adam(gru.parameters(), lr=1e-2)
        for _ in range(30):
            optimiser.zero_grad()
            loss = (gru(x)[0] - target).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    # 30 steps of Adam: rounding grows, but stays far below what one step changes (1e-2)
    torch.testing.assert_close(losses[:30], losses[30:], rtol=1e-4, atol=0)
    assert losses[29] < 0.8 * losses[0]
