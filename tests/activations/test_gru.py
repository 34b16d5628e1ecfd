"""GRU as a drop-in for torch.nn.GRU: the face of it (its numbers are compared in tests/oracles)."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import activations.registry as registry
from activations.errors import InputError
from activations.gru import GRU

ACTIVATIONS = registry.names()


def run(gru, *inputs):
    with torch.no_grad():
        return gru(*inputs)


def differs(ours, theirs):
    """Whether two outputs differ by more than rounding (1e-6); NaN, from an overflow, differs."""
    return not (ours - theirs).abs().max() < 1e-3


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "tanh"])
def test_gru_with_this_activation_is_not_silently_tanh(name):
    torch.manual_seed(0)
    plain = nn.GRU(6, 5)
    ours = GRU(6, 5, activation=name)
    ours.load_state_dict(plain.state_dict())
    if hasattr(ours, "candidate_l0"):  # some learnable activations start as tanh
        with torch.no_grad():
            ours.candidate_l0 += 0.25
    x = 2 * torch.randn(7, 4, 6)
    assert differs(run(ours, x)[0], run(plain, x)[0])


@pytest.mark.parametrize("site", ["update_gate", "reset_gate"])
def test_a_gates_activation_is_not_silently_sigmoid(site):
    torch.manual_seed(0)
    plain = nn.GRU(6, 5)
    x = torch.randn(7, 4, 6)
    for name in ("hardsigmoid", "tanh", "relu"):
        ours = GRU(6, 5, **{site: name})
        ours.load_state_dict(plain.state_dict())
        assert differs(run(ours, x)[0], run(plain, x)[0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bidirectional": True},
        {"num_layers": 3, "bias": False, "batch_first": True},
        {"dtype": torch.float64},
    ],
)
def test_the_same_seed_gives_the_same_weights_under_the_same_names_as_torch(options):
    torch.manual_seed(3)
    theirs = nn.GRU(5, 7, **options).state_dict()
    torch.manual_seed(3)
    ours = GRU(5, 7, **options).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_learnable_activations_do_not_disturb_the_weights_of_a_seed():
    torch.manual_seed(3)
    theirs = nn.GRU(5, 7).state_dict()
    torch.manual_seed(3)
    ours = GRU(5, 7, activation="arelu", update_gate="swish_beta").state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert set(ours) - set(theirs) == {"candidate_l0", "update_l0"}


def test_weights_travel_from_torch_and_back():
    theirs = nn.GRU(5, 7, 2, bidirectional=True)
    ours = GRU(5, 7, 2, bidirectional=True, activation="relu")
    ours.load_state_dict(theirs.state_dict())
    back = nn.GRU(5, 7, 2, bidirectional=True)
    back.load_state_dict(ours.state_dict())
    for name, weight in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight)


def test_weights_of_torch_leave_a_learnable_activation_at_its_start_inside_a_larger_model():
    plain = nn.ModuleDict({"encoder": nn.GRU(5, 7, bidirectional=True), "head": nn.Linear(14, 2)})
    ours = nn.ModuleDict(
        {
            "encoder": GRU(5, 7, bidirectional=True, activation="arelu"),
            "head": nn.Linear(14, 2),
        }
    )
    ours.load_state_dict(plain.state_dict())
    initial = torch.tensor(registry.get("arelu").initial)
    assert torch.equal(ours["encoder"].candidate_l0, initial)
    assert torch.equal(ours["encoder"].candidate_l0_reverse, initial)


def test_a_checkpoint_with_only_some_activation_parameters_is_not_accepted():
    gru = GRU(5, 7, bidirectional=True, activation="arelu")
    state = gru.state_dict()
    del state["candidate_l0_reverse"]
    with pytest.raises(RuntimeError, match="candidate_l0_reverse"):
        gru.load_state_dict(state)


def test_a_parameter_per_unit_has_one_value_for_each_unit_and_learns():
    gru = GRU(5, 7, activation="max(x,0)+a*min(x,0); a=0.25 per unit", reset_gate="swish_beta")
    assert gru.candidate_l0.shape == (1, 7)
    assert torch.equal(gru.candidate_l0, torch.full((1, 7), 0.25))
    assert gru.reset_l0.shape == (1,)
    gru(torch.randn(6, 3, 5))[0].sum().backward()
    assert (gru.candidate_l0.grad != 0).all()
    assert (gru.reset_l0.grad != 0).all()


def test_unit_parameters_of_equal_value_are_a_layers_parameter():
    torch.manual_seed(0)
    layer = GRU(5, 7, activation="max(x,0)+a*min(x,0); a=0.25")
    unit = GRU(5, 7, activation="max(x,0)+a*min(x,0); a=0.25 per unit")
    unit.load_state_dict({**layer.state_dict(), "candidate_l0": unit.candidate_l0})
    x = torch.randn(6, 3, 5)
    for gru in (layer, unit):
        gru(x)[0].square().sum().backward()
    assert torch.equal(run(layer, x)[0], run(unit, x)[0])
    torch.testing.assert_close(unit.candidate_l0.grad.sum(1), layer.candidate_l0.grad)


@pytest.mark.parametrize("copying", [copy.deepcopy, lambda gru: pickle.loads(pickle.dumps(gru))])
def test_a_copy_computes_the_same_with_its_own_weights(copying):
    gru = GRU(5, 7, 2, bidirectional=True, activation="arelu")
    x = torch.randn(6, 3, 5)
    twin = copying(gru)
    assert torch.equal(run(twin, x)[0], run(gru, x)[0])
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
        twin.candidate_l0.zero_()
    assert gru.weight_hh_l0.abs().max() > 0
    assert gru.candidate_l0.abs().max() > 0


def test_padding_never_leaks_into_outputs_states_or_gradients():
    torch.manual_seed(0)
    gru = GRU(5, 7, 2, bidirectional=True, activation="relu")
    lengths = torch.tensor([4, 9, 1, 6])
    clean = torch.randn(9, 4, 5)
    padding = torch.arange(9)[:, None] >= lengths
    results = []
    for filler in (0.0, torch.nan):
        x = clean.masked_fill(padding[..., None], filler).requires_grad_()
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, h_n = gru(packed)
        padded, _ = pad_packed_sequence(output)
        gru.zero_grad()
        (padded.sum() + h_n.sum()).backward()
        assert (x.grad[padding] == 0).all()
        assert (padded[padding] == 0).all()
        results.append((padded, h_n, x.grad, *[p.grad.clone() for p in gru.parameters()]))
    assert all(map(torch.equal, *results))


def test_rows_of_a_packed_batch_are_what_each_row_gives_alone():
    gru = GRU(5, 7, 2, bidirectional=True, activation="mish")
    rows = [torch.randn(length, 5) for length in (4, 9, 1, 6)]
    output, h_n = run(gru, nn.utils.rnn.pack_sequence(rows, enforce_sorted=False))
    padded, lengths = pad_packed_sequence(output)
    for b, row in enumerate(rows):
        alone, alone_n = run(gru, row)
        assert alone.shape == (len(row), 14)
        torch.testing.assert_close(padded[: lengths[b], b], alone)
        torch.testing.assert_close(h_n[:, b], alone_n)


def test_dropout_acts_between_layers_while_training_only():
    torch.manual_seed(0)
    gru = GRU(5, 7, 2, dropout=0.5)
    x = torch.randn(6, 3, 5)
    assert not torch.equal(run(gru, x)[0], run(gru, x)[0])
    gru.eval()
    assert torch.equal(run(gru, x)[0], run(gru, x)[0])


def test_dropout_with_one_layer_is_warned_about():
    with pytest.warns(UserWarning, match="only one"):
        GRU(5, 7, dropout=0.5)


def test_its_text_says_what_it_is():
    gru = GRU(45, 128, 2, bidirectional=True, activation="ReLU", reset="before")
    assert repr(gru) == (
        "GRU(45, 128, num_layers=2, bidirectional=True, activation='relu', reset='before')"
    )


def test_it_names_the_kernel_that_runs():
    assert GRU(5, 7, implementation="reference").kernel == f"reference (torch {torch.__version__})"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 7), {}, "input_size must be greater than zero"),
        ((5, 0), {}, "hidden_size must be greater than zero"),
        ((5, 7, 0), {}, "num_layers must be greater than zero"),
        ((5, 7, 2), {"dropout": 1.5}, r"in range \[0, 1\] .* got 1.5"),
        ((5, 7, 2), {"dropout": True}, r"in range \[0, 1\] .* got True"),
        ((5, 7, 2), {"dropout": "0.5"}, r"in range \[0, 1\] .* got '0.5'"),
        ((5, 7), {"proj_size": 3}, "only supported for LSTM"),
        ((5, 7), {"implementation": "fast"}, "no implementation 'fast'"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        GRU(*arguments, **options)


@pytest.mark.parametrize("sizes", [(4.0, 7), (4, 256 / 2), (4, True), (4, "7")])
def test_sizes_that_are_not_whole_are_refused_as_torch_refuses_them(sizes):
    with pytest.raises(TypeError, match=r"should be of type int, got: (float|bool|str)"):
        GRU(*sizes)


def test_an_unknown_activation_is_refused_where_it_is_named():
    with pytest.raises(InputError, match="no activation 'swsh'"):
        GRU(5, 7, activation="swsh")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((torch.zeros(6, 3, 4),), "last axis must be 5, got 4"),
        ((torch.zeros(5),), r"\[T, B, I\]"),
        ((torch.zeros(0, 3, 5),), "at least one time step"),
        ((torch.zeros(6, 3, 5, dtype=torch.float64),), "input is torch.float64"),
        ((torch.zeros(6, 3, 5), torch.zeros(1, 2, 7)), r"must be \[1, 3, 7\], got \[1, 2, 7\]"),
        ((torch.zeros(6, 5), torch.zeros(2, 7)), r"must be \[1, 1, 7\]"),
    ],
)
def test_inputs_of_another_shape_or_type_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        GRU(5, 7)(*inputs)
