"""Products of bfloat16 on the CPU: against float64, and where and how they are taken.

Without the instruction (AVX512_BF16) the same C runs with one function in other words; it is what
these tests compute with on such a machine, and what is compiled is looked at for the rest.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from activations.gru import GRU
from activations.kernels import dispatch
from activations.kernels.cell import Cell
from activations.kernels.cpu import bfloat16, calibration, compiler, projection, recurrence
from activations.kernels.packing import Packing
from activations.kernels.precision import at_precision
from activations.registry import get
from tests.activations.kernels.cpu.test_recurrence import (
    BEFORE,
    CELLS,
    LEARNED,
    LENGTHS,
    TANH,
    inputs,
    run,
    trios,
)

# Relative norms, as on a GPU (gpu/test_on_a_device.py): what rounding the factors to 8 bits makes
# of 50 steps is 5e-4 in h and 2.4e-3 in gradients, and where slopes jump some 9e-3.
STATE, GRADIENT, KINKED = 3e-3, 1e-2, 3e-2


@pytest.fixture(autouse=True)
def permitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products of bfloat16 on any processor, at any size."""
    monkeypatch.setenv("GATESWAP_BF16", "portable")
    with at_precision("bf16"):
        yield


def errors(cell: Cell, packing: Packing, **options: object) -> dict[str, float]:
    """Of the states and every gradient, relative to the reference's in float64, by norms."""
    tensors, d_h = inputs(cell, packing, **options)
    ours = run("cpu", cell, packing, tensors, d_h)
    truth = run("reference", cell, packing, tensors, d_h, torch.float64)
    return {
        label: float((ours[label].double() - wanted).norm() / wanted.norm())
        for label, wanted in truth.items()
        if wanted.norm() > 0
    }


def assert_near(found: dict[str, float], gradient: float = GRADIENT) -> None:
    assert 1e-5 < found.pop("h") <= STATE  # less would be float32's
    assert {label for label, error in found.items() if error > gradient} == set()


@pytest.mark.parametrize("H", [1, 16, 45])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_states_and_all_gradients_are_near_float64_at_any_size(cell: Cell, H: int) -> None:
    found = errors(cell, Packing.from_lengths(LENGTHS), H=H, scale=1 if H > 1 else 0.7)
    if H == 1:  # one number a sum: rounding may cancel or not
        assert max(found.values()) <= 3 * GRADIENT
    else:
        assert_near(found)


@pytest.mark.parametrize("cell", [TANH, BEFORE["tanh, reset before"]], ids=["after", "before"])
def test_three_hundred_steps_drift_no_further(cell: Cell) -> None:
    packing = Packing.from_lengths(torch.tensor([[300, 299, 3, 120]]))
    assert_near(errors(cell, packing, D=1, H=32, scale=1))


@pytest.mark.parametrize("trio", trios()[::7], ids=" ".join)
def test_a_sample_of_the_activations_is_near_float64(trio: list[str]) -> None:
    packing = Packing.from_lengths(torch.tensor([[4, 0, 2, 3]]))
    assert_near(errors(Cell(*map(get, trio)), packing, scale=0.25), KINKED)


@pytest.mark.exhaustive
@pytest.mark.parametrize("trio", trios(), ids=" ".join)
@pytest.mark.parametrize("reset_order", ["after", "before"])
def test_every_activation_is_near_float64(trio: list[str], reset_order: str) -> None:
    packing = Packing.from_lengths(torch.tensor([[4, 0, 2, 3]]))
    assert_near(errors(Cell(*map(get, trio), reset_order), packing, scale=0.25), KINKED)


@pytest.mark.parametrize("per_unit", [False, True])
def test_gradients_by_learnable_parameters_are_near_float64(per_unit: bool) -> None:
    packing = Packing.full(1, 30, 25)
    assert_near(errors(LEARNED, packing, H=33, per_unit=per_unit))


@pytest.mark.parametrize(
    ("size_in", "size_out", "bounds"),
    [(45, 192, [0, 400]), (1, 3, [0, 5, 14]), (101, 135, [0, 1, 130, 130, 333])],
)
def test_a_projection_is_that_of_numbers_rounded_to_bfloat16(
    size_in: int, size_out: int, bounds: list[int]
) -> None:
    torch.manual_seed(0)
    groups, N = len(bounds) - 1, bounds[-1]
    x, d_out = torch.randn(N, size_in), torch.randn(N, size_out)
    w, b = torch.randn(groups, size_out, size_in), torch.randn(groups, size_out)
    ours = [
        projection.forward(x, w, b, tuple(bounds), "bf16"),
        *projection.backward(d_out, x, w, tuple(bounds), "bf16", by_frames=True, by_bias=True),
    ]
    short_x, short_w, short_d = (each.bfloat16().double() for each in (x, w, d_out))
    spans = [slice(*span) for span in pairwise(bounds)]
    wanted = [
        torch.cat([short_x[s] @ short_w[g].t() + b[g] for g, s in enumerate(spans)]),
        torch.cat([short_d[s] @ short_w[g] for g, s in enumerate(spans)]),
        torch.stack([short_d[s].t() @ short_x[s] for s in spans]),
        torch.stack([d_out[s].double().sum(0) for s in spans]),
    ]
    for got, truth in zip(ours, wanted, strict=True):
        assert got is not None
        # 30 roundings of float32 sums, as of the products of float32 itself
        assert (got - truth).abs().max() <= 30 * 2.0**-24 * truth.abs().max()


def test_numbers_are_rounded_as_torch_rounds_them() -> None:
    bits = torch.randint(-(2**31), 2**31, (20_000,), generator=torch.Generator().manual_seed(0))
    halves = torch.arange(0x3F800000, 0x3F900000, 0x8000)  # ties among them
    edges = torch.tensor([0.0, -0.0, 3.4e38, -3.4e38, torch.inf, -torch.inf, 1.5e-38])
    x = torch.cat(
        [
            bits.to(torch.int32).view(torch.float32),
            halves.to(torch.int32).view(torch.float32),
            edges,
        ]
    )
    x = x[(x.abs() >= 2.0**-126) | (x == 0) | x.isnan()]  # the instruction has no subnormal numbers
    got = projection.forward(x[:, None], torch.ones(1, 1, 1), None, (0, len(x)), "bf16")[:, 0]
    assert torch.equal(got.nan_to_num(nan=7.0), x.bfloat16().float().nan_to_num(nan=7.0))
    assert torch.equal(got.isnan(), x.isnan())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_groups_bits_hang_neither_on_companions_nor_on_threads(cell: Cell, threads: int) -> None:
    packing = Packing.from_lengths(LENGTHS)
    tensors, d_h = inputs(cell, packing, H=21)
    before = torch.get_num_threads()
    together = run("cpu", cell, packing, tensors, d_h)
    own = slice(*packing.bounds[2:4])
    mine = [tensors[0][own], *(each[2:] for each in tensors[1:])]
    try:
        torch.set_num_threads(threads)
        alone = run("cpu", cell, Packing.from_lengths(LENGTHS[2:]), mine, d_h[own])
    finally:
        torch.set_num_threads(before)
    for label, got in alone.items():
        frames = label in ("h", "gates_x")
        assert torch.equal(got, together[label][own if frames else slice(2, 3)]), label


@pytest.mark.parametrize("reset_order", ["after", "before"])
def test_a_nan_in_one_row_stays_in_that_row_and_is_not_lost(reset_order: str) -> None:
    packing = Packing.full(1, 4, 9)
    cell = replace(TANH, reset_order=reset_order)
    tensors, d_h = inputs(cell, packing, D=1)
    tensors[0][packing.starts[0, 1] + 3] = torch.nan
    h = run("cpu", cell, packing, tensors, d_h)["h"].view(4, 9, -1)
    assert h[1:, 3].isnan().all()
    assert not h[:, [b for b in range(9) if b != 3]].isnan().any()


def test_what_computed_says_so_and_backward_keeps_what_forward_took() -> None:
    gru = GRU(3, 20)
    assert gru.precision == "bf16"
    assert gru.kernel.startswith("cpu bf16 (")
    x = torch.randn(5, 2, 3)
    with at_precision("ieee"):
        assert gru.precision == "ieee"
        assert gru.kernel == recurrence.describe(gru.cell, "ieee")
        exact = gradients(gru, x)
    short = gradients(gru, x)
    h = gru(x)[0]
    with at_precision("ieee"):
        later = torch.autograd.grad(h.sum(), gru.weight_hh_l0)[0]
    assert torch.equal(later, short)
    assert not torch.equal(exact, short)


def gradients(gru: GRU, x: Tensor) -> Tensor:
    return torch.autograd.grad(gru(x)[0].sum(), gru.weight_hh_l0)[0]


def test_a_compiled_layer_takes_them_too() -> None:
    gru = GRU(3, 20)
    x = torch.randn(5, 2, 3)
    program = torch.export.export(gru, (x,))
    assert torch.equal(program.module()(x)[0], gru(x)[0])


# ------------------------------------------------------------------------------------------------
# Where they are taken


@pytest.fixture
def on_a_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Nothing is forced, and nothing is remembered of this machine's own measurement."""
    monkeypatch.delenv("GATESWAP_BF16")
    calibration.speedup.cache_clear()
    yield monkeypatch
    calibration.speedup.cache_clear()


def with_the_instruction(patch: pytest.MonkeyPatch, *, there: bool) -> None:
    mine = replace(compiler.find_compiler(), bfloat16=there)
    patch.setattr(bfloat16, "find_compiler", lambda: mine)


def test_without_the_instruction_products_are_float32s_and_the_reason_is_told(
    on_a_processor: pytest.MonkeyPatch,
) -> None:
    with_the_instruction(on_a_processor, there=False)
    assert re.fullmatch(
        r"its processor has no AVX512_BF16 instructions \(\S+ [\d.]+ compiles for .*\)",
        str(calibration.refusal(64)),
    )
    gru = GRU(3, 20)
    assert gru.precision == "ieee"
    assert gru.kernel == recurrence.describe(gru.cell, "ieee")


@pytest.mark.parametrize(("times", "taken"), [(1.8, True), (1.04, False), (0.7, False)])
def test_with_the_instruction_the_kept_measurement_decides(
    on_a_processor: pytest.MonkeyPatch, tmp_path: Path, times: float, taken: bool
) -> None:
    with_the_instruction(on_a_processor, there=True)
    on_a_processor.setenv("XDG_CACHE_HOME", str(tmp_path))
    on_a_processor.setattr(calibration, "agreed", lambda _, measure: str(times))
    assert (dispatch.precision_of("cpu", 64) == "bf16") == taken
    if not taken:
        assert f"units are {times:.2f} times as fast" in str(calibration.refusal(64))


def test_a_measurement_compares_both_kinds_of_products() -> None:
    ratio = calibration.measure(24)
    # without the instruction pairs cost two multiplications and four instructions to part them
    assert 0.1 < ratio < 10


# ------------------------------------------------------------------------------------------------
# What is compiled


def test_the_inner_loop_is_the_instruction_and_spills_nothing(tmp_path: Path) -> None:
    flags = ["-march=x86-64-v4", "-mavx512bf16"]
    if shutil.which("gcc") is None or shutil.which("objdump") is None:
        pytest.skip("needs gcc and objdump")
    source, library = tmp_path / "products.c", tmp_path / "products.o"
    source.write_text(projection.source("bf16"))
    command = ["gcc", *compiler.FLAGS, *flags, "-c", str(source), "-o", str(library)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this gcc does not compile for AVX512_BF16")
    asked = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    text = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    for function, rows, width in (("multiply_8_3", 8, 3), ("multiply_packed_3", 8, 3)):
        loop = inner_loop(text, function)
        assert sum("vdpbf16ps" in line for line in loop) == rows * width
        # no store, nothing on the stack, no more than counting and the jump besides
        assert not any("%rsp" in line or re.search(r"vmov\w+ +%zmm", line) for line in loop)
        assert len(loop) <= rows * width + rows + width + 5


def inner_loop(text: str, function: str) -> list[str]:
    """The instructions of the function from where its loop's jump goes to that jump."""
    body = text.split(f"<{function}>:")[1].split("\n\n")[0].splitlines()[1:]
    places = [int(line.split(":")[0], 16) for line in body]
    last = max(i for i, line in enumerate(body) if "vdpbf16ps" in line)
    for i in range(last, len(body)):
        if found := re.search(r"\tj\w+ +([0-9a-f]+)", body[i]):
            target = int(found[1], 16)
            if target in places and places.index(target) < last:
                return body[places.index(target) : i + 1]
    raise AssertionError(f"{function} has no loop")
