"""The CPU kernel, against the reference in float64: every activation, every awkward shape."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from activations.formula.parser import parse
from activations.kernels import dispatch
from activations.kernels.cell import Cell
from activations.kernels.cpu import compiler, projection
from activations.kernels.cpu import recurrence as cpu
from activations.kernels.packing import Packing
from activations.registry import get, names

TANH = Cell(get("sigmoid"), get("sigmoid"), get("tanh"))
LEARNED = Cell(
    parse("sigmoid(a*x)+b; a=1.1, b=0.05"),
    parse("sigmoid(x)*a; a=0.9 per unit"),
    parse("tanh(x)+a*min(x,0)+b*sin(x); a=0.1, b=0.2 per unit"),
)
BEFORE = {
    "tanh, reset before": replace(TANH, reset_order="before"),
    "learned, reset before": replace(LEARNED, reset_order="before"),
}
CELLS = {"tanh": TANH, "learned": LEARNED} | BEFORE
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
LENGTHS = torch.tensor(
    [[3, 0, 5, 5, 1, 2, 4, 3, 1, 5, 2], [0] * 11, [1, 4, 2, 0, 0, 6, 1, 1, 2, 3, 6]]
)
# 60 roundings of float32, relative to the array's largest element: sums over k, time and frames
ROUNDING = 60 * 2.0**-24


def inputs(cell, packing, *, D=2, H=20, per_unit=False, scale=0.5, seed=0):
    """Random float64 arguments (gates_x, w_hh, b_hh, h0, update, reset, candidate)."""
    generator = torch.Generator().manual_seed(seed)
    G, B = packing.lengths.shape

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    parameters = [
        torch.tensor(formula.initial, dtype=torch.float64).view(1, 1, -1, 1)
        * (1 + 0.05 * draw(G, D, len(formula.parameters), H if per_unit else 1))
        for formula in cell.formulas
    ]
    weights = draw(G, D, 3 * H, H) * scale / H**0.5, draw(G, D, 3 * H) * scale
    # through float32 and back: both implementations see the same numbers
    every = [draw(packing.N, D, 3 * H) * scale, *weights, draw(G, D, B, H) * scale, *parameters]
    return [each.float().double() for each in every], draw(packing.N, D, H).float().double()


def run(implementation, cell, packing, tensors, d_h, dtype=torch.float32, with_h0=True):
    """h and the gradients by every tensor, by name."""
    given = [each.to(dtype).requires_grad_() for each in tensors]
    gates_x, w_hh, b_hh, h0, *parameters = given
    h = dispatch.recurrence(
        gates_x,
        w_hh,
        b_hh,
        packing,
        cell,
        tuple(parameters),
        h0 if with_h0 else None,
        implementation=implementation,
    )
    h.backward(d_h.to(dtype))
    labels = ("gates_x", "w_hh", "b_hh", "h0", "update", "reset", "candidate")
    gradients = {
        label: torch.zeros_like(each) if each.grad is None else each.grad
        for label, each in zip(labels, given, strict=True)
    }
    return {"h": h.detach()} | gradients


def assert_equals_reference(cell, packing, *, rounding=ROUNDING, with_h0=True, **options):
    tensors, d_h = inputs(cell, packing, **options)
    ours = run("cpu", cell, packing, tensors, d_h, with_h0=with_h0)
    truth = run("reference", cell, packing, tensors, d_h, torch.float64, with_h0=with_h0)
    for label, wanted in truth.items():
        if wanted.numel():
            error = (ours[label].double() - wanted).abs().max()
            assert error <= rounding * wanted.abs().max().clamp(min=1e-3), label


def trios():
    """Every activation at one of the three sites: a compilation takes a second, and code of one
    formula is the same at each site but for its name.
    """
    every = names()
    padded = [*every, *every[: -len(every) % 3]]
    return [padded[i : i + 3] for i in range(0, len(padded), 3)]


@pytest.mark.slow
@pytest.mark.parametrize("trio", trios(), ids=" ".join)
def test_every_activation_equals_the_reference(trio):
    # small numbers: an unbounded update gate grows doubly exponentially
    packing = Packing.from_lengths(torch.tensor([[4, 0, 2, 3]]))
    cell = Cell(*map(get, trio))
    assert cpu.available(cell, torch.float32) is None
    assert_equals_reference(cell, packing, scale=0.25, rounding=4 * ROUNDING)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", names())
def test_every_activation_at_every_site_equals_the_reference(name):
    packing = Packing.from_lengths(torch.tensor([[4, 0, 2, 3]]))
    cell = Cell(get(name), get(name), get(name))
    assert cpu.available(cell, torch.float32) is None
    assert_equals_reference(cell, packing, scale=0.25, rounding=4 * ROUNDING)


@pytest.mark.parametrize("site", ["update", "reset", "candidate"])
def test_an_activation_at_one_site_is_at_that_site(site):
    cell = Cell(
        **(
            {"update": TANH.update, "reset": TANH.reset, "candidate": TANH.candidate}
            | {site: get("softsign")}
        )
    )
    assert_equals_reference(cell, Packing.from_lengths(LENGTHS))


@pytest.mark.parametrize("H", [1, 3, 16, 45, 64, 100])
@every_cell
def test_any_hidden_size_equals_the_reference(cell, H):
    assert_equals_reference(cell, Packing.from_lengths(LENGTHS), H=H)


@pytest.mark.parametrize(
    "lengths",
    [[[1]], [[7]], [[1] * 9], [[0, 0, 3]], [list(range(40))], [[5] * 17]],
    ids=str,
)
@pytest.mark.parametrize("with_h0", [True, False], ids=["h0", "zeros"])
@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("reset_order", ["after", "before"])
def test_any_lengths_equal_the_reference(lengths, with_h0, D, reset_order):
    packing = Packing.from_lengths(torch.tensor(lengths))
    cell = replace(LEARNED, reset_order=reset_order)
    assert_equals_reference(cell, packing, D=D, with_h0=with_h0)


@pytest.mark.parametrize("rows", [0, 1, 3])
@every_cell
def test_a_batch_without_any_frame_has_no_states_and_zero_gradients(rows, cell):
    packing = Packing.from_lengths(torch.zeros(2, rows, dtype=torch.int64))
    tensors, d_h = inputs(cell, packing)
    for label, got in run("cpu", cell, packing, tensors, d_h).items():
        assert not got.any(), label


@every_cell
def test_more_frames_than_one_block_of_the_weight_gradient_equal_the_reference(cell):
    assert_equals_reference(cell, Packing.full(1, 30, 25), H=33)


@pytest.mark.parametrize("per_unit", [False, True])
@pytest.mark.parametrize("reset_order", ["after", "before"])
def test_learnable_parameters_per_layer_and_per_unit_equal_the_reference(per_unit, reset_order):
    cell = replace(LEARNED, reset_order=reset_order)
    assert_equals_reference(cell, Packing.from_lengths(LENGTHS), per_unit=per_unit)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@every_cell
def test_results_are_the_same_bits_for_any_number_of_threads(cell, threads):
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(cell, packing, H=50)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        wanted = run("cpu", cell, packing, tensors, d_h)
        torch.set_num_threads(threads)
        got = run("cpu", cell, packing, tensors, d_h)
    finally:
        torch.set_num_threads(before)
    for label in wanted:
        assert torch.equal(got[label], wanted[label]), label


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("precision", ["ieee", "bf16"])
@pytest.mark.parametrize("lengths", [LENGTHS, torch.tensor([[7]])], ids=["ragged", "one row"])
def test_frames_projected_on_the_way_give_the_bits_of_gates_projected_before(
    lengths, precision, bias, monkeypatch
):
    monkeypatch.setenv("GATESWAP_BF16", "portable")
    packing = Packing.from_lengths(lengths)
    (_, w_hh, b_hh, _, *parameters), _ = inputs(LEARNED, packing)
    w_hh, b_hh, *parameters = (each.float() for each in (w_hh, b_hh, *parameters))
    frames, w_ih = torch.randn(packing.N, 45), torch.randn(packing.groups, 2 * 60, 45) / 7
    b_ih = torch.randn(packing.groups, 2 * 60) if bias else None
    gates = projection.forward(frames, w_ih, b_ih, packing.bounds, precision)
    found, true = (
        cpu.forward(x, w_hh, b_hh, None, parameters, packing, LEARNED, precision, save=True, by=by)
        for x, by in ((frames, (w_ih, b_ih)), (gates.view(-1, 2, 60), None))
    )
    assert torch.equal(found[0], true[0])
    padded = slice(0, 4 * 16)  # of H = 20 the first units, in blocks of a vector, are whole
    assert torch.equal(found[1][..., padded], true[1][..., padded])


@pytest.mark.parametrize("g", [0, 2])
@every_cell
def test_a_groups_results_are_the_same_bits_with_and_without_companions(g, cell):
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(cell, packing)
    together = run("cpu", cell, packing, tensors, d_h)
    own = slice(*packing.bounds[g : g + 2])
    alone = Packing.from_lengths(LENGTHS[g : g + 1])
    mine = [tensors[0][own], *(each[g : g + 1] for each in tensors[1:])]
    for label, got in run("cpu", cell, alone, mine, d_h[own]).items():
        frames = label in ("h", "gates_x")
        assert torch.equal(got, together[label][own if frames else slice(g, g + 1)]), label


@pytest.mark.parametrize(
    ("name", "reset_order"),
    [
        *((name, "after") for name in ("tanh", "relu", "hard_sigmoid", "arelu", "gelu", "sqnl")),
        ("tanh", "before"),
        ("relu", "before"),
    ],
)
def test_a_nan_in_one_row_stays_in_that_row_and_is_not_lost(name, reset_order):
    cell = Cell(get("sigmoid"), get("sigmoid"), get(name), reset_order)
    packing = Packing.full(1, 4, 9)
    tensors, d_h = inputs(cell, packing, D=1)
    tensors[0][packing.starts[0, 1] + 3] = torch.nan
    h = run("cpu", cell, packing, tensors, d_h)["h"].view(4, 9, -1)
    assert h[1:, 3].isnan().all()
    assert not h[0].isnan().any()
    assert not h[:, [b for b in range(9) if b != 3]].isnan().any()


@pytest.mark.parametrize("reset_order", ["after", "before"])
def test_a_nan_in_the_reset_gate_alone_reaches_the_first_state(reset_order):
    packing = Packing.full(1, 2, 3)
    cell = replace(TANH, reset_order=reset_order)
    tensors, d_h = inputs(cell, packing, D=1, H=20)
    tensors[0][1, 0, :20] = torch.nan  # the second row's r at step 0, where h is zero
    h = run("cpu", cell, packing, tensors, d_h, with_h0=False)["h"].view(2, 3, -1)
    assert h[:, 1].isnan().all()
    assert not h[:, [0, 2]].isnan().any()


def test_second_backward_through_a_kept_graph_gives_the_same_gradients():
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(TANH, packing)
    gates_x, w_hh, b_hh, h0, *parameters = (each.float().requires_grad_() for each in tensors)
    h = dispatch.recurrence(
        gates_x, w_hh, b_hh, packing, TANH, tuple(parameters), h0, implementation="cpu"
    )
    first = torch.autograd.grad(h, (gates_x, w_hh), d_h.float(), retain_graph=True)
    second = torch.autograd.grad(h, (gates_x, w_hh), d_h.float())
    assert all(map(torch.equal, first, second))


@every_cell
def test_without_gradients_the_states_are_the_same_bits(cell):
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(cell, packing)
    wanted = run("cpu", cell, packing, tensors, d_h)["h"]
    gates_x, w_hh, b_hh, h0, *parameters = (each.float() for each in tensors)
    h = dispatch.recurrence(
        gates_x, w_hh, b_hh, packing, cell, tuple(parameters), h0, implementation="cpu"
    )
    assert torch.equal(h, wanted)
    assert not h.requires_grad


def test_arguments_that_are_not_contiguous_are_read_as_they_are():
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(TANH, packing)
    wanted = run("cpu", TANH, packing, tensors, d_h)["h"]
    gates_x, w_hh, b_hh, h0, *parameters = (each.float() for each in tensors)
    gates_x = gates_x.transpose(0, 2).contiguous().transpose(0, 2)
    w_hh = w_hh.transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(
        dispatch.recurrence(
            gates_x, w_hh, b_hh, packing, TANH, tuple(parameters), h0, implementation="cpu"
        ),
        wanted,
    )


def test_a_forked_process_computes_the_same_bits_and_does_not_hang():
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(TANH, packing)  # small: torch would start threads, and hang
    wanted = run("cpu", TANH, packing, tensors, d_h)  # the parent's threads are running now
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        got = run("cpu", TANH, packing, tensors, d_h)
        os._exit(0 if all(torch.equal(got[label], wanted[label]) for label in wanted) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_cannot_run_says_why(monkeypatch, tmp_path):
    assert cpu.available(TANH, torch.float32) is None
    assert "float32, not float64" in cpu.available(TANH, torch.float64)
    caches = (compiler.find_compiler, compiler.load_library, cpu._load)
    for each in caches:
        each.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    try:
        assert "no C compiler" in cpu.available(TANH, torch.float32)
    finally:
        for each in caches:
            each.cache_clear()


def test_description_names_compiler_instructions_and_code():
    described = cpu.describe(TANH)
    assert described.startswith(f"cpu ({compiler.find_compiler().version}, ")
    assert described != cpu.describe(LEARNED)
