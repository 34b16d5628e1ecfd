"""Timing recurrent layers so that the ratio can be believed.

- A machine's speed drifts by tens of percent (turbo, neighbours), so whoever is compared is timed
  in turns, in one process, within seconds: one *heat*. Each heat has its own torch.nn.GRU and its
  own matrix product; ratios are formed inside a heat, of medians.
- GFLOP/s mean nothing without the machine's own, so the product is timed in every round.
- Where the work is a GPU's, device events are the stop-watch, and cuDNN may use TF32 only where
  our products may.
"""

import gc
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from activations import registry
from activations.errors import GateswapError, InputError
from activations.formula import Formula
from activations.kernels import Cell, describe
from activations.speed.contestants import CONTESTANTS, Entry, Shape, enter
from activations.speed.lengths import iemocap_like_lengths
from activations.speed.report import Report, Row

PARTS = ("layer", "stack", "lengths", "peers")

HEAT = 6  # activations timed against the same torch.nn.GRU: a round of a heat stays within seconds
SHORTEST = 5e-3  # s: shorter work is repeated inside one measurement, for the clock's sake

# torch.compile unrolls the loop: minutes at T = 100, so it runs at 20 steps (see docs/speed.md)
COMPILED_STEPS = 20

Specification = tuple[str, Formula, Shape]


def measure(
    device: str = "cpu",
    *,
    activations: Sequence[str] | None = None,
    parts: Sequence[str] = ("layer", "stack", "lengths"),
    hidden: Sequence[int] | None = None,
    contestants: Sequence[str] | None = None,
    repeats: int = 7,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Time forward and backward passes of recurrent layers; returns medians over `repeats` rounds.

    parts: "layer" (one GRU, by default with each activation of the catalogue), "stack" (R GRUs in
    one call, tanh), "lengths" (IEMOCAP-like rows against rows of equal length, tanh), "peers" (few
    steps, tanh and relu, where torch.compile can take part).
    hidden: sizes H instead of each part's own. contestants: among CONTESTANTS, all by default;
    torch.nn.GRU always runs, ratios are to it.
    progress: called with (heats done, heats in all, what runs next).
    Raises InputError for an unknown device, activation, part or contestant, GateswapError for
    "cuda" where torch sees no GPU.
    """
    place = _device(device)
    for what, known, given in (
        ("part", PARTS, parts),
        ("contestant", CONTESTANTS, contestants or ()),
    ):
        for name in given:
            if name not in known:
                raise InputError(f"no {what} {name!r} to measure; there are {', '.join(known)}")
    if repeats < 1 or any(size < 1 for size in hidden or ()):
        raise InputError("repeats and hidden sizes must be at least 1")
    named = None if activations is None else [registry.get(name) for name in activations]
    wanted = tuple(contestants or CONTESTANTS)
    heats = [heat for part in parts for heat in _heats(part, place, named, hidden, wanted)]

    rows: list[Row] = []
    rates: list[float] = []
    with _same_precision():
        for done, heat in enumerate(heats):
            if progress is not None:
                progress(done, len(heats), _label(heat))
            found, rate = _run_heat(heat, place, repeats)
            rows += found
            rates += rate
    kernel = describe(_cell((named or [registry.get("tanh")])[0]), device=place)
    ran = {row.contestant for row in rows}
    return Report(
        machine=machine(place),
        device=place.type,
        kernel=kernel,
        repeats=repeats,
        sgemm_gflops=float(np.median(rates)),
        rows=tuple(_pool_baselines(rows)),
        absent=tuple(name for name in wanted if name not in ran),
    )


def machine(device: torch.device) -> str:
    """The device's name, torch's number of threads (CPU) and torch's version."""
    if device.type == "cuda":
        precision = torch.get_float32_matmul_precision()
        name = f"{torch.cuda.get_device_name(device)}, float32 products {precision!r}"
    else:
        name = f"{_processor()}, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"


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
    if part == "layer":
        formulas = named or [registry.get(name) for name in registry.names()]
        for H in hidden or ((128, 256, 512) if on_gpu else (64, 128, 512)):
            shape = Shape(T=steps, B=64, I=45, H=H)
            others = [name for name in contestants if name != "torch.compile"]
            for start in range(0, len(formulas), HEAT):
                yield _specifications([shape], formulas[start : start + HEAT], others)
    if part == "peers":
        formulas = named or [registry.get("tanh"), registry.get("relu")]
        for H in hidden or (128,):
            shape = Shape(T=COMPILED_STEPS, B=64, I=45, H=H)
            yield _specifications([shape], formulas, contestants)
    formulas = named or [registry.get("tanh")]
    if part == "stack":
        for H in hidden or ((128, 512) if on_gpu else (128,)):
            sizes = (3, 15, 75) if on_gpu else (3, 15, 25)
            shapes = [Shape(T=steps, B=64, I=45, H=H, R=R) for R in sizes]
            yield _specifications(shapes, formulas, contestants)
    if part == "lengths":
        for H in hidden or (128, 512):
            equal = Shape(T=91, B=64, I=45, H=H, R=3)
            ragged = Shape(T=500, B=64, I=45, H=H, R=3, lengths="iemocap")
            yield _specifications([equal, ragged], formulas, contestants)


def _specifications(
    shapes: Sequence[Shape], formulas: Sequence[Formula], contestants: Sequence[str]
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
    sizes = dict.fromkeys(f"H={shape.H} R={shape.R}" for *_, shape in heat)
    return f"{', '.join(sizes)}: {', '.join(names)}"


def _run_heat(
    heat: Sequence[Specification], device: torch.device, repeats: int
) -> tuple[list[Row], list[float]]:
    """Time a heat's entries in turns; returns its rows and the rate of each round's product."""
    torch.manual_seed(0)
    entries = [entry for entry in (_enter(*each, device) for each in heat) if entry is not None]
    size = 4096 if device.type == "cuda" else 1024
    left, right = torch.randn(2, size, size, device=device)
    work: list[Callable[[], object]] = [lambda: left @ right, *(entry.run for entry in entries)]
    stop_watch = _device_seconds if device.type == "cuda" else _wall_seconds
    inner = []
    for run in work:
        run()  # compiles, fills caches
        inner.append(min(50, int(SHORTEST / stop_watch(run, 1)) + 1))
    seconds = np.empty((repeats, len(work)))
    gc.collect()
    for turn in range(repeats):
        for place in np.roll(np.arange(len(work)), turn):
            seconds[turn, place] = stop_watch(work[place], inner[place])
    rates = 2 * size**3 / seconds[:, 0] / 1e9
    return _rows(entries, seconds[:, 1:], float(np.median(rates))), rates.tolist()


def _enter(contestant: str, formula: Formula, shape: Shape, device: torch.device) -> Entry | None:
    if shape.lengths == "equal":
        batches = [torch.full((shape.R, shape.B), shape.T)]
    else:
        drawn = iemocap_like_lengths(4 * shape.R * shape.B, longest=shape.T)
        batches = list(torch.from_numpy(drawn).view(4, shape.R, shape.B))
    return enter(contestant, formula, shape, batches, device)


def _rows(entries: Sequence[Entry], seconds: np.ndarray, sgemm: float) -> list[Row]:
    """The medians of seconds [round, entry] per batch, and ratios to the baseline of each shape."""
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
        gflops = entry.shape.flops_per_frame * frames / middle[place] / 1e9
        rows.append(
            Row(
                activation=entry.activation,
                shape=entry.shape,
                contestant=entry.contestant,
                ms=float(middle[place] * 1e3),
                ms_quartiles=(float(low[place] * 1e3), float(high[place] * 1e3)),
                gflops=float(gflops),
                sgemm_share=float(gflops / sgemm),
                ratio=float(baseline[entry.shape] / middle[place]),
                frames=frames,
            )
        )
    return rows


def _pool_baselines(rows: Sequence[Row]) -> list[Row]:
    """One row for torch.nn.GRU on each shape, the median of its heats; the others as they are."""
    baselines: dict[Shape, list[Row]] = {}
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
        )
        for heats in baselines.values()
    ]
    return pooled + [row for row in rows if row.contestant != "torch.nn.GRU"]


def _wall_seconds(run: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def _device_seconds(run: Callable[[], object], times: int) -> float:
    start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    start.record()
    for _ in range(times):
        run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / times


def _cell(candidate: Formula) -> Cell:
    sigmoid = registry.get("sigmoid")
    return Cell(sigmoid, sigmoid, candidate)


@contextmanager
def _same_precision() -> Iterator[None]:
    """Keep cuDNN as exact as torch's products are set to; left alone it uses TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.get_float32_matmul_precision() != "highest"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(chain(names, [platform.processor() or platform.machine()]))
