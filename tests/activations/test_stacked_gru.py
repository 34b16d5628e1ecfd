"""StackedGRU: every group is the GRU it would be alone."""

import pytest
import torch

from activations.gru import GRU, StackedGRU
from activations.kernels.packing import Packing
from activations.kernels.projection import batched_product, project

LENGTHS = torch.tensor([[3, 0, 5], [1, 4, 2], [6, 6, 6]])


def members(stack, **options):
    """The groups of a stack as GRUs of their own."""
    for g in range(stack.groups):
        gru = GRU(stack.input_size, stack.hidden_size, stack.num_layers, **options)
        gru.load_state_dict({name: value[g] for name, value in stack.state_dict().items()})
        yield gru


def test_a_group_taken_out_is_a_gru_of_its_own_with_that_groups_weights():
    options = {"bidirectional": True, "activation": "arelu", "reset": "before", "bias": False}
    stack = StackedGRU(3, 5, 4, 2, **options).eval()
    random = torch.get_rng_state()
    taken = stack.group(1)
    assert torch.equal(torch.get_rng_state(), random)
    own = list(members(stack, **options))[1]
    x = torch.randn(2, 6, 5)
    assert torch.equal(taken(x)[0], own(x.transpose(0, 1))[0].transpose(0, 1))
    assert not taken.training
    with torch.no_grad():
        stack.weight_hh_l0.zero_()
    assert taken.weight_hh_l0.abs().min() > 0
    with pytest.raises(IndexError, match="groups 0 to 2, not 3"):
        stack.group(3)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": True, "activation": "arelu"},
        {"bidirectional": True, "activation": "x*sigmoid(b*x); b=1 per unit", "bias": False},
        {"update_gate": "x*sigmoid(b*x); b=1", "reset_gate": "elu", "reset": "before"},
    ],
)
def test_each_group_equals_its_gru_alone_in_values_and_gradients(options):
    torch.manual_seed(0)
    options = {"num_layers": 2, "dtype": torch.float64, "implementation": "reference", **options}
    stack = StackedGRU(3, 5, 4, **options)
    packing = Packing.from_lengths(LENGTHS)
    frames = torch.randn(packing.N, 5, dtype=torch.float64, requires_grad=True)
    h, h_n = stack(frames, packing)
    weight_h, weight_n = torch.randn_like(h), torch.randn_like(h_n)
    ((h * weight_h).sum() + (h_n * weight_n).sum()).backward()

    del options["num_layers"]
    for g, gru in enumerate(members(stack, **options)):
        for b in range(3):
            own = (packing.row_of_frame == 3 * g + b).nonzero().flatten()
            if len(own) == 0:
                assert (h_n[g, :, b] == 0).all()
                continue
            x = frames.detach()[own].requires_grad_()
            output, state = gru(x)
            ((output * weight_h[own]).sum() + (state * weight_n[g, :, b]).sum()).backward()
            # 1e-12: float64, and only the order of sums differs
            torch.testing.assert_close(output, h[own], rtol=0, atol=1e-12)
            torch.testing.assert_close(state, h_n[g, :, b], rtol=0, atol=1e-12)
            torch.testing.assert_close(x.grad, frames.grad[own], rtol=0, atol=1e-12)
        for name, parameter in gru.named_parameters():
            stacked = stack.get_parameter(name).grad[g]
            torch.testing.assert_close(parameter.grad, stacked, rtol=0, atol=1e-11)


def test_a_groups_bits_do_not_depend_on_its_companions():
    torch.manual_seed(0)
    stack = StackedGRU(3, 5, 4, bidirectional=True, activation="elu", implementation="reference")
    packing = Packing.from_lengths(LENGTHS)
    frames = torch.randn(packing.N, 5)
    with torch.no_grad():
        together, final = stack(frames, packing)
        for g in range(3):
            alone = StackedGRU(
                1, 5, 4, bidirectional=True, activation="elu", implementation="reference"
            )
            alone.load_state_dict({name: v[g : g + 1] for name, v in stack.state_dict().items()})
            own = slice(packing.bounds[g], packing.bounds[g + 1])
            h, h_n = alone(frames[own], Packing.from_lengths(LENGTHS[g : g + 1]))
            assert torch.equal(h, together[own])
            assert torch.equal(h_n[0], final[g])


def test_rows_without_frames_keep_their_initial_state_and_pass_its_gradient():
    stack = StackedGRU(3, 5, 4, bidirectional=True, implementation="reference")
    packing = Packing.from_lengths(LENGTHS)
    h0 = torch.randn(3, 2, 3, 4, requires_grad=True)
    _, h_n = stack(torch.randn(packing.N, 5), packing, h0)
    assert torch.equal(h_n[0, :, 1], h0[0, :, 1])
    h_n.sum().backward()
    assert (h0.grad[0, :, 1] == 1).all()
    assert (h0.grad[0, :, 0] != 1).all()


def test_a_batch_without_any_frame_gives_the_initial_state_back():
    stack = StackedGRU(2, 5, 4, 2, implementation="reference")
    packing = Packing.from_lengths(torch.zeros(2, 3, dtype=torch.int64))
    h0 = torch.randn(2, 2, 3, 4)
    h, h_n = stack(torch.zeros(0, 5), packing, h0)
    assert h.shape == (0, 4)
    assert torch.equal(h_n, h0)


def test_parameters_have_torchs_names_and_a_leading_group_axis():
    stack = StackedGRU(3, 5, 4, 2, bidirectional=True, activation="arelu")
    shapes = {name: tuple(value.shape) for name, value in stack.named_parameters()}
    assert shapes["weight_ih_l1_reverse"] == (3, 12, 8)
    assert shapes["bias_hh_l0"] == (3, 12)
    assert shapes["candidate_l1_reverse"] == (3, 2)
    assert repr(stack).startswith("StackedGRU(3, 5, 4, num_layers=2, bidirectional=True")


@pytest.mark.parametrize("bias", [True, False])
def test_one_batched_projection_of_equal_groups_is_the_projection_group_by_group(bias):
    packing = Packing.full(3, 4, 2)
    leaves = [torch.randn(24, 5), torch.randn(3, 6, 5), torch.randn(3, 6)][: 2 + bias]
    found = []
    for one_by_one in (True, False):
        frames, weight, *rest = (leaf.double().requires_grad_() for leaf in leaves)
        offset = rest[0] if bias else None
        if one_by_one:
            product = project(frames, weight, offset, packing)
        else:
            product = batched_product(frames, weight, offset)
        product.square().sum().backward()
        found.append([product, *(leaf.grad for leaf in (frames, weight, *rest))])
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)  # float64, another order of sums


def test_frames_or_states_that_do_not_fit_the_stack_are_refused():
    stack = StackedGRU(3, 5, 4)
    packing = Packing.from_lengths(LENGTHS)
    with pytest.raises(ValueError, match="3 groups, its frames 2"):
        stack(torch.zeros(6, 5), Packing.full(2, 1, 3))
    with pytest.raises(ValueError, match="last axis must be 5"):
        stack(torch.zeros(packing.N, 6), packing)
    with pytest.raises(ValueError, match=r"must be \[3, 1, 3, 4\]"):
        stack(torch.zeros(packing.N, 5), packing, torch.zeros(3, 2, 3, 4))
