"""The activations of a study as curves: as initialised, and as every run left them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activations.formula.formula import Formula
from activations.formula.numpy_code import compile_numpy
from bench.data.members import Activation
from reports.analysis.analysis import Analysis
from reports.analysis.gate_diagnostics import GateDiagnostics
from reports.statistics.arrays import FloatArray

REACH = 4.0  # pre-activations beyond ±4 are rare
GRID = 161


@dataclass(frozen=True)
class LearntActivation:
    """A candidate activation: x, before [point]; after [curve, point], no curve if it is fixed.

    variant: one of the variants that use it.
    """

    activation: str
    variant: str
    x: FloatArray
    before: FloatArray
    after: FloatArray


def learnt_activations(analysis: Analysis) -> tuple[LearntActivation, ...]:
    """One for each activation of the study; curves of all its variants together."""
    x = np.linspace(-REACH, REACH, GRID)
    found = []
    texts = {summary.activation: summary.formula for summary in analysis.summaries}
    for name, text in texts.items():
        formula = Activation(name, text).formula
        own = [s.variant for s in analysis.summaries if s.activation == name]
        learnt = [
            values
            for gates in analysis.diagnostics
            if gates.variant in own
            for values in _final_values(gates, formula)
        ]
        found.append(
            LearntActivation(
                activation=name,
                variant=own[0],
                x=x,
                before=_evaluate(formula, x, [formula.initial])[0],
                after=_evaluate(formula, x, learnt),
            )
        )
    return tuple(found)


def _final_values(gates: GateDiagnostics, formula: Formula) -> list[tuple[float, ...]]:
    """The parameters, in the formula's order, that each run, encoder and direction ended with."""
    found: dict[tuple[str, str], dict[str, FloatArray]] = {}
    for trace in gates.traces:
        if trace.site == "candidate" and trace.runs.size:
            found.setdefault((trace.encoder, trace.direction), {})[trace.name] = trace.runs[:, -1]
    names = [parameter.name for parameter in formula.parameters]
    return [
        tuple(float(value) for value in run)
        for place in found.values()
        for run in zip(*(place[name] for name in names), strict=True)
    ]


def _evaluate(formula: Formula, x: FloatArray, values: Sequence[tuple[float, ...]]) -> FloatArray:
    """The curves [curve, point] over x [point], one for each of the parameters' values."""
    if not values:
        return np.empty((0, len(x)))
    parameters = np.array(values, dtype=np.float64).reshape(len(values), -1, 1)
    points = np.broadcast_to(x, (len(values), len(x)))
    return compile_numpy(formula.program())(points, *np.moveaxis(parameters, 1, 0))
