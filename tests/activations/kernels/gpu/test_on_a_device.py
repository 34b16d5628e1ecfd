"""The GPU kernels on a GPU: what the interpreter cannot tell (precision, races, CUDA graphs)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from activations.gru import GRU, StackedGRU
from activations.kernels.cell import Cell
from activations.kernels.dispatch import recurrence
from activations.kernels.gpu import replay
from activations.kernels.packing import Packing
from activations.registry import get

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
GROUPS, ROWS, STEPS = 3, 20, 50
NAMES = ("h", "gates_x", "w_hh", "b_hh", "h0", "update", "reset", "candidate")
SETTINGS = {"ieee": "highest", "tf32": "high", "bf16": "medium"}

# Relative norms over 50 steps. Products of operands rounded as the formats say, in float64 and
# otherwise with these shapes, err by 1.7e-4 (tf32) and 5e-4 (bf16) in h, by 9e-4 and 2.4e-3 in
# gradients.
STATE = {"ieee": 1e-5, "tf32": 1e-3, "bf16": 3e-3}
GRADIENT = {"ieee": 1e-5, "tf32": 4e-3, "bf16": 1e-2}
# At a kink the smallest error takes the other side's slope (simulated: 8e-3, 9e-3).
KINKED_GRADIENT = {"ieee": 3e-3, "tf32": 3e-2, "bf16": 3e-2}
KINKED = ("relu", "arelu")

FAMILIES = (
    "tanh",
    "relu",
    "elu",
    "mish",
    "sine",
    "arelu",
    "pau",
)  # one of each, and many parameters


@contextmanager
def products(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(SETTINGS[precision])
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class Problem:
    """A recurrence's inputs in float32 on the CPU, and the gradient from above."""

    cell: Cell
    lengths: Tensor
    inputs: tuple[Tensor, ...]  # gates_x, w_hh, b_hh, h0, update, reset, candidate
    upstream: Tensor


def problem(hidden: int, cell: tuple[str, str, str], *, steps: int = STEPS) -> Problem:
    generator = torch.Generator().manual_seed(hidden)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def initial(*shape: int) -> Tensor:  # as a GRU's weights start
        return (2 * torch.rand(*shape, generator=generator) - 1) / hidden**0.5

    lengths = torch.randint(0, steps + 1, (GROUPS, ROWS), generator=generator)
    lengths[0, 0], lengths[1, 3] = steps, 0
    N, G, D, H = int(lengths.sum()), GROUPS, 2, hidden
    formulas = Cell(*map(get, cell))
    parameters = [
        torch.tensor(f.initial, dtype=torch.float32).view(1, 1, -1, 1)
        + 0.01 * normal(G, D, len(f.initial), 1)
        for f in formulas.formulas
    ]
    inputs = (
        normal(N, D, 3 * H),
        initial(G, D, 3 * H, H),
        initial(G, D, 3 * H),
        normal(G, D, ROWS, H),
    )
    return Problem(formulas, lengths, (*inputs, *parameters), normal(N, D, H))


def run(given: Problem, implementation: str, packing: Packing | None = None) -> list[Tensor]:
    """The states and all gradients: by float64 on the CPU, or by the kernels on the device."""
    exact = implementation == "reference"
    device, dtype = ("cpu", torch.float64) if exact else (DEVICE, torch.float32)
    inputs = [x.to(device, dtype).requires_grad_() for x in given.inputs]
    gates_x, w_hh, b_hh, h0, *parameters = inputs
    h = recurrence(
        gates_x,
        w_hh,
        b_hh,
        Packing.from_lengths(given.lengths).to(device) if packing is None else packing,
        given.cell,
        tuple(parameters),
        h0,
        implementation=implementation,
    )
    gradients = torch.autograd.grad(h, inputs, given.upstream.to(device, dtype), allow_unused=True)
    return [h.detach(), *(torch.empty(0) if x is None else x for x in gradients)]


def check(given: Problem, precision: str, *, kinked: bool = False) -> None:
    with products(precision):
        ours = run(given, "gpu")
    errors = {
        name: float((x.cpu().double() - truth).norm() / truth.norm())
        for name, x, truth in zip(NAMES, ours, run(given, "reference"), strict=True)
        if truth.numel()
    }
    gradient = (KINKED_GRADIENT if kinked else GRADIENT)[precision]
    wrong = {
        name: error
        for name, error in errors.items()
        if not error < (STATE[precision] if name == "h" else gradient)
    }
    assert not wrong


@pytest.mark.parametrize("precision", SETTINGS)
@pytest.mark.parametrize("hidden", [5, 64, 128, 200, 256, 512])
def test_kernels_equal_the_reference_at_every_width(hidden: int, precision: str) -> None:
    check(problem(hidden, ("sigmoid", "sigmoid", "tanh")), precision)


@pytest.mark.parametrize("precision", SETTINGS)
@pytest.mark.parametrize("hidden", [128, 256])
@pytest.mark.parametrize("name", FAMILIES)
def test_kernels_equal_the_reference_for_every_family(
    name: str, hidden: int, precision: str
) -> None:
    check(problem(hidden, ("sigmoid", "sigmoid", name)), precision, kinked=name in KINKED)


def test_kernels_equal_the_reference_with_learnable_gates() -> None:
    # a gate without bounds makes the recurrence amplify what it is given: few steps
    check(problem(64, ("swish_beta", "swish_beta", "tanh"), steps=5), "ieee")


def bits(tensors: list[Tensor]) -> list[bytes]:
    return [x.detach().cpu().contiguous().numpy().tobytes() for x in tensors]


@pytest.mark.parametrize("precision", SETTINGS)
@pytest.mark.parametrize("hidden", [128, 512])
def test_same_input_gives_the_same_bits(hidden: int, precision: str) -> None:
    given = problem(hidden, ("sigmoid", "sigmoid", "arelu"))
    with products(precision):
        first = bits(run(given, "gpu"))
        # more than twice: the third time a recorded sequence of launches may be replayed
        assert all(bits(run(given, "gpu")) == first for _ in range(4))


def layer(groups: int, hidden: int) -> StackedGRU:
    torch.manual_seed(0)
    return StackedGRU(
        groups,
        45,
        hidden,
        bidirectional=True,
        activation="arelu",
        device=DEVICE,
        implementation="gpu",
    )


def step(stack: StackedGRU, frames: Tensor, packing: Packing, upstream: Tensor) -> list[Tensor]:
    """The states and the gradients of the frames and of every parameter."""
    h, _ = stack(frames, packing)
    return [h.detach(), *torch.autograd.grad(h, [frames, *stack.parameters()], upstream)]


def ragged(groups: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, STEPS + 1, (groups, ROWS), generator=generator)


@pytest.mark.parametrize("precision", SETTINGS)
@pytest.mark.parametrize("hidden", [128, 256])
def test_group_is_the_same_to_the_bit_alone_and_in_a_stack(hidden: int, precision: str) -> None:
    stack, lengths = layer(7, hidden), ragged(7)
    packing = Packing.from_lengths(lengths)
    frames = torch.randn(packing.N, 45, device=DEVICE, requires_grad=True)
    upstream = torch.randn(packing.N, 2 * hidden, device=DEVICE)
    with products(precision):
        h, d_frames, *gradients = step(stack, frames, packing, upstream)
        for g in (0, 4, 6):
            alone = layer(1, hidden)
            alone.load_state_dict({n: x[g : g + 1] for n, x in stack.state_dict().items()})
            own = slice(packing.bounds[g], packing.bounds[g + 1])
            packed = Packing.from_lengths(lengths[g : g + 1])
            mine = frames.detach()[own].requires_grad_()
            apart = step(alone, mine, packed, upstream[own])
            beside = [h[own], d_frames[own], *(x[g : g + 1] for x in gradients)]
            assert bits(apart) == bits(beside)


@pytest.mark.parametrize("hidden", [128, 256])
def test_packing_with_room_gives_the_same_bits_as_one_without(hidden: int) -> None:
    stack, lengths = layer(GROUPS, hidden), ragged(GROUPS)
    plain = Packing.from_lengths(lengths)
    room = Packing.with_room(lengths.to(DEVICE), plain.room + 100, STEPS + 10)
    real = torch.cat(
        [
            torch.arange(start, start + end - begin)
            for start, begin, end in zip(room.bounds, plain.bounds, plain.bounds[1:], strict=False)
        ]
    ).to(DEVICE)
    frames = torch.randn(plain.N, 45, device=DEVICE)
    upstream = torch.randn(plain.N, 2 * hidden, device=DEVICE)
    wide = torch.full((room.N, 45), torch.nan, device=DEVICE).index_copy(0, real, frames)
    above = torch.full((room.N, 2 * hidden), torch.nan, device=DEVICE)
    above = above.index_copy(0, real, upstream)
    without = step(stack, frames.requires_grad_(), plain, upstream)
    h, d_frames, *gradients = step(stack, wide.requires_grad_(), room, above)
    assert bits([h[real], d_frames[real], *gradients]) == bits(without)


@pytest.mark.parametrize("hidden", [128, 512])
def test_single_gru_equals_cudnns(hidden: int) -> None:
    torch.manual_seed(0)
    ours = GRU(45, hidden, num_layers=2, bidirectional=True, device=DEVICE)
    theirs = nn.GRU(45, hidden, num_layers=2, bidirectional=True, device=DEVICE)
    theirs.load_state_dict(ours.state_dict())
    x, h0 = torch.randn(STEPS, ROWS, 45), torch.randn(4, ROWS, hidden)
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        results = []
        with products("ieee"):
            for gru in (ours, theirs):
                given = [each.to(DEVICE).requires_grad_() for each in (x, h0)]
                output, h_n = gru(*given)
                wanted = [*given, *gru.parameters()]
                loss = (output * output.detach().cos()).sum() + (h_n**2).sum()
                results.append([output, h_n, *torch.autograd.grad(loss, wanted)])
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
    for mine, other in zip(*results, strict=True):
        # float32 sums of up to 1024 products in another order, along 50 steps and two layers
        assert float((mine - other).detach().norm() / other.detach().norm()) < 1e-5


@pytest.mark.parametrize("hidden", [128, 256])
def test_recording_of_a_step_replays_it_for_other_frames_and_lengths(hidden: int) -> None:
    stack = layer(GROUPS, hidden)
    batches = [ragged(GROUPS, seed=seed).to(DEVICE) for seed in range(3)]
    room = max(int(lengths.sum(1).max()) for lengths in batches) + 7
    lengths = batches[0].clone()
    frames = torch.randn(GROUPS * room, 45, device=DEVICE, requires_grad=True)
    upstream = torch.randn(GROUPS * room, 2 * hidden, device=DEVICE)

    def whole() -> list[Tensor]:
        return step(stack, frames, Packing.with_room(lengths, room, STEPS), upstream)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        whole()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = whole()
    for batch in batches[1:]:
        with torch.no_grad():
            lengths.copy_(batch)
            frames.normal_()
            upstream.normal_()
        graph.replay()
        h, d_frames, *gradients = recorded
        real = torch.cat(
            [g * room + torch.arange(int(n), device=DEVICE) for g, n in enumerate(batch.sum(1))]
        )
        replayed = bits([h[real], d_frames[real], *gradients])
        h, d_frames, *gradients = whole()
        assert bits([h[real], d_frames[real], *gradients]) == replayed


def test_sequence_of_launches_is_recorded_and_replayed_on_any_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {"recorded": 0, "replayed": 0}
    record = replay.graph_recorder(torch.cuda.current_device())

    def counting(launches: Callable[[], None]) -> Callable[[], None]:
        counts["recorded"] += 1
        replay = record(launches)

        def counted() -> None:
            counts["replayed"] += 1
            replay()

        return counted

    replays = replay.Replays(counting)
    monkeypatch.setattr(replay, "_of_device", lambda index: replays)
    stack = layer(GROUPS, 256)
    packing = Packing.from_lengths(ragged(GROUPS)).to(DEVICE)
    frames = torch.randn(packing.N, 45, device=DEVICE, requires_grad=True)
    upstream = torch.randn(packing.N, 2 * 256, device=DEVICE)
    other = torch.cuda.Stream()

    def differing(stream: torch.cuda.Stream | None) -> list[list[bytes]]:
        seen = []
        for i in range(4):
            with torch.no_grad():
                frames.fill_(0.1 * i)
            torch.cuda.synchronize()
            with torch.cuda.stream(stream):
                seen.append(bits(step(stack, frames, packing, upstream)))
        return seen

    default = differing(None)
    assert counts["recorded"] > 0
    assert counts["replayed"] > 0
    assert default[1] != default[2]
    assert differing(other) == default
    with monkeypatch.context() as plain:
        plain.setattr(replay, "run", lambda key, launches, device: launches())
        assert differing(None) == default
