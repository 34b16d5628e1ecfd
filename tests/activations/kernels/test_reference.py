"""The reference recurrence, against finite differences and against what padding must never do."""

import warnings

import pytest
import torch

from activations.errors import GateswapError, InputError
from activations.gru import GRU
from activations.kernels import dispatch
from activations.kernels.cell import Cell
from activations.kernels.packing import Packing
from activations.registry import get, names

LENGTHS = torch.tensor([[3, 0, 5], [1, 4, 2]])


def make(cell, packing, *, D=2, H=3, dtype=torch.float64, per_unit=False, seed=0):
    """Random arguments of a recurrence, weights small so that unbounded activations stay finite."""
    torch.manual_seed(seed)
    G, B = packing.lengths.shape

    def draw(*shape, scale=0.5):
        return (torch.randn(*shape, dtype=dtype) * scale).requires_grad_()

    parameters = tuple(
        draw(G, D, len(formula.parameters), H if per_unit else 1) for formula in cell.formulas
    )
    return (
        draw(packing.N, D, 3 * H, scale=1.0),
        draw(G, D, 3 * H, H, scale=0.4),
        draw(G, D, 3 * H),
        parameters,
        draw(G, D, B, H),
    )


def run(cell, packing, gates_x, w_hh, b_hh, parameters, h0):
    return dispatch.recurrence(
        gates_x, w_hh, b_hh, packing, cell, parameters, h0, implementation="reference"
    )


@pytest.mark.parametrize("reset_order", ["after", "before"])
@pytest.mark.parametrize("per_unit", [False, True])
def test_gradients_are_finite_differences_with_learnable_activations_at_every_site(
    reset_order, per_unit
):
    cell = Cell(get("swish_beta"), get("swish_beta"), get("swish_beta"), reset_order)
    packing = Packing.from_lengths(torch.tensor([[2, 0, 3], [1, 0, 2]]))
    gates_x, w_hh, b_hh, parameters, h0 = make(cell, packing, H=2, per_unit=per_unit)

    def function(gates_x, w_hh, b_hh, h0, *parameters):
        return run(cell, packing, gates_x, w_hh, b_hh, parameters, h0)

    # fast mode compares both sides along random directions: a tenth of the time
    inputs = (gates_x, w_hh, b_hh, h0, *parameters)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


def test_the_second_direction_is_the_first_on_reversed_rows():
    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    packing = Packing.from_lengths(LENGTHS)
    gates_x, w_hh, b_hh, parameters, h0 = make(cell, packing)
    both = run(cell, packing, gates_x, w_hh, b_hh, parameters, h0)
    flipped = reverse_rows(gates_x, packing)
    parameters = tuple(values.flip(1) for values in parameters)
    other = run(cell, packing, flipped.flip(1), w_hh.flip(1), b_hh.flip(1), parameters, h0.flip(1))
    torch.testing.assert_close(
        reverse_rows(other.flip(1), packing), both, rtol=0, atol=1e-14
    )  # the same sums in the same order: a few units of the last place


def reverse_rows(frames, packing):
    """Each row's frames in the opposite order of time."""
    index = torch.empty(packing.N, dtype=torch.int64)
    for row in range(packing.lengths.numel()):
        own = (packing.row_of_frame == row).nonzero().flatten()
        index[own] = own.flip(0)
    return frames[index]


@pytest.mark.parametrize("reset_order", ["after", "before"])
def test_what_stands_at_padding_changes_nothing(reset_order):
    cell = Cell(get("sigmoid"), get("sigmoid"), get("relu"), reset_order)
    packing = Packing.from_lengths(LENGTHS)
    gates_x, w_hh, b_hh, parameters, h0 = make(cell, packing)
    padded = packing.unpack(gates_x.detach().flatten(1))
    results = []
    for filler in (0.0, torch.nan, torch.inf):
        real = torch.arange(packing.T)[None, :, None] < LENGTHS[:, None, :]
        filled = torch.where(real[..., None], padded, filler).requires_grad_()
        h = run(cell, packing, packing.pack(filled).view_as(gates_x), w_hh, b_hh, parameters, h0)
        h.square().sum().backward()
        assert (filled.grad[~real] == 0).all()
        results.append((h.detach(), filled.grad, w_hh.grad, h0.grad))
        w_hh.grad = h0.grad = b_hh.grad = None
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_nan_in_a_row_stays_in_that_row_from_then_on():
    cell = Cell(get("sigmoid"), get("sigmoid"), get("relu"))
    packing = Packing.full(1, 4, 2)
    gates_x, w_hh, b_hh, parameters, h0 = make(cell, packing, D=1)
    spoilt = packing.unpack(gates_x.detach().flatten(1))
    spoilt[0, 2, 1] = torch.nan
    h = run(cell, packing, packing.pack(spoilt).view_as(gates_x), w_hh, b_hh, parameters, h0)
    isnan = packing.unpack(h.flatten(1))[0].isnan().all(-1)
    assert isnan.tolist() == [[False, False], [False, False], [False, True], [False, True]]


def test_a_group_has_the_same_bits_whoever_its_neighbours_are():
    cell = Cell(get("sigmoid"), get("sigmoid"), get("elu"))
    packing = Packing.from_lengths(LENGTHS)
    gates_x, w_hh, b_hh, parameters, h0 = make(cell, packing)
    together = run(cell, packing, gates_x, w_hh, b_hh, parameters, h0)
    for g in range(2):
        own = slice(packing.bounds[g], packing.bounds[g + 1])
        alone = run(
            cell,
            Packing.from_lengths(LENGTHS[g : g + 1]),
            gates_x[own],
            w_hh[g : g + 1],
            b_hh[g : g + 1],
            tuple(values[g : g + 1] for values in parameters),
            h0[g : g + 1],
        )
        assert torch.equal(alone, together[own])


def test_frames_of_no_row_at_all_give_no_states():
    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    packing = Packing.from_lengths(torch.zeros(2, 3, dtype=torch.int64))
    gates_x, w_hh, b_hh, parameters, h0 = make(cell, packing)
    assert run(cell, packing, gates_x, w_hh, b_hh, parameters, h0).shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("position", "shape", "name"),
    [(0, (9, 2, 9), "gates_x"), (1, (2, 2, 8, 3), "w_hh"), (2, (2, 1, 9), "b_hh")],
)
def test_arguments_whose_shapes_do_not_fit_are_named(position, shape, name):
    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    packing = Packing.from_lengths(LENGTHS)
    arguments = list(make(cell, packing))
    arguments[position] = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=name):
        run(cell, packing, *arguments)


def test_parameters_of_another_activation_are_refused():
    packing = Packing.from_lengths(LENGTHS)
    *rest, parameters, h0 = make(Cell(get("sigmoid"), get("sigmoid"), get("arelu")), packing)
    plain = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    with pytest.raises(ValueError, match="candidate parameters"):
        run(plain, packing, *rest, parameters, h0)


def test_a_missing_kernel_is_told_once_and_named_in_the_description(monkeypatch):
    class NoCompiler:
        @staticmethod
        def available(cell, dtype):
            return "no C compiler found"

    monkeypatch.setitem(dispatch._MODULES, "cpu", NoCompiler)
    monkeypatch.setattr(dispatch, "_warned", set())
    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    with pytest.warns(UserWarning, match="slow reference implementation: no C compiler found"):
        assert dispatch.choose(cell) == "reference"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dispatch.describe(cell, 8) == f"reference (torch {torch.__version__})"
    with pytest.raises(GateswapError, match="cpu kernel cannot run here: no C compiler found"):
        dispatch.choose(cell, implementation="cpu")
    with pytest.raises(GateswapError, match="cannot run here"):
        dispatch.choose(cell, dtype=torch.float16)


def test_derivatives_carried_forward_run_on_the_reference_which_is_told_once(monkeypatch):
    monkeypatch.setattr(dispatch, "_warned", set())
    gru, x = GRU(3, 4), torch.randn(5, 2, 3)
    with pytest.warns(UserWarning, match="slow reference implementation: no kernel carries"):
        torch.func.jvp(lambda x: gru(x)[0], (x,), (x.cos(),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.func.jvp(lambda x: gru(x)[0], (x,), (x.cos(),))


def test_an_unknown_implementation_or_reset_order_is_refused():
    cell = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
    with pytest.raises(InputError, match="no implementation 'fast'"):
        dispatch.choose(cell, implementation="fast")
    with pytest.raises(InputError, match="'after' or 'before'"):
        Cell(get("sigmoid"), get("sigmoid"), get("tanh"), "never")


@pytest.mark.parametrize("name", [n for n in names() if get(n).facts.smoothness >= 2])
def test_second_derivatives_with_this_activation_equal_finite_differences(name):
    torch.manual_seed(0)
    gru = GRU(2, 3, activation=name, dtype=torch.float64, implementation="reference")
    weights = dict(gru.named_parameters())
    x, h0 = torch.randn(3, 2, 2, dtype=torch.float64), torch.randn(1, 2, 3, dtype=torch.float64)

    def states(x, h0, *values):
        given = dict(zip(weights, values, strict=True))
        return torch.func.functional_call(gru, given, (x, h0))[0]

    leaves = [each.detach().clone().requires_grad_() for each in (x, h0, *weights.values())]
    torch.manual_seed(0)  # for the direction in which fast_mode compares
    assert torch.autograd.gradgradcheck(states, leaves, fast_mode=True, atol=1e-4)
