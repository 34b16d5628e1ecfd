"""What happened in training: arrays of an Analysis for curves, activations, gates and cost."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from reports import figures
from reports.analysis.analysis import Analysis
from reports.analysis.cell import Trace
from reports.analysis.learnt import learnt_shapes
from reports.drawings.common import styles_of

GATES = {
    "update gate above 0.95": "update gate\n> 0.95, %",
    "reset gate below 0.05": "reset gate\n< 0.05, %",
    "dead candidate units": "dead units,\n%",
    "norm of h": "‖h‖/√H",
    "steps back to a tenth": "reach,\nframes",
}
CURVES = {"train_loss": "training loss", "dev_uar": "dev UAR, %"}


def curves_figure(analysis: Analysis) -> Any:
    """Training loss and dev score; None where nothing was evaluated."""
    directions = {s.variant: s.direction for s in analysis.summaries}
    by_name = {name: [curve for curve in analysis.curves if curve.name == name] for name in CURVES}
    first = by_name["train_loss"]
    if not first:
        return None
    steps = max((curve.steps for curve in first), key=len)
    labels = [curve.variant for curve in first if len(curve.steps) == len(steps)]
    bands = {}
    for name, title in CURVES.items():
        found = {curve.variant: curve for curve in by_name[name]}
        rows = [found[label] for label in labels]
        bands[title] = (
            np.array([curve.mean for curve in rows]),
            np.array([curve.low for curve in rows]),
            np.array([curve.high for curve in rows]),
        )
    return figures.learning_curves(
        labels,
        steps.astype(np.float64),
        bands,
        groups=[directions[label] for label in labels],
        styles=styles_of(analysis),
    )


def activations_figure(analysis: Analysis) -> Any:
    """Candidate activations, initial and learnt."""
    shapes = learnt_shapes(analysis)
    styles = styles_of(analysis)
    colours = [styles[shape.variant].colour for shape in shapes]
    return figures.activation_shapes(
        [shape.activation for shape in shapes],
        shapes[0].x,
        np.array([shape.before for shape in shapes]),
        [shape.after for shape in shapes],
        colours=colours,
    )


def _traces_by_parameter(analysis: Analysis) -> Iterator[tuple[str, str, list[Trace]]]:
    """(variant, parameter, its traces of all encoders and directions)."""
    for cell in analysis.cells:
        for site, name in dict.fromkeys((trace.site, trace.name) for trace in cell.traces):
            yield (
                cell.variant,
                name if site == "candidate" else f"{site} {name}",
                [t for t in cell.traces if (t.site, t.name) == (site, name)],
            )


def parameters_figure(analysis: Analysis) -> Any:
    """Learnt parameters over training; None where nothing is learnable."""
    found = [entry for entry in _traces_by_parameter(analysis) if entry[2][0].runs.size]
    if not found:
        return None
    styles = styles_of(analysis)
    steps = max((traces[0].steps for _, _, traces in found), key=len)
    found = [entry for entry in found if len(entry[2][0].steps) == len(steps)]
    return figures.parameter_traces(
        [f"{variant}: {_greek(name)}" for variant, name, _ in found],
        steps.astype(np.float64),
        [np.concatenate([trace.runs for trace in traces]) for _, _, traces in found],
        initial=[traces[0].initial for _, _, traces in found],
        colours=[styles[variant].colour for variant, _, _ in found],
    )


def _greek(name: str) -> str:
    return {"alpha": "α", "beta": "β", "gamma": "γ", "a": "a", "b": "b"}.get(name, name)


def gates_figure(analysis: Analysis) -> Any:
    """Gate diagnostics; None without them."""
    cells = [cell for cell in analysis.cells if all(name in cell.quantities for name in GATES)]
    if not cells:
        return None
    scale = {name: 100.0 if title.endswith("%") else 1.0 for name, title in GATES.items()}
    return figures.gate_diagnostics(
        [cell.variant for cell in cells],
        {
            title: (
                scale[name] * np.array([cell.quantities[name].mean for cell in cells]),
                scale[name] * np.array([cell.quantities[name].folds for cell in cells]),
            )
            for name, title in GATES.items()
        },
        styles=styles_of(analysis),
    )


def reach_figure(analysis: Analysis) -> Any:
    """Relative error norms; None without diagnostics."""
    cells = [cell for cell in analysis.cells if cell.reach.size and np.isfinite(cell.reach).any()]
    if not cells:
        return None
    directions = {s.variant: s.direction for s in analysis.summaries}
    return figures.error_reach(
        [cell.variant for cell in cells],
        np.arange(cells[0].reach.size, dtype=np.float64),
        np.array([cell.reach for cell in cells]),
        groups=[directions[cell.variant] for cell in cells],
        styles=styles_of(analysis),
    )


def cost_figure(analysis: Analysis) -> Any:
    """Time against score; None for fewer than two variants."""
    seconds = {cell.variant: cell.seconds for cell in analysis.cells}
    shown = [s for s in analysis.summaries if s.variant in seconds]
    if len(shown) < 2:
        return None
    cost = np.array([seconds[s.variant] for s in shown])
    score = np.array([s.uar[analysis.settings.selection].mean for s in shown])
    front = np.array(
        [not np.any((cost < c) & (score >= s)) for c, s in zip(cost, score, strict=True)]
    )
    return figures.cost_against_score(
        [s.variant for s in shown],
        cost,
        score,
        front,
        styles=styles_of(analysis),
        cost_label="training time of one run, s (its share of the stack's time)",
    )
