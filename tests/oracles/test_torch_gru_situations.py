"""Situations that torch's own tests put its recurrent modules into, with ours beside torch's."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from activations.gru import GRU
from activations.kernels import dispatch

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


def test_a_module_goes_to_double_and_back(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())  # told once a process
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


def weight_drop(gru):
    """As language models of 2017 do it: a dropped tensor in the parameter's place."""
    raw = gru.weight_hh_l0
    del gru._parameters["weight_hh_l0"]
    gru.register_parameter("raw", nn.Parameter(raw.detach()))
    gru.weight_hh_l0 = torch.dropout(gru.raw, 0.5, True)


def tie(gru):
    gru.weight_hh_l1, gru.bias_hh_l1 = gru.weight_hh_l0, gru.bias_hh_l0


def lie_otherwise(gru):
    """A weight that lies column by column in memory."""
    gru.weight_hh_l0 = nn.Parameter(gru.weight_hh_l0.detach().t().contiguous().t())


CHANGES = {
    "weight norm": lambda gru: parametrizations.weight_norm(gru, "weight_hh_l0"),
    "spectral norm": lambda gru: parametrizations.spectral_norm(gru, "weight_ih_l0"),
    "orthogonal": lambda gru: parametrizations.orthogonal(gru, "weight_hh_l1"),
    "pruned": lambda gru: prune.l1_unstructured(gru, "weight_hh_l0", 0.5),
    "weight drop": weight_drop,
    "tied layers": tie,
    "another layout": lie_otherwise,
    "shared memory": lambda gru: gru.share_memory(),
    "a forward hook": lambda gru: gru.register_forward_hook(lambda m, i, o: (o[0] * 2, o[1])),
    "a backward hook": lambda gru: gru.register_full_backward_hook(lambda m, i, o: None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_module_changed_as_torchs_may_be_gives_its_values_gradients_and_steps(change):
    x, found = torch.randn(6, 3, 5), []
    for gru in pair(5, 7, num_layers=2, bidirectional=False):
        torch.manual_seed(1)
        change(gru)
        output, h_n = gru(x)
        output.square().sum().backward()
        gradients = [p.grad for p in gru.parameters() if p.grad is not None]
        with torch.no_grad():
            step = gru(x[:1], h_n.detach())[0]
        found.append([output, h_n, step, *gradients])
        assert [len(each) for each in gru.all_weights] == [4, 4]
    close(*reversed(found))


def test_no_initial_state_is_one_of_zeros():
    x = torch.randn(6, 3, 5)
    for gru in pair(5, 7, num_layers=2, bidirectional=True):
        assert all(map(torch.equal, gru(x), gru(x, torch.zeros(4, 3, 7))))


def test_a_batch_without_rows_has_gradients_of_zero():
    for gru in pair(5, 7):
        output, h_n = gru(torch.zeros(6, 0, 5))
        assert (output.shape, h_n.shape) == ((6, 0, 7), (1, 0, 7))
        output.sum().backward()
        assert all((parameter.grad == 0).all() for parameter in gru.parameters())


@pytest.mark.filterwarnings("ignore:.*slow reference:UserWarning")
def test_a_default_type_of_double_is_theirs_and_ours():
    torch.set_default_dtype(torch.float64)
    try:
        theirs, ours = pair(5, 7, bidirectional=True)
        x = torch.randn(6, 3, 5)
        assert ours.weight_hh_l0.dtype == torch.float64
        torch.testing.assert_close(ours(x), theirs(x))
    finally:
        torch.set_default_dtype(torch.float32)


def test_parameters_go_to_a_vector_and_back():
    theirs, ours = pair(5, 7, num_layers=2)
    vector = nn.utils.parameters_to_vector(ours.parameters())
    assert torch.equal(vector, nn.utils.parameters_to_vector(theirs.parameters()))
    nn.utils.vector_to_parameters(vector / 2, ours.parameters())
    nn.utils.vector_to_parameters(vector / 2, theirs.parameters())
    x = torch.randn(6, 3, 5)
    close(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((4, 256 / 2), {}),
        ((4, 0), {}),
        ((4, 8, 0), {}),
        (("4", 8), {}),
        ((4, 8, 1, "yes"), {}),
        ((4, 8, 2), {"dropout": True}),
        ((4, 8, 2), {"dropout": "0.5"}),
        ((4, 8, 2), {"dropout": 1.5}),
        ((4, 8), {"proj_size": 3}),
    ],
)
def test_what_the_constructor_refuses_is_refused_in_torchs_words(arguments, options):
    errors = []
    for kind in (nn.GRU, GRU):
        with pytest.raises((TypeError, ValueError)) as refused:
            kind(*arguments, **options)
        errors.append(refused.value)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[1]).startswith(str(errors[0]))


def test_every_argument_of_the_constructor_is_at_torchs_place():
    arguments = (5, 7, 2, False, True, 0.25, True, 0, "cpu", torch.float64)
    theirs, ours = nn.GRU(*arguments), GRU(*arguments)
    assert repr(ours.to_torch()) == repr(theirs)
    assert {name: (p.shape, p.dtype) for name, p in ours.named_parameters()} == {
        name: (p.shape, p.dtype) for name, p in theirs.named_parameters()
    }
