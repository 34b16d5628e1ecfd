"""The activations of a study as curves: as initialised, and as every run left them."""

from dataclasses import dataclass

import numpy as np

from activations.formula.formula import Formula
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
        curves = [
            _evaluate(formula, x, values)
            for gates in analysis.diagnostics
            if gates.variant in own
            for values in _final_values(gates, formula)
        ]
        found.append(
            LearntActivation(
                activation=name,
                variant=own[0],
                x=x,
                before=_evaluate(formula, x, formula.initial),
                after=np.array(curves).reshape(-1, GRID),
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


def _evaluate(formula: Formula, x: FloatArray, values: tuple[float, ...]) -> FloatArray:
    import torch

    parameters = [torch.tensor(value, dtype=torch.float64) for value in values]
    result = formula.torch_function(torch.from_numpy(x), *parameters)
    return np.asarray(result.expand(x.shape).numpy(), dtype=np.float64)
