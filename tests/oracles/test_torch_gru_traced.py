"""Compiled, exported, fake and counted: where torch.nn.GRU is looked at from outside, and ours."""

import shutil

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import activations
from activations.errors import GateswapError
from activations.gru import GRU, StackedGRU
from activations.kernels import operators
from activations.kernels.packing import Packing

# float32: some hundred roundings of 6e-8
TOLERANCE = {"rtol": 5e-6, "atol": 5e-6}
LENGTHS = torch.tensor([4, 6, 2])


class Watching(TorchDispatchMode):
    """Looks on and changes nothing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def pair(implementation="auto", **options):
    torch.manual_seed(0)
    options = {"num_layers": 2, "bidirectional": True} | options
    theirs = nn.GRU(5, 7, **options)
    ours = GRU(5, 7, implementation=implementation, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def close(found, expected):
    torch.testing.assert_close(found, expected, **TOLERANCE)


@pytest.mark.parametrize("implementation", ["auto", "reference"])
def test_compiled_as_one_graph_it_gives_torchs_values_and_gradients(implementation):
    theirs, ours = pair(implementation)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager", dynamic=False)
    x, h0 = torch.randn(6, 3, 5), torch.randn(4, 3, 7)
    packed = pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    for given in ((x, h0), (packed, h0)):
        found = []
        for gru, run in ((theirs, theirs), (ours, compiled)):
            output, h_n = run(*given)
            data = output if isinstance(output, torch.Tensor) else output.data
            value = data.square().sum() + h_n.sin().sum()
            found.append((data, h_n, *torch.autograd.grad(value, list(gru.parameters()))))
        close(*reversed(found))


def test_exported_with_any_number_of_steps_and_rows_it_gives_torchs_values():
    theirs, ours = pair()
    any_size = torch.export.Dim.AUTO
    program = torch.export.export(
        ours.eval(), (torch.randn(6, 3, 5),), dynamic_shapes=({0: any_size, 1: any_size},)
    )
    x = torch.randn(9, 2, 5)
    close(program.module()(x), theirs(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("packed", [False, True])
def test_in_fake_tensor_mode_it_gives_torchs_shapes_and_types(dtype, packed):
    with FakeTensorMode():
        found = []
        for kind in (nn.GRU, GRU):
            gru = kind(5, 7, 2, bidirectional=True, dtype=dtype)
            x = torch.randn(6, 3, 5, dtype=dtype, requires_grad=True)
            if packed:
                sizes = torch.tensor([3, 3, 2, 2, 1, 1], device="cpu")
                order = torch.arange(3)
                rows = x.flatten(0, 1)[:12]
                sequence = torch.nn.utils.rnn.PackedSequence(rows, sizes, order, order)
                if kind is nn.GRU:  # it reads batch_sizes[0], which is nowhere
                    found.append(((12, 14), (4, 3, 7), dtype))
                    continue
                output, h_n = gru(sequence)
                output = output.data
            else:
                output, h_n = gru(x)
            (output.sum() + h_n.sum()).backward()
            assert x.grad.shape == x.shape
            found.append((tuple(output.shape), tuple(h_n.shape), output.dtype))
    assert found[0] == found[1]


def test_made_on_the_meta_device_it_is_filled_later_learnable_activations_included():
    with torch.device("meta"):
        gru = GRU(5, 7, 2, activation="arelu")
        output, h_n = gru(torch.randn(6, 3, 5))
        assert output.shape == (6, 3, 7)
        assert h_n.device.type == "meta"
    gru.to_empty(device="cpu").reset_parameters()
    torch.manual_seed(3)
    gru.reset_parameters()
    torch.manual_seed(3)
    expected = GRU(5, 7, 2, activation="arelu")
    x = torch.randn(6, 3, 5)
    assert torch.equal(gru(x)[0], expected(x)[0])


def test_its_forward_pass_has_as_many_operations_as_torchs():
    counted = []
    for gru in pair():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            gru(torch.randn(6, 3, 5))
        counted.append(counter.get_total_flops())
    assert counted[0] == counted[1] > 0


def test_lengths_of_a_padded_batch_give_what_a_packed_sequence_gives():
    theirs, ours = pair(batch_first=True)
    x, h0 = torch.randn(3, 6, 5), torch.randn(4, 3, 7)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    output, h_n = theirs(packed, h0)
    output, _ = pad_packed_sequence(output, batch_first=True)
    close(ours(x, h0, lengths=LENGTHS), (output, h_n))
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager", dynamic=False)
    traced = compiled(x, h0, lengths=LENGTHS)
    close(traced, (output, h_n))
    traced[0].sum().backward()
    close(
        [parameter.grad for parameter in ours.parameters()],
        torch.autograd.grad(output.sum(), list(theirs.parameters())),
    )


def test_lengths_may_be_zero_and_may_not_exceed_the_batch():
    gru = GRU(5, 7)
    x, h0 = torch.randn(6, 3, 5), torch.randn(1, 3, 7)
    output, h_n = gru(x, h0, lengths=torch.tensor([2, 0, 3]))
    assert output.shape == (6, 3, 7)
    assert (output[2:, 0] == 0).all()
    assert (output[:, 1] == 0).all()
    assert torch.equal(h_n[0, 1], h0[0, 1])
    for lengths in ([2, 7, 1], [2, -1, 1], [2, 1]):
        with pytest.raises(ValueError, match="lengths"):
            gru(x, h0, lengths=torch.tensor(lengths))


@pytest.mark.parametrize("layout", ["equal", "packed", "lengths"])
def test_the_operators_keep_every_promise_that_torch_checks(layout):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).requires_grad_()

    cell = operators.text_of(GRU(5, 7, activation="arelu").cell)
    none = torch.empty(1, 2, 0, 1).requires_grad_()
    arguments = (
        draw(11 if layout == "packed" else 18, 5), draw(1, 42, 5), draw(1, 42), draw(1, 2, 21, 7),
        draw(1, 2, 21), draw(1, 2, 3, 7), none, none.clone(), draw(1, 2, 2, 1),
        torch.tensor([3, 3, 2, 1, 1, 1]) if layout == "packed" else None,
        LENGTHS if layout == "lengths" else None, 6, cell, "auto", True,
    )  # fmt: skip
    torch.library.opcheck(torch.ops.gateswap.gru_layer.default, arguments)
    *tensors, batch_sizes, lengths, steps, cell, implementation, _ = arguments
    h, saved = (each.detach() for each in operators.gru_layer(*arguments))
    d_h = torch.ones_like(h).requires_grad_()
    backward = d_h, h, saved, *tensors, batch_sizes, lengths, steps, cell, implementation
    # what is traced has no third derivative
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(
        torch.ops.gateswap.gru_layer_backward.default, backward, test_utils=checks
    )


def test_an_operator_called_with_what_does_not_fit_is_refused_before_a_kernel_sees_it():
    cell = operators.text_of(GRU(5, 7).cell)
    none = torch.empty(1, 1, 0, 1)
    good = {
        "frames": torch.zeros(18, 5), "w_ih": torch.zeros(1, 21, 5), "b_ih": torch.zeros(1, 21),
        "w_hh": torch.zeros(1, 1, 21, 7), "b_hh": torch.zeros(1, 1, 21),
        "h0": torch.zeros(1, 1, 3, 7), "update": none, "reset": none, "candidate": none,
        "batch_sizes": None, "lengths": None, "steps": 6, "cell": cell, "implementation": "auto",
        "save": False,
    }  # fmt: skip
    assert operators.gru_layer(**good)[0].shape == (18, 1, 7)
    for wrong in (
        {"steps": 5},
        {"steps": 0},
        {"steps": -6},
        {"frames": torch.zeros(18, 4)},
        {"w_ih": torch.zeros(2, 21, 5)},
        {"b_ih": torch.zeros(1, 20)},
        {"w_hh": torch.zeros(1, 1, 21, 6)},
        {"h0": torch.zeros(1, 1, 2, 7)},
        {"batch_sizes": torch.tensor([3, 4, 11])},
        {"batch_sizes": torch.tensor([3, 3])},
        {"lengths": torch.tensor([7, 1, 1])},
        {"lengths": torch.tensor([1, 1])},
        {"candidate": torch.zeros(1, 1, 2, 1)},
        {"h0": torch.zeros(1, 1, 3, 7, dtype=torch.float64)},
    ):
        with pytest.raises(ValueError, match=r".+"):
            operators.gru_layer(**(good | wrong))


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_second_derivatives_pass_through_the_operator_too(lengths):
    theirs, ours = pair(num_layers=1)
    x = torch.randn(6, 3, 5)

    def penalty(gru, given):
        if lengths is None:
            output = gru(given)[0]
        elif gru is ours:
            output = gru(given, lengths=lengths)[0]
        else:
            output = gru(pack_padded_sequence(given, lengths, enforce_sorted=False))[0].data
        (slope,) = torch.autograd.grad(output.square().sum(), given, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [given, *gru.parameters()])

    expected = penalty(theirs, x.clone().requires_grad_())
    plain = penalty(ours, x.clone().requires_grad_())
    with Watching():
        watched = penalty(ours, x.clone().requires_grad_())
    for found in (plain, watched):
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-5)


class Encoder(nn.Module):
    """What a user would export; lengths stand in the model's own signature."""

    def __init__(self, **options):
        super().__init__()
        self.gru = GRU(5, 7, 2, bidirectional=True, **options)

    def forward(self, x, lengths):
        return self.gru(x, lengths=lengths)


def test_an_exported_program_becomes_plain_operations_of_any_number_of_rows():
    torch.manual_seed(0)
    model = Encoder(activation="arelu", update_gate="hard_sigmoid", reset="before").eval()
    rows = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        model, (torch.randn(6, 3, 5), LENGTHS), dynamic_shapes=({1: rows}, {0: rows})
    )
    plain = program.run_decompositions(activations.decompositions())
    targets = {str(node.target) for node in plain.graph.nodes}
    assert any("addmm" in target for target in targets)
    assert not any("gateswap" in target for target in targets)
    given = torch.randn(6, 5, 5), torch.tensor([6, 0, 2, 1, 4])
    close(plain.module()(*given), model(*given))


def test_a_program_of_any_number_of_steps_is_refused_plain_operations_with_the_way():
    any_size = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        GRU(5, 7).eval(), (torch.randn(6, 3, 5),), dynamic_shapes=({0: any_size},)
    )
    with pytest.raises(GateswapError, match="fixed number of steps"):
        program.run_decompositions(activations.decompositions())


def stack():
    torch.manual_seed(0)
    packing = Packing.from_lengths(torch.tensor([[3, 0, 5], [1, 4, 2], [6, 6, 6]]))
    return StackedGRU(3, 5, 4, 2, bidirectional=True, activation="arelu"), packing


def test_a_compiled_stack_of_ragged_groups_gives_its_eager_values_and_gradients():
    gru, packing = stack()
    x, h0 = torch.randn(packing.N, 5), torch.randn(3, 4, 3, 4)
    found = []
    for run in (gru, torch.compile(gru, fullgraph=True, backend="aot_eager", dynamic=False)):
        output, h_n = run(x, packing, h0)
        value = output.square().sum() + h_n.sin().sum()
        found.append((output, h_n, *torch.autograd.grad(value, list(gru.parameters()))))
    close(*found)


def test_a_stack_has_shapes_on_the_meta_device_and_in_fake_tensor_mode():
    gru, packing = stack()
    expected = [each.shape for each in gru(torch.randn(packing.N, 5), packing)]
    meta = gru.to("meta")(torch.randn(packing.N, 5, device="meta"), packing)
    assert [each.shape for each in meta] == expected
    gru, packing = stack()
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.randn(packing.N, 5, requires_grad=True)
        found = gru(x, packing)
        found[0].sum().backward()
        assert [each.shape for each in found] == expected
        assert x.grad.shape == x.shape


@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor compiles C++")
def test_compiled_by_inductor_it_gives_torchs_values_and_gradients():
    theirs, ours = pair()
    compiled = torch.compile(ours, fullgraph=True)
    x, found = torch.randn(6, 3, 5), []
    for gru, run in ((theirs, theirs), (ours, compiled)):
        output, h_n = run(x)
        value = output.square().sum() + h_n.sin().sum()
        found.append((output, h_n, *torch.autograd.grad(value, list(gru.parameters()))))
    close(*reversed(found))
