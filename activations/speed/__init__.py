"""The benchmark behind `gateswap speed`: how fast a GRU trains, per activation, against peers."""

from activations.speed.contestants import CONTESTANTS
from activations.speed.measure import PARTS, measure
from activations.speed.report import Absence, Finding, Report, Row, figure, summary
from activations.speed.shape import Shape

__all__ = [
    "CONTESTANTS",
    "PARTS",
    "Absence",
    "Finding",
    "Report",
    "Row",
    "Shape",
    "figure",
    "measure",
    "summary",
]
