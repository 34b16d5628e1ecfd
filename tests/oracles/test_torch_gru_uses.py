"""What people do with a torch.nn.GRU, done to ours: the same numbers, use by use.

Every use runs on torch.nn.GRU and on ours with the same weights, so that nothing here says what is
right but torch. docs/activations.md has the table.
"""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from activations.gru import GRU

# float32: some hundred roundings of 6e-8, relative to the largest element of each result
ROUNDING = 5e-6


def pair(implementation="auto", **options):
    """torch.nn.GRU and ours with its weights."""
    torch.manual_seed(0)
    theirs = nn.GRU(5, 7, **options)
    ours = GRU(5, 7, implementation=implementation, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def loss(gru, x):
    output, h_n = gru(x)
    return output.square().sum() + h_n.sin().sum()


def every_gradient(gru, x, value):
    """Gradients of value(x) by x and by every parameter."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(value(x), [x, *gru.parameters()])


def gradient_penalty(gru, x):
    x = x.clone().requires_grad_()
    slopes = torch.autograd.grad(loss(gru, x), [x, *gru.parameters()], create_graph=True)
    penalty = sum(each.square().sum() for each in slopes)
    return torch.autograd.grad(penalty, [x, *gru.parameters()])


def gradient_penalty_with_a_frozen_head(gru, x):
    torch.manual_seed(1)
    head = nn.Linear(14, 1).requires_grad_(False)
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(head(gru(x)[0]).sum(), x, create_graph=True)
    (slope.norm() - 1).square().backward()
    # a bias of the last step's output gate has no part in it
    found = [parameter.grad for parameter in gru.parameters()]
    gru.zero_grad()
    return found


def ensemble(gru, x):
    """Four members, mapped over their parameters and inputs."""
    members = [copy.deepcopy(gru) for _ in range(4)]
    for n, member in enumerate(members):
        with torch.no_grad():
            for parameter in member.parameters():
                parameter.mul_(1 + n / 10)
    xs = torch.stack([x, -x, 2 * x, x + 1])
    if isinstance(gru, nn.GRU):  # one after the other: torch cannot map its own over gradients
        runs = zip(members, xs, strict=True)
        each = [every_gradient(m, x, lambda x, m=m: loss(m, x)) for m, x in runs]
        return [torch.stack(values) for values in zip(*each, strict=True)]
    parameters, _ = stack_module_state(members)

    def value(parameters, x):
        output, h_n = functional_call(gru, parameters, (x,))
        return output.square().sum() + h_n.sin().sum()

    by_parameters, by_x = vmap(grad(value, (0, 1)))(parameters, xs)
    return [by_x, *(by_parameters[name] for name, _ in gru.named_parameters())]


def gradients_per_sample(gru, x):
    rows = x.transpose(0, 1)[:, :, None]
    if isinstance(gru, nn.GRU):
        each = [every_gradient(gru, row, lambda x: loss(gru, x)) for row in rows]
        return [torch.stack(values) for values in zip(*each, strict=True)][1:]
    parameters = dict(gru.named_parameters())

    def value(parameters, x):
        output, h_n = functional_call(gru, parameters, (x,))
        return output.square().sum() + h_n.sin().sum()

    found = vmap(grad(value), (None, 0))(parameters, rows)
    return [found[name] for name in parameters]


def truncated_backpropagation(gru, x):
    h, found = None, []
    for chunk in x.split(2):
        output, h = gru(chunk, h)
        found += torch.autograd.grad(output.square().sum() + h.sum(), list(gru.parameters()))
        h.detach_()
    return found


def edited_output(edit):
    def use(gru, x):
        def value(x):
            output, h_n = gru(x)
            edit(output, h_n)
            return output.square().sum() + h_n.square().sum()

        return every_gradient(gru, x, value)

    return use


def batched_cotangents(gru, x):
    x = x.clone().requires_grad_()
    output = gru(x)[0]
    several = torch.linspace(-1, 1, 3 * output.numel()).view(3, *output.shape)
    return torch.autograd.grad(output, [x, *gru.parameters()], several, is_grads_batched=True)


def reentrant_checkpoint(gru, x):
    x = x.clone().requires_grad_()
    checkpoint(lambda x: loss(gru, x), x, use_reentrant=True).backward()
    found = [x.grad, *(parameter.grad for parameter in gru.parameters())]
    gru.zero_grad()
    return found


def forward_mode(gru, x):
    with torch.autograd.forward_ad.dual_level():
        output, h_n = gru(torch.autograd.forward_ad.make_dual(x, x.cos()))
        unpack = torch.autograd.forward_ad.unpack_dual
        return [unpack(output).tangent, unpack(h_n).tangent]


def through(transform, size=2):
    def use(gru, x):
        return [transform(lambda x: loss(gru, x))(x[:size, :1])]

    return use


functional = torch.autograd.functional
USES = {
    "gradient penalty": gradient_penalty,
    "gradient penalty, frozen head": gradient_penalty_with_a_frozen_head,
    "autograd.functional.jvp": lambda gru, x: functional.jvp(lambda x: gru(x)[0], x, x.cos()),
    "autograd.functional.hvp": lambda gru, x: functional.hvp(lambda x: loss(gru, x), x, x.cos()),
    "autograd.functional.vhp": lambda gru, x: functional.vhp(lambda x: loss(gru, x), x, x.cos()),
    "autograd.functional.hessian": through(lambda f: lambda x: functional.hessian(f, x)),
    "autograd.functional.jacobian, vectorised": lambda gru, x: [
        functional.jacobian(lambda x: gru(x)[0], x[:2], vectorize=True)
    ],
    "autograd.grad, is_grads_batched": batched_cotangents,
    "forward-mode AD": forward_mode,
    "torch.func.grad": through(grad),
    "torch.func.jacrev": through(jacrev),
    "torch.func.jacfwd": through(jacfwd),
    "torch.func.hessian": through(hessian),
    "torch.func.jvp": lambda gru, x: jvp(lambda x: gru(x)[0], (x,), (x.cos(),)),
    "torch.func.vmap over an ensemble": ensemble,
    "torch.func.vmap over samples": gradients_per_sample,
    "truncated backpropagation, h.detach_()": truncated_backpropagation,
    "output.detach_()": edited_output(lambda output, h_n: output.detach_()),
    "output edited in place": edited_output(lambda output, h_n: output.mul_(2)),
    "output masked in place": edited_output(lambda output, h_n: output[1:3].zero_()),
    "h_n edited in place": edited_output(lambda output, h_n: h_n.add_(1)),
    "checkpoint": lambda gru, x: every_gradient(
        gru, x, lambda x: checkpoint(lambda x: loss(gru, x), x, use_reentrant=False)
    ),
    "checkpoint, reentrant": reentrant_checkpoint,
}


def assert_equal(theirs, ours):
    assert len(theirs) == len(ours) > 0
    for expected, found in zip(theirs, ours, strict=True):
        if isinstance(expected, tuple):
            assert_equal(expected, found)
            continue
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        assert found.isfinite().all()
        error = (found - expected).abs().max()
        assert error <= ROUNDING * expected.abs().max().clamp(min=1e-3), error


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("implementation", ["auto", "reference"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_this_use_gives_torchs_numbers(use, implementation):
    theirs, ours = pair(implementation, num_layers=2, bidirectional=True)
    x = torch.randn(6, 3, 5)
    found = [use(theirs, x), use(ours, x)]
    assert any(each.abs().max() > 1e-3 for each in found[0] if isinstance(each, torch.Tensor))
    assert_equal(*found)


def test_a_mapped_ensemble_runs_as_one_stack_whatever_its_size(monkeypatch):
    from activations.kernels.cpu import recurrence

    calls = []
    forward = recurrence.forward
    monkeypatch.setattr(
        recurrence, "forward", lambda *a, **k: calls.append(a[5].groups) or forward(*a, **k)
    )
    parameters, _ = stack_module_state([GRU(5, 7, activation="relu") for _ in range(16)])
    gru = GRU(5, 7, activation="relu")
    h, _ = vmap(lambda p, x: functional_call(gru, p, (x,)))(parameters, torch.randn(16, 6, 3, 5))
    assert h.shape == (16, 6, 3, 7)
    assert calls == [16]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_weights_are_computed_with_in_float32_and_give_torchs_types(dtype):
    theirs, ours = (gru.to(dtype) for gru in pair(num_layers=2, bidirectional=True))
    x = torch.randn(6, 3, 5).to(dtype)
    exact = copy.deepcopy(ours).float()
    expected = (theirs(x), every_gradient(theirs, x, lambda x: loss(theirs, x)))
    found = (ours(x), every_gradient(ours, x, lambda x: loss(ours, x)))
    for wanted, got in zip(expected, found, strict=True):
        assert [each.dtype for each in got] == [each.dtype for each in wanted] == [dtype] * len(got)
    assert torch.equal(found[0][0], exact(x.float())[0].to(dtype))
    exactly = every_gradient(exact, x.float(), lambda x: loss(exact, x))
    for wanted, got in zip(exactly, found[1], strict=True):
        # rounded once at the end, and the output's own rounding before it
        assert (got - wanted).abs().max() <= 8 * torch.finfo(dtype).eps * wanted.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("x_in_16_bits", [False, True])
@pytest.mark.parametrize("h0_in_16_bits", [None, False, True])
def test_under_autocast_it_takes_what_torch_takes_and_returns_its_types(
    dtype, x_in_16_bits, h0_in_16_bits
):
    theirs, ours = pair(num_layers=2)
    x = torch.randn(6, 3, 5).to(dtype if x_in_16_bits else torch.float32)
    h0 = torch.randn(2, 3, 7).to(dtype if h0_in_16_bits else torch.float32)
    h0 = None if h0_in_16_bits is None else h0
    with torch.autocast("cpu", dtype=dtype):
        expected, found = theirs(x, h0), ours(x, h0)
        found[0].sum().backward()
    exact = ours(x.float(), None if h0 is None else h0.float())
    assert [each.dtype for each in found] == [each.dtype for each in expected]
    assert torch.equal(found[0], exact[0].to(found[0].dtype))
    assert ours.weight_hh_l1.grad.dtype == torch.float32


def test_under_autocast_the_state_of_a_linear_layer_is_taken():
    _, ours = pair()
    initial = nn.Linear(4, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h0 = initial(torch.randn(3, 4))[None]
        assert h0.dtype == torch.bfloat16
        output, _ = ours(torch.randn(6, 3, 5), h0)
        output.float().sum().backward()
    assert initial.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "batch_sizes",
    [[2, 3, 1], [1, 2], [3, 0, 3], [], [-1, 7], [6, -6, 6], [[3, 3]], [2.0, 2.0, 2.0], [3, 2]],
)
def test_a_packed_sequence_that_cannot_be_is_refused_before_anything_is_computed(batch_sizes):
    packed = PackedSequence(torch.randn(6, 5), torch.tensor(batch_sizes))
    for implementation in ("auto", "reference"):
        with pytest.raises(ValueError, match="PackedSequence"):
            GRU(5, 7, bidirectional=True, implementation=implementation)(packed)


def test_a_packed_batch_with_gradients_twice_gives_torchs_numbers():
    theirs, ours = pair(num_layers=2, bidirectional=True)
    x, lengths = torch.randn(6, 4, 5), torch.tensor([4, 6, 1, 3])

    def penalty(gru, x):
        x = x.clone().requires_grad_()
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, h_n = gru(packed, x.new_ones(4, 4, 7))
        value = output.data.square().sum() + h_n.sin().sum()
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [x, *gru.parameters()])

    assert_equal(penalty(theirs, x), penalty(ours, x))
