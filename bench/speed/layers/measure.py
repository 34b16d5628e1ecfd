"""Timing recurrent layers so that the ratio can be believed.

- A machine's speed drifts by tens of percent (turbo, neighbours), so contestants are timed
  in turns, in one process, within seconds: one *heat*. Each heat has its own torch.nn.GRU and its
  own matrix product; ratios are formed inside a heat, of medians.
- GFLOP/s mean nothing without the machine's own, so a product and a copy are timed in every round:
  what they reach is the limit that a layer's own operations and bytes are held against.
- Where the work is a GPU's, device events are the stop-watch, and cuDNN may use TF32 only where
  our products may.
- A contestant that fails is left out and the reason is reported: it must not end a run of hours.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from activations import registry
from activations.errors import GateswapError, InputError, on_one_line
from activations.formula.formula import Formula
from activations.kernels.cell import Cell
from activations.kernels.cpu.calibration import refusal
from activations.kernels.dispatch import describe, precision_of
from activations.kernels.precision import precision_called
from bench.speed.layers.contestants import CONTESTANTS, Entrant, enter
from bench.speed.layers.report import Absence, Report, Timing
from bench.speed.layers.shape import LayerShape, layer_shape
from bench.speed.layers.whole_step import enter_step, step_shape
from bench.speed.lengths import iemocap_like_lengths
from bench.speed.machine import (
    at_precision,
    big_copy,
    big_product,
    machine,
    seconds_of,
)

PARTS = ("step", "layer", "stack", "lengths", "peers")

HEAT = 6  # activations timed against the same torch.nn.GRU: a round of a heat stays within seconds
MOST_REPEATS = 10_000
LARGEST_HIDDEN = 4_096  # units: eight times the largest that is measured by default
SHORTEST = 5e-3  # s: shorter work is repeated inside one measurement, for the clock's sake

# torch.compile unrolls the loop: minutes at T = 100, so it runs at 20 steps (see docs/speed.md)
COMPILED_STEPS = 20

Specification = tuple[str, Formula, LayerShape]


def measure(
    device: str = "cpu",
    *,
    activations: Sequence[str] | None = None,
    parts: Sequence[str] = ("step", "layer", "stack", "lengths"),
    hidden: Sequence[int] | None = None,
    contestants: Sequence[str] | None = None,
    repeats: int = 7,
    precision: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Time forward and backward passes of recurrent layers; returns medians over `repeats` rounds.

    parts: "step" (a whole training step of IAAN, by default with tanh), "layer" (one GRU, by
    default with each activation of the catalogue), "stack" (R GRUs in one call, tanh), "lengths"
    (IEMOCAP-like rows against rows of equal length, tanh), "peers" (few steps, tanh and relu, where
    torch.compile can take part).
    hidden: sizes H instead of each part's own. contestants: among CONTESTANTS, all by default;
    torch.nn.GRU always runs, ratios are to it.
    precision: of the products during the run, "ieee", "tf32" or "bf16" (a CPU has no "tf32");
    None leaves torch as it is set.
    progress: called with (heats done, heats in all, what runs next).
    Raises InputError for an unknown device, activation, part, contestant or precision,
    GateswapError for "cuda" where torch sees no GPU.
    """
    place = _device(device)
    for what, known, given in (
        ("part", PARTS, parts),
        ("contestant", CONTESTANTS, contestants or ()),
    ):
        for name in given:
            if name not in known:
                raise InputError(f"no {what} {name!r} to measure; there are {', '.join(known)}")
    if precision is not None:
        precision = precision_called(precision)
    if precision == "tf32" and place.type == "cpu":
        raise InputError("on a CPU products are float32's own, 'ieee', or 'bf16'; not 'tf32'")
    if not 1 <= repeats <= MOST_REPEATS:
        raise InputError(f"repeats must be from 1 to {MOST_REPEATS:,}, not {repeats:,}")
    for size in hidden or ():
        if not 1 <= size <= LARGEST_HIDDEN:
            raise InputError(f"hidden sizes must be from 1 to {LARGEST_HIDDEN:,}, not {size:,}")
    named = None if activations is None else [registry.get(name) for name in activations]
    wanted = tuple(contestants or CONTESTANTS)
    heats = [heat for part in parts for heat in _heats(part, place, named, hidden, wanted)]

    found: list[_Heat] = []
    sizes = list(dict.fromkeys(shape.H for heat in heats for *_, shape in heat))
    if precision == "bf16" and place.type == "cpu":
        for size in sizes:
            if reason := refusal(size):
                raise InputError(f"this machine's CPU has no use for bf16: {reason}")
    with at_precision(precision):
        for done, heat in enumerate(heats):
            if progress is not None:
                progress(done, len(heats), _label(heat))
            found.append(_run_heat(heat, place, repeats))
            if place.type == "cuda":
                gc.collect()  # a stack's graph has memory of its own: the next heat needs it
                torch.cuda.empty_cache()
        about = machine(place)
        kernel = describe(_cell((named or [registry.get("tanh")])[0]), sizes[0], device=place)
        ran_at = precision_of(place.type.replace("cuda", "gpu"), sizes[0], place)
    rows = [row for heat in found for row in heat.rows]
    return Report(
        machine=about,
        device=place.type,
        kernel=kernel,
        precision=ran_at,
        repeats=repeats,
        sgemm_gflops=float(np.median([rate for heat in found for rate in heat.gflops])),
        copy_gbs=float(np.median([rate for heat in found for rate in heat.gbs])),
        rows=tuple(_pool_baselines(rows)),
        absent=_absences(wanted, rows, [failed for heat in found for failed in heat.failed]),
    )


def _device(device: str) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        place = torch.device("meta")
    if place.type not in ("cpu", "cuda"):
        raise InputError(f"no device {device!r} to measure; there are cpu and cuda")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise GateswapError(
            f"torch {torch.__version__} sees no CUDA device, so there is none to measure; "
            "use --device cpu, or a CUDA build of torch on a machine with a GPU"
        )
    return place


def _heats(
    part: str,
    device: torch.device,
    named: Sequence[Formula] | None,
    hidden: Sequence[int] | None,
    contestants: Sequence[str],
) -> Iterator[list[Specification]]:
    """The heats of a part: who runs on which shape with which activation, torch.nn.GRU first."""
    on_gpu = device.type == "cuda"
    steps = 200 if on_gpu else 100
    if part == "step":
        formulas = named or [registry.get("tanh")]
        for H in hidden or (64, 128, 512):
            for few in _few_at_a_time(formulas):
                yield _specifications([step_shape(H)], few, contestants)
    if part == "layer":
        formulas = named or [registry.get(name) for name in registry.names()]
        others = [name for name in contestants if name != "torch.compile"]
        for H in hidden or ((128, 256, 512) if on_gpu else (64, 128, 512)):
            for few in _few_at_a_time(formulas):
                yield _specifications([layer_shape(device.type, H)], few, others)
    if part == "peers":
        formulas = named or [registry.get("tanh"), registry.get("relu")]
        for H in hidden or (128,):
            shape = LayerShape(T=COMPILED_STEPS, B=64, I=45, H=H)
            yield _specifications([shape], formulas, contestants)
    formulas = named or [registry.get("tanh")]
    if part == "stack":
        for H in hidden or ((128, 512) if on_gpu else (128,)):
            sizes = (3, 15, 75) if on_gpu else (3, 15, 25)
            shapes = [LayerShape(T=steps, B=64, I=45, H=H, R=R) for R in sizes]
            # each contestant keeps its memory for a heat, and 75 GRUs' states are some 30 GiB
            for heat in [[shape] for shape in shapes] if on_gpu else [shapes]:
                yield _specifications(heat, formulas, contestants)
    if part == "lengths":
        for H in hidden or (128, 512):
            equal = LayerShape(T=91, B=64, I=45, H=H, R=3)
            ragged = LayerShape(T=500, B=64, I=45, H=H, R=3, lengths="iemocap")
            yield _specifications([equal, ragged], formulas, contestants)


def _few_at_a_time(formulas: Sequence[Formula]) -> Iterator[Sequence[Formula]]:
    """The formulas of one heat each: they share its torch.nn.GRU, and with it their ratios' base.

    Where a shape has several heats, its row of torch.nn.GRU is the median of them, and a ratio
    is not that row's time over its own: it stays the one inside its own heat.
    """
    for start in range(0, len(formulas), HEAT):
        yield formulas[start : start + HEAT]


def _specifications(
    shapes: Sequence[LayerShape], formulas: Sequence[Formula], contestants: Sequence[str]
) -> list[Specification]:
    tanh = registry.get("tanh")
    baselines = [("torch.nn.GRU", tanh, shape) for shape in shapes]
    return baselines + [
        (name, formula, shape)
        for shape in shapes
        for formula in formulas
        for name in contestants
        if name != "torch.nn.GRU"
    ]


def _label(heat: Sequence[Specification]) -> str:
    names = dict.fromkeys(formula.name for _, formula, _ in heat[1:])
    sizes = dict.fromkeys(
        f"{'step, ' if shape.step else ''}H={shape.H} R={shape.R}" for *_, shape in heat
    )
    return f"{', '.join(sizes)}: {', '.join(names)}"


@dataclass(frozen=True)
class _Heat:
    """What one heat found: its rows, the product's and the copy's rate in each round, failures."""

    rows: list[Timing]
    gflops: list[float]
    gbs: list[float]
    failed: list[Absence]


def _run_heat(heat: Sequence[Specification], device: torch.device, repeats: int) -> _Heat:
    """Time a heat's entries in turns, and between them a product and a copy."""
    torch.manual_seed(0)
    product, operations = big_product(device)
    copy, moved = big_copy(device)
    entries: list[Entrant] = []
    work: list[Callable[[], object]] = []
    inner: list[int] = []
    failed: list[Absence] = []

    def prepare(run: Callable[[], object]) -> None:
        run()  # compiles, fills caches
        inner.append(min(50, int(SHORTEST / seconds_of(run, 1, device)) + 1))
        work.append(run)
        if device.type == "cuda":
            torch.cuda.empty_cache()  # a recording takes memory of its own

    prepare(product)
    prepare(copy)
    for name, formula, shape in heat:
        try:
            entry = _enter(name, formula, shape, device)
            if entry is not None:
                prepare(entry.run)
                entries.append(entry)
        except Exception as error:  # what foreign code raises is not ours to foresee
            if name == "torch.nn.GRU":
                raise  # without it there is no ratio
            where = f"{formula.name}, T={shape.T} H={shape.H} R={shape.R}"
            failed.append(Absence(name, on_one_line(error), where))
    seconds = np.empty((repeats, len(work)))
    gc.collect()
    for turn in range(repeats):
        for place in np.roll(np.arange(len(work)), turn):
            seconds[turn, place] = seconds_of(work[place], inner[place], device)
    gflops = operations / seconds[:, 0] / 1e9
    gbs = moved / seconds[:, 1] / 1e9
    limits = float(np.median(gflops)), float(np.median(gbs))
    rows = _rows(entries, seconds[:, 2:], *limits)
    return _Heat(rows, gflops.tolist(), gbs.tolist(), failed)


def _absences(
    wanted: Sequence[str], rows: Sequence[Timing], failed: Sequence[Absence]
) -> tuple[Absence, ...]:
    """Who did not take part and why: each reason is reported once."""
    reasons = {(each.contestant, each.reason): each for each in reversed(failed)}
    known = {row.contestant for row in rows} | {each.contestant for each in failed}
    never = [
        Absence(name, "not installed, or nothing here that it takes")
        for name in wanted
        if name not in known
    ]
    return (*reversed(reasons.values()), *never)


def _enter(
    contestant: str, formula: Formula, shape: LayerShape, device: torch.device
) -> Entrant | None:
    if shape.step:
        return enter_step(contestant, formula, shape, device)
    if shape.lengths == "equal":
        batches = [torch.full((shape.R, shape.B), shape.T)]
    else:
        drawn = iemocap_like_lengths(4 * shape.R * shape.B, longest=shape.T)
        batches = list(torch.from_numpy(drawn).view(4, shape.R, shape.B))
    return enter(contestant, formula, shape, batches, device)


def _rows(
    entries: Sequence[Entrant], seconds: np.ndarray, sgemm: float, copy_gbs: float
) -> list[Timing]:
    """The medians of seconds [round, entry] per batch, and ratios to the baseline of each shape.

    sgemm: GFLOP/s and copy_gbs: GB/s of the same heat, whose slower one is each row's limit.
    """
    batches = np.array([entry.batches for entry in entries])
    low, middle, high = np.percentile(seconds, [25, 50, 75], axis=0) / batches
    baseline = {
        entry.shape: middle[place]
        for place, entry in enumerate(entries)
        if entry.contestant == "torch.nn.GRU"
    }
    rows = []
    for place, entry in enumerate(entries):
        frames = entry.frames / entry.batches
        operations = entry.shape.flops_per_frame * frames
        moved = entry.shape.compulsory_bytes(frames)
        gflops = operations / middle[place] / 1e9
        limit = max(operations / sgemm, moved / copy_gbs) / 1e9
        rows.append(
            Timing(
                activation=entry.activation,
                shape=entry.shape,
                contestant=entry.contestant,
                ms=float(middle[place] * 1e3),
                ms_quartiles=(float(low[place] * 1e3), float(high[place] * 1e3)),
                gflops=float(gflops),
                sgemm_share=float(gflops / sgemm),
                bytes=moved,
                limit_ms=1e3 * limit,
                limit_share=float(limit / middle[place]),
                ratio=float(baseline[entry.shape] / middle[place]),
                frames=frames,
            )
        )
    return rows


def _pool_baselines(rows: Sequence[Timing]) -> list[Timing]:
    """One row for torch.nn.GRU on each shape, the median of its heats; the others as they are."""
    baselines: dict[LayerShape, list[Timing]] = {}
    for row in rows:
        if row.contestant == "torch.nn.GRU":
            baselines.setdefault(row.shape, []).append(row)
    pooled = [
        replace(
            heats[0],
            ms=float(np.median([row.ms for row in heats])),
            ms_quartiles=(
                float(np.median([row.ms_quartiles[0] for row in heats])),
                float(np.median([row.ms_quartiles[1] for row in heats])),
            ),
            gflops=float(np.median([row.gflops for row in heats])),
            sgemm_share=float(np.median([row.sgemm_share for row in heats])),
            limit_ms=float(np.median([row.limit_ms for row in heats])),
            limit_share=float(np.median([row.limit_share for row in heats])),
        )
        for heats in baselines.values()
    ]
    return pooled + [row for row in rows if row.contestant != "torch.nn.GRU"]


def _cell(candidate: Formula) -> Cell:
    sigmoid = registry.get("sigmoid")
    return Cell(sigmoid, sigmoid, candidate)
