"""Situations that torch's own tests put its recurrent modules into, with ours beside torch's."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from activations.gru import GRU

# float32: some hundred roundings of 6e-8
TOLERANCE = {"rtol": 5e-6, "atol": 5e-6}


def pair(*sizes, **options):
    torch.manual_seed(0)
    theirs = nn.GRU(*sizes, **options)
    ours = GRU(*sizes, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def close(found, expected):
    torch.testing.assert_close(found, expected, **TOLERANCE)


@pytest.mark.parametrize(
    "given",
    [
        ((6, 3, 4), None),  # features
        ((6, 3, 5), (1, 3, 8)),  # hidden units
        ((6, 3, 5), (2, 3, 7)),  # layers
        ((6, 3, 5), (1, 2, 7)),  # rows
        ((6, 3, 5), (3, 7)),  # a batch with the state of a single row
        ((6, 5), (1, 3, 7)),  # a single row with the state of a batch
        ((2, 6, 3, 5), None),  # axes
    ],
)
def test_sizes_that_torch_refuses_are_refused(given):
    of_x, of_h0 = given
    arguments = [torch.zeros(of_x)] + ([] if of_h0 is None else [torch.zeros(of_h0)])
    for gru in pair(5, 7):
        with pytest.raises((RuntimeError, ValueError)):
            gru(*arguments)


@pytest.mark.parametrize("options", [{"dropout": 0.0}, {"dropout": 1.0}])
def test_dropout_of_nothing_and_of_everything(options):
    theirs, ours = pair(5, 7, num_layers=2, **options)
    x = torch.randn(6, 3, 5)
    close(ours(x), theirs(x))


def test_dropout_may_be_changed_later():
    theirs, ours = pair(5, 7, num_layers=2)
    x = torch.randn(6, 3, 5)
    for p in (0.0, 0.5, 1.0, 0.0):
        found = []
        for gru in (theirs, ours):
            gru.dropout = p
            torch.manual_seed(1)
            found.append(gru(x))
        close(*reversed(found))


def test_a_module_goes_to_double_and_back():
    theirs, ours = pair(5, 7, num_layers=2, bidirectional=True)
    x = torch.randn(6, 3, 5)
    with pytest.warns(UserWarning, match="slow reference"):
        torch.testing.assert_close(ours.double()(x.double()), theirs.double()(x.double()))
    close(ours.float()(x), theirs.float()(x))


def test_weights_that_are_frozen_get_no_gradient_and_the_others_do():
    found = []
    x = torch.randn(6, 3, 5)
    for gru in pair(5, 7, num_layers=2):
        gru.weight_hh_l0.requires_grad_(False)
        gru.bias_ih_l1.requires_grad_(False)
        gru(x)[0].sum().backward()
        assert gru.weight_hh_l0.grad is None
        assert gru.bias_ih_l1.grad is None
        found.append([p.grad for p in gru.parameters() if p.grad is not None])
    close(*reversed(found))


def test_only_the_initial_state_or_only_the_input_may_want_a_gradient():
    x, h0 = torch.randn(6, 3, 5), torch.randn(1, 3, 7)
    for wanted in (0, 1):
        found = []
        for gru in pair(5, 7):
            gru.requires_grad_(False)
            given = [x.clone(), h0.clone()]
            given[wanted].requires_grad_()
            gru(*given)[1].sum().backward()
            found.append(given[wanted].grad)
        close(*reversed(found))


def test_rows_of_every_length_packed_and_padded_again():
    theirs, ours = pair(5, 7, bidirectional=True, batch_first=True)
    x = torch.randn(6, 6, 5)
    for lengths in ([6, 5, 4, 3, 2, 1], [1] * 6, [6] * 6, [2, 6, 1, 1, 5, 2]):
        packed = pack_padded_sequence(x, torch.tensor(lengths), True, enforce_sorted=False)
        found = []
        for gru in (theirs, ours):
            output, h_n = gru(packed)
            found.append((pad_packed_sequence(output, True)[0], h_n))
        close(*reversed(found))


def test_the_same_graph_goes_backward_twice():
    theirs, ours = pair(5, 7, num_layers=2)
    x = torch.randn(6, 3, 5)
    for gru in (theirs, ours):
        value = gru(x)[0].square().sum()
        value.backward(retain_graph=True)
        value.backward()
    close(*([p.grad for p in gru.parameters()] for gru in (ours, theirs)))
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


def test_a_weight_that_is_changed_before_backward_is_noticed():
    for gru in pair(5, 7):
        value = gru(torch.randn(6, 3, 5))[0].sum()
        with torch.no_grad():
            gru.weight_hh_l0.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            value.backward()


def test_a_copy_of_a_trained_module_and_its_pieces():
    theirs, ours = pair(5, 7, num_layers=2, bidirectional=True)
    x = torch.randn(6, 3, 5)
    close(copy.deepcopy(ours)(x), theirs(x))
    assert [len(each) for each in ours.all_weights] == [len(each) for each in theirs.all_weights]
    assert all(
        torch.equal(a, b)
        for mine, torchs in zip(ours.all_weights, theirs.all_weights, strict=True)
        for a, b in zip(mine, torchs, strict=True)
    )
