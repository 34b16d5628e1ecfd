"""Figures: each takes what was computed and returns ``fig, axes``; none computes or reads files."""

from reports.figures.cell import error_reach, gate_diagnostics
from reports.figures.cost import cost_against_score, sensitivity
from reports.figures.curves import learning_curves
from reports.figures.forest import forest
from reports.figures.intervals import score_intervals
from reports.figures.matrices import better_matrix, confusion_matrices
from reports.figures.parts import part_matrix
from reports.figures.ranks import rank_diagram
from reports.figures.selection import selection_rules
from reports.figures.shapes import activation_shapes, parameter_traces
from reports.figures.slopes import slopegraph
from reports.figures.style import FORMATS, VariantStyle, paper_style, save, variant_styles

__all__ = [
    "FORMATS",
    "VariantStyle",
    "activation_shapes",
    "better_matrix",
    "confusion_matrices",
    "cost_against_score",
    "error_reach",
    "forest",
    "gate_diagnostics",
    "learning_curves",
    "paper_style",
    "parameter_traces",
    "part_matrix",
    "rank_diagram",
    "save",
    "score_intervals",
    "selection_rules",
    "sensitivity",
    "slopegraph",
    "variant_styles",
]
