"""The benchmark behind `gateswap speed`: how fast a GRU trains, per activation, against peers."""

from bench.speed.layers.contestants import CONTESTANTS
from bench.speed.layers.measure import PARTS, measure
from bench.speed.layers.report import Absence, Finding, Report, Timing, figure, summary
from bench.speed.layers.shape import LayerShape

__all__ = [
    "CONTESTANTS",
    "PARTS",
    "Absence",
    "Finding",
    "LayerShape",
    "Report",
    "Timing",
    "figure",
    "measure",
    "summary",
]
