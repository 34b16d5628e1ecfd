"""Inputs of every make: each gives what its plain copy gives, or is refused in one sentence."""

import random

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from activations.errors import GateswapError
from activations.gru import GRU


class Subclass(torch.Tensor):
    """A tensor of another class, as libraries for units or images have it."""


# how a plain [T, B, I] may lie in memory, or what may be wrong with it
MAKES = {
    "plain": lambda x: x,
    "rows first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "features first": lambda x: x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "every second": lambda x: torch.stack([x, -x], -1).flatten(-2)[..., ::2],
    "flipped": lambda x: x.flip(0).flip(0),
    "expanded": lambda x: x[:1].expand_as(x),
    "overlapping": lambda x: torch.as_strided(x, x.shape, (1, 1, 1)),
    "in a larger one": lambda x: nn.functional.pad(x, (1, 1, 1, 1, 1, 1))[1:-1, 1:-1, 1:-1],
    "at an odd address": lambda x: torch.cat([x.new_zeros(1), x.flatten()])[1:].view_as(x),
    "subclass": lambda x: x.as_subclass(Subclass),
    "parameter": nn.Parameter,
    "a negative view": lambda x: torch._neg_view(-x),
    "half": lambda x: x.half(),
    "double": lambda x: x.double(),
    "whole numbers": lambda x: x.long(),
    "complex": lambda x: x.to(torch.complex64),
    "conjugate": lambda x: x.to(torch.complex64).conj(),
    "no steps": lambda x: x[:0],
    "no features": lambda x: x[..., :0],
    "sparse": lambda x: x.to_sparse(),
    "one axis": lambda x: x.flatten(),
    "four axes": lambda x: x[None],
    "on meta": lambda x: x.to("meta"),
    "no storage": lambda x: torch.empty(2**31, device="meta").expand(2, 2**31),
    "2^60 frames": lambda x: x[:1, :1].expand(2**30, 2**30, x.shape[2]),
}
REFUSALS = (ValueError, TypeError, GateswapError, RuntimeError, NotImplementedError, MemoryError)


@pytest.mark.parametrize("make", MAKES)
def test_an_input_of_this_make_gives_what_its_plain_copy_gives_or_is_refused(make):
    torch.manual_seed(0)
    gru = GRU(5, 7, 2, bidirectional=True, activation="arelu")
    x = MAKES[make](torch.randn(6, 3, 5))
    fits = x.device.type == "cpu" and x.dtype == torch.float32 and x.dim() == 3
    usual = fits and x.layout == torch.strided and x.shape == (6, 3, 5)
    for h0 in (None, torch.randn(4, 3, 7)):
        if usual:
            plain = (
                x.detach().clone(memory_format=torch.contiguous_format).as_subclass(torch.Tensor)
            )
            found, expected = gru(x, h0), gru(plain, h0)
            for ours, theirs in zip(found, expected, strict=True):
                assert torch.equal(ours, theirs)
            ours, theirs = (
                torch.autograd.grad(each[0].sum(), gru.weight_ih_l0)[0].as_subclass(torch.Tensor)
                for each in (found, expected)
            )
            # summed in another order where the gradient by the frames may be asked for, too
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        else:
            with pytest.raises(REFUSALS, match=r".+"):
                gru(x, h0)


@pytest.mark.parametrize("make", ["rows first", "expanded", "overlapping", "flipped", "subclass"])
def test_an_initial_state_of_this_make_gives_what_its_plain_copy_gives(make):
    torch.manual_seed(0)
    gru = GRU(5, 7, 2, bidirectional=True)
    x, h0 = torch.randn(6, 3, 5), MAKES[make](torch.randn(4, 3, 7))
    plain = h0.detach().clone(memory_format=torch.contiguous_format).as_subclass(torch.Tensor)
    assert torch.equal(gru(x, h0)[0], gru(x, plain)[0])


def test_a_batch_without_rows_gives_none():
    output, h_n = GRU(5, 7, 2, bidirectional=True)(torch.randn(6, 0, 5))
    assert (output.shape, h_n.shape) == ((6, 0, 14), (4, 0, 7))


def test_a_gradient_that_is_a_negative_view_is_read_with_its_signs():
    gru, x = GRU(5, 7), torch.randn(6, 3, 5)
    given = torch.randn(6, 3, 7)
    found = [
        torch.autograd.grad(gru(x)[0], gru.weight_hh_l0, cotangent)[0]
        for cotangent in (given, torch._neg_view(-given))
    ]
    assert torch.equal(*found)


@pytest.mark.parametrize("sizes", [[2**31], [2**62] * 4, [2**63 - 1], [2**31, 2**31]])
def test_batch_sizes_beyond_all_data_are_refused_before_anything_is_laid_out(sizes):
    packed = PackedSequence(torch.randn(4, 5), torch.tensor(sizes))
    with pytest.raises(ValueError, match="PackedSequence"):
        GRU(5, 7, bidirectional=True)(packed)


@pytest.mark.parametrize("longest", [7, 2**31, 2**62])
def test_lengths_beyond_the_batch_are_refused_before_anything_is_laid_out(longest):
    with pytest.raises(ValueError, match=f"at most 6, got {longest}"):
        GRU(5, 7)(torch.randn(6, 3, 5), lengths=torch.tensor([1, longest, 2]))


def test_beyond_2_to_the_31_shapes_are_right_where_no_memory_is_asked_for():
    with torch.device("meta"):
        output, h_n = GRU(5, 7, bidirectional=True)(torch.empty(2**17, 2**15, 5))
    assert output.shape == (2**17, 2**15, 14)
    assert h_n.shape == (2, 2**15, 7)


@pytest.mark.parametrize("attribute", ["hidden_size", "num_layers", "bidirectional", "input_size"])
@pytest.mark.parametrize("steps", [1, 6])
def test_a_module_whose_sizes_were_changed_afterwards_is_refused(attribute, steps):
    gru = GRU(5, 7, 2, bidirectional=True)
    setattr(gru, attribute, 3 if attribute != "bidirectional" else False)
    with torch.no_grad():
        if attribute == "bidirectional":  # says what the module is, and does nothing
            assert gru(torch.randn(steps, 3, 5))[0].shape == (steps, 3, 14)
            return
        with pytest.raises((ValueError, AttributeError, KeyError, RuntimeError), match=r".+"):
            gru(torch.randn(steps, 3, 5))


def test_random_packed_sequences_are_right_or_refused():
    """Two hundred malformed ones: whatever runs has sizes that never increase and data for them."""
    generator = random.Random(0)
    gru = GRU(3, 5, bidirectional=True)
    ran = 0
    for _ in range(200):
        sizes = [generator.randint(-1, 4) for _ in range(generator.randint(0, 5))]
        if generator.random() < 0.5:
            sizes.sort(reverse=True)
        frames = max(sum(sizes) + generator.choice([0, 0, 0, -1, 1]), 0)
        packed = PackedSequence(torch.randn(frames, 3), torch.tensor(sizes, dtype=torch.int64))
        good = bool(sizes) and sizes == sorted(sizes, reverse=True) and sizes[-1] > 0
        if good and frames == sum(sizes):
            output, h_n = gru(packed)
            assert output.data.shape == (frames, 10)
            assert h_n.shape == (2, sizes[0], 5)
            ran += 1
        else:
            with pytest.raises(ValueError, match="PackedSequence"):
                gru(packed)
    assert ran > 20
