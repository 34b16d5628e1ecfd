"""The benchmark behind `gateswap speed`: how fast a GRU trains, per activation, against peers."""

from activations.speed.contestants import CONTESTANTS, Shape
from activations.speed.measure import PARTS, measure
from activations.speed.report import Finding, Report, Row, figure, summary

__all__ = [
    "CONTESTANTS",
    "PARTS",
    "Finding",
    "Report",
    "Row",
    "Shape",
    "figure",
    "measure",
    "summary",
]
