"""Descriptions of activations: the list, one in detail, the plot, the documentation's table.

- All of it is data first: programs read the list and the details as JSON, where infinity is the
  string "inf", because JSON has no other way to say it.
- A plot shows every slope that training uses, those by the parameters included.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from activations.drawing import UNDATED, own_settings
from activations.errors import InputError
from activations.formula.estimate import estimate_facts
from activations.formula.facts import Facts
from activations.formula.formula import Formula
from activations.formula.slopes import count_parts
from activations.formula.text import to_latex, to_text
from activations.formula.torch_code import compile_torch
from activations.registry import get, names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PARTS = 5_000  # of a derivative that is written out: 12,000 characters


def listing() -> list[dict[str, Any]]:
    """All activations: name, aliases, family, formula, parameters, source; ready for JSON.

    parameters: name, initial, constraint ("" if none) and scope ("layer" or "unit") of each.
    """
    return [_row(get(name)) for name in names()]


def describe(spec: object) -> dict[str, Any]:
    """One activation, ready for JSON: its row of the list and what follows from its formula.

    spec: anything `activations.get` takes. More keys: latex; derivatives and derivatives_latex, by
    the name they are taken by; facts, at the initial parameters; facts_are ("checked" by the tests
    for shipped formulas, "estimated" on a grid for others); torch, the source code of value and
    derivatives. A derivative of more than 5,000 parts, which nobody reads, is not written out but
    counted: `torch` has it. Raises InputError as `get` does.
    """
    formula = get(spec)
    slopes = {name: formula.derivative(name) for name in formula.inputs}
    sizes = {name: count_parts(slope) for name, slope in slopes.items()}
    texts = {name: f"not written out: it has {size:,} parts" for name, size in sizes.items()}
    latex = {name: rf"\text{{{text}}}" for name, text in texts.items()}
    for name, slope in slopes.items():
        if sizes[name] <= _MOST_PARTS:
            texts[name], latex[name] = to_text(slope), to_latex(slope)
    return _row(formula) | {
        "latex": formula.latex,
        "derivatives": texts,
        "derivatives_latex": latex,
        "facts": _facts(formula.facts or estimate_facts(formula)),
        "facts_are": "checked" if formula.facts else "estimated",
        "torch": formula.torch_source,
    }


@own_settings()
def figure(formula: Formula, *, limit: float = 6.0) -> tuple["Figure", "Axes"]:
    """f, its slope, and its slope by each parameter, over -limit ≤ x ≤ limit.

    Learnable parameters stand at their initial values. Returns the figure and its only axes.
    """
    from matplotlib.figure import Figure

    x = torch.linspace(-limit, limit, 2401, dtype=torch.float64)
    values = [torch.tensor(value, dtype=torch.float64) for value in formula.initial]
    curves = compile_torch(formula.program(derivatives=True))(x, *values)
    labels = [_label(formula), *(f"∂f/∂{name}" for name in formula.inputs)]
    fig = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = fig.subplots()
    axes.axhline(0, color="0.8", linewidth=0.8)
    axes.axvline(0, color="0.8", linewidth=0.8)
    for number, (label, curve) in enumerate(zip(labels, curves, strict=True)):
        y = np.broadcast_to(np.asarray(curve, dtype=np.float64), x.shape)
        width, dashes = (2.0 if number == 0 else 1.2), ("-" if number < 10 else "--")
        axes.plot(x, _with_gaps(y), label=label, linewidth=width, linestyle=dashes)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(*_window(np.asarray(curves[0])))
    axes.set_xlabel("x")
    if len(labels) > 5:
        fig.legend(frameon=False, fontsize="small", loc="outside right upper")
    else:
        fig.legend(frameon=False, fontsize="small", loc="outside upper center", ncols=4)
    return fig, axes


def plot(spec: object, path: Path | str | None = None) -> "Figure":
    """Draw an activation, its slope and its slope by each parameter; return the figure.

    path: a file to write it to; the suffix says the format (svg, pdf, png). Raises InputError for
    what `get` does not know, and as `save_figure`.
    """
    fig, _ = figure(get(spec))
    if path is not None:
        save_figure(fig, path)
    return fig


def save_figure(fig: "Figure", path: Path | str) -> Path:
    """Write a figure in the format that the suffix names; return its path.

    Raises InputError for a suffix that is no picture's and a path that cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in ("svg", "pdf", "png"):  # others need TeX, or are photographs
        raise InputError(f"{path}: cannot draw to '{path.suffix}'; use .svg, .pdf or .png")
    try:
        with own_settings():
            fig.savefig(path, dpi=200, metadata=UNDATED.get(suffix))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another") from None
    return path


def markdown_table() -> str:
    """The catalogue as the Markdown tables of docs/activations.md, one for each family."""
    tables: dict[str, list[str]] = {}
    for name in names():
        formula = get(name)
        if formula.facts is None:
            continue
        facts = formula.facts
        low, high = (_short(bound) for bound in facts.range)
        cells = (
            f"`{formula.name}`",
            ", ".join(f"`{alias}`" for alias in formula.aliases),
            f"`{formula.text}`".replace("|", "\\|"),
            f"{low} … {high}",
            _properties(facts),
            formula.source,
        )
        tables.setdefault(formula.family, []).append("| " + " | ".join(cells) + " |")
    head = "| name | aliases | formula | range | properties | source |\n|---|---|---|---|---|---|"
    return "\n\n".join(
        f"### {family.capitalize()}\n\n{head}\n" + "\n".join(rows)
        for family, rows in tables.items()
    )


def _row(formula: Formula) -> dict[str, Any]:
    return {
        "name": formula.name,
        "aliases": list(formula.aliases),
        "family": formula.family,
        "formula": formula.text,
        "parameters": [
            {"name": p.name, "initial": p.initial, "constraint": p.constraint, "scope": p.scope}
            for p in formula.parameters
        ],
        "source": formula.source,
    }


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "range": [_json(bound) for bound in facts.range],
        "monotone": facts.monotone,
        "odd": facts.odd,
        "zero_at_zero": facts.zero_at_zero,
        "lipschitz": _json(facts.lipschitz),
        "smoothness": _json(facts.smoothness),
    }


def _json(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _short(number: float) -> str:
    return {math.inf: "∞", -math.inf: "-∞"}.get(number, f"{number:.4g}")


def _properties(facts: Facts) -> str:
    smoothness = {-1.0: "jumps", 0.0: "kinks", math.inf: "smooth"}.get(
        facts.smoothness, f"C{facts.smoothness:g}"
    )
    said = {"monotone": facts.monotone, "odd": facts.odd, "f(0)=0": facts.zero_at_zero}
    parts = [word for word, holds in said.items() if holds]
    return ", ".join([*parts, smoothness, f"Lipschitz {_short(facts.lipschitz)}"])


def _label(formula: Formula) -> str:
    name = formula.name if len(formula.name) <= 30 else f"{formula.name[:29]}…"
    values = ", ".join(f"{p.name}={p.initial:g}" for p in formula.parameters)
    return f"f = {name}" + (f" ({values})" if 0 < len(formula.parameters) <= 4 else "")


def _with_gaps(y: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """NaN where a curve jumps, so that a step is a gap and not a steep line."""
    steps = np.abs(np.diff(y))
    before = np.concatenate([steps[:1], steps[:-1]])
    jumps = np.concatenate([[False], (steps > 0.02) & (steps > 5 * before)])
    return np.where(jumps, np.nan, y)


def _window(y: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Limits that show the curve and slopes of about 1, but no exponential to its end."""
    low, high = max(float(y.min()), -4.0), min(float(y.max()), 6.0)
    return min(low, 0.0) - 0.4, max(high, 1.2) + 0.4
