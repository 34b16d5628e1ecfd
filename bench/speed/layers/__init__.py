"""The benchmark behind `gateswap speed`: how fast a GRU trains, per activation, against peers."""

from bench.speed.layers.contestants import CONTESTANTS
from bench.speed.layers.measure import PARTS, measure
from bench.speed.layers.report import Absence, Finding, Report, Row, figure, summary
from bench.speed.layers.shape import Shape

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
