"""What a run of `gateswap speed` found: data, its summary, a table for people, a figure.

The JSON (`as_dict`) is fixed, because other programs read it; table and figure only show it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean, median
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from activations.drawing import own_settings
from activations.wording import counted
from bench.speed.layers.shape import LayerShape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BUSY = 0.2  # spread from which the medians of a handful of rounds no longer say much


@dataclass(frozen=True)
class Timing:
    """One contestant with one activation on one shape.

    ms: median over the rounds of one batch's forward and backward pass through all R GRUs, with the
    quartiles. gflops: of the products only. sgemm_share: of the matrix product timed in the same
    heat. bytes: the traffic that cannot be avoided (`LayerShape.compulsory_bytes`). limit_ms: what
    the operations take at that product's rate, or the bytes at that heat's copying rate, whichever
    is longer. limit_share: limit_ms / ms. ratio: torch.nn.GRU's time (tanh, same shape, R calls,
    same heat) / this time. frames: real frames of a batch, all R together.
    """

    activation: str
    shape: LayerShape
    contestant: str
    ms: float
    ms_quartiles: tuple[float, float]
    gflops: float
    sgemm_share: float
    bytes: float
    limit_ms: float
    limit_share: float
    ratio: float
    frames: float


@dataclass(frozen=True)
class Absence:
    """A contestant that did not take part, why, and on what work where it failed at that."""

    contestant: str
    reason: str
    where: str = ""


@dataclass(frozen=True)
class Finding:
    """One number of the summary, and the activation it comes from where it is an extreme."""

    what: str
    value: float
    unit: str
    where: str = ""


@dataclass(frozen=True)
class Report:
    """Everything measured in one run.

    precision: of the products, "ieee", "tf32" or "bf16". sgemm_gflops, copy_gbs: medians over all
    rounds of all heats; a copied byte counts twice, read and written. absent: contestants that
    were asked for and could not take part, or not everywhere.
    """

    machine: str
    device: str
    kernel: str
    precision: str
    repeats: int
    sgemm_gflops: float
    copy_gbs: float
    rows: tuple[Timing, ...]
    absent: tuple[Absence, ...]

    @property
    def spread(self) -> float:
        """The middle row's distance between quartiles, as a share of its median time."""
        return median((row.ms_quartiles[1] - row.ms_quartiles[0]) / row.ms for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: {machine, sgemm_gflops, rows: [...], …}."""
        return {
            "machine": self.machine,
            "device": self.device,
            "kernel": self.kernel,
            "precision": self.precision,
            "repeats": self.repeats,
            "sgemm_gflops": self.sgemm_gflops,
            "copy_gbs": self.copy_gbs,
            "spread": self.spread,
            "absent": [vars(each) for each in self.absent],
            "summary": [vars(finding) for finding in summary(self)],
            "rows": [
                {
                    "activation": row.activation,
                    "T": row.shape.T,
                    "B": row.shape.B,
                    "I": row.shape.I,
                    "H": row.shape.H,
                    "R": row.shape.R,
                    "lengths": row.shape.lengths,
                    "step": row.shape.step,
                    "contestant": row.contestant,
                    "ms": row.ms,
                    "ms_quartiles": list(row.ms_quartiles),
                    "gflops": row.gflops,
                    "sgemm_share": row.sgemm_share,
                    "bytes": row.bytes,
                    "limit_ms": row.limit_ms,
                    "limit_share": row.limit_share,
                    "ratio": row.ratio,
                    "frames": row.frames,
                }
                for row in self.rows
            ],
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A table for each shape, then the summary."""
        yield Text(self.machine, style="bold")
        yield Text(
            f"gateswap ran on {self.kernel}; product ({self.precision}) "
            f"{self.sgemm_gflops:,.0f} GFLOP/s, copy {self.copy_gbs:,.0f} GB/s; "
            f"medians of {counted(self.repeats, 'alternating round')}"
        )
        if self.spread > BUSY:
            yield Text(
                f"the machine was busy: a typical row's quartiles lie {self.spread:.0%} of its "
                "median apart; measure again when nothing else runs",
                style="yellow",
            )
        for shape in dict.fromkeys(row.shape for row in self.rows):
            yield _table(shape, [row for row in self.rows if row.shape == shape])
        yield Text("limit: ms that the product's rate or the copy's allows, whichever is longer")
        for each in self.absent:
            place = f" at {each.where}" if each.where else ""
            yield Text(f"{each.contestant} did not take part{place}: {each.reason}")
        table = Table("what", "value", "", title="In short", title_justify="left")
        for finding in summary(self):
            table.add_row(finding.what, f"{finding.value:.2f} {finding.unit}", finding.where)
        yield table


def summary(report: Report) -> tuple[Finding, ...]:
    """The figures that the speed goals are stated in, as far as this run measured them."""
    rows = [row for row in report.rows if not row.shape.step]
    layers = [row for row in rows if row.shape.R == 1]
    return (
        *_step_findings([row for row in report.rows if row.shape.step]),
        *_layer_findings(layers),
        *_stack_findings([row for row in _ours(rows) if row.shape.R > 1]),
        *_length_findings(_ours(rows)),
    )


@own_settings()
def figure(report: Report) -> "tuple[Figure, Axes]":
    """Draw each activation's ratio to torch.nn.GRU, one mark per H; 1 is torch.nn.GRU itself.

    Raises ValueError where the run has no layers.
    """
    from matplotlib.figure import Figure

    ours = [row for row in _ours(report.rows) if row.shape.R == 1]
    if not ours:
        raise ValueError("this run measured no single layers, so there is nothing to draw")
    names = list(dict.fromkeys(row.activation for row in ours))
    fig = Figure(figsize=(6.0, 1.2 + 0.16 * len(names)), layout="constrained")
    axes = fig.add_subplot()
    for shape, marker in zip(dict.fromkeys(row.shape for row in ours), "osD^vP*X", strict=False):
        own = {row.activation: row.ratio for row in ours if row.shape == shape}
        axes.plot(
            list(own.values()),
            [names.index(name) for name in own],
            marker,
            markersize=4,
            label=f"H = {shape.H}, T = {shape.T}",
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=7)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("times as fast as torch.nn.GRU (tanh)")
    axes.grid(axis="x", linewidth=0.3)
    fig.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return fig, axes


def _ours(rows: Sequence[Timing]) -> list[Timing]:
    return [row for row in rows if row.contestant == "gateswap"]


def _step_findings(steps: Sequence[Timing]) -> Iterator[Finding]:
    """Each size's step against the users'."""
    for own in _ours(steps):
        what = f"H={own.shape.H}: a training step, as fast as "
        yield Finding(f"{what}torch.nn.GRU's", own.ratio, "×", own.activation)
        for row in steps:
            alike = (row.activation, row.shape) == (own.activation, own.shape)
            if row.contestant == "eager" and alike:
                yield Finding(f"{what}the eager loop's", row.ms / own.ms, "×", own.activation)


def _layer_findings(layers: Sequence[Timing]) -> Iterator[Finding]:
    for shape in dict.fromkeys(row.shape for row in _ours(layers)):
        rows = [row for row in layers if row.shape == shape]
        ours = {row.activation: row for row in _ours(rows)}
        eager = {row.activation: row for row in rows if row.contestant == "eager"}
        where = f"T={shape.T} H={shape.H}"
        yield from _extremes(
            f"{where}: as fast as torch.nn.GRU", {name: row.ratio for name, row in ours.items()}
        )
        if eager:
            yield from _extremes(
                f"{where}: as fast as the eager loop",
                {name: row.ms / ours[name].ms for name, row in eager.items() if name in ours},
            )
        if "tanh" in ours:
            yield Finding(
                f"{where}: tanh, share of sgemm", 100 * ours["tanh"].sgemm_share, "%", "tanh"
            )


def _extremes(what: str, ratios: dict[str, float]) -> Iterator[Finding]:
    slowest = min(ratios, key=lambda name: ratios[name])
    yield Finding(
        f"{what}, geometric mean", geometric_mean(ratios.values()), "×", f"n={len(ratios)}"
    )
    yield Finding(f"{what}, least", ratios[slowest], "×", slowest)


def _stack_findings(stacks: Sequence[Timing]) -> Iterator[Finding]:
    """Time per GRU of each stack relative to the smallest stack of the same shape."""

    def kind(row: Timing) -> tuple[object, ...]:
        shape = row.shape
        return row.activation, shape.T, shape.B, shape.I, shape.H, shape.lengths

    smallest: dict[tuple[object, ...], Timing] = {}
    for row in sorted(stacks, key=lambda row: row.shape.R):
        first = smallest.setdefault(kind(row), row)
        if row is not first:
            value = row.ms / row.shape.R / (first.ms / first.shape.R)
            what = f"H={row.shape.H}: time per GRU, stack of {row.shape.R} to {first.shape.R}"
            yield Finding(what, value, "×", row.activation)


def _length_findings(rows: Sequence[Timing]) -> Iterator[Finding]:
    """Time per real frame of IEMOCAP's lengths relative to rows of about their mean length."""
    for ragged in rows:
        shape = ragged.shape
        alike = [
            row
            for row in rows
            if row.shape == replace(shape, T=row.shape.T, lengths="equal")
            and row.activation == ragged.activation
        ]
        if shape.lengths == "iemocap" and alike:
            mean = ragged.frames / shape.B / shape.R
            equal = min(alike, key=lambda row, mean=mean: abs(row.shape.T - mean))  # type: ignore[misc]
            value = ragged.ms / ragged.frames / (equal.ms / equal.frames)
            what = f"H={shape.H}: time per real frame, IEMOCAP's lengths to equal ones"
            yield Finding(what, value, "×", ragged.activation)


def _table(shape: LayerShape, rows: Sequence[Timing]) -> Table:
    """One shape's contestants, the baseline first."""
    steps = f"T={shape.T}" if shape.lengths == "equal" else f"T≤{shape.T} (IEMOCAP's lengths)"
    whole = "a whole training step: " if shape.step else ""
    title = f"{whole}{steps} B={shape.B} I={shape.I} H={shape.H} R={shape.R}"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("activation", no_wrap=True)
    table.add_column("contestant", no_wrap=True)
    for heading in ("ms", "limit", "of limit", "GFLOP/s", "× nn.GRU"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: row.contestant != "torch.nn.GRU"):
        table.add_row(
            _short(row.activation),
            row.contestant,
            f"{row.ms:.2f}",
            f"{row.limit_ms:.2f}",
            f"{100 * row.limit_share:.0f} %",
            f"{row.gflops:.1f}",
            f"{row.ratio:.2f}",
        )
    return table


def _short(name: str, length: int = 28) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
