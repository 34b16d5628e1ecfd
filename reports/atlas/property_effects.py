"""Which properties of an activation go with its score, and with divergence.

- Properties are read off the formula at its initial parameters; the catalogue's facts are checked
  by the tests of the activations.
- An association over activations has two kinds of luck: which activations there are and which
  speakers. Both get an interval, and the larger p of the two counts, Holm over the properties.
- A run that diverged has the score of a constant answer, which is not what the activation is worth
  where it trains. So each regression is computed with and without those runs, and a property is
  said to go with the score only where both say so.
- Twelve variations on Swish are not twelve observations: activations whose curves lie close
  together are one cluster. The catalogue's families would not do, for some of them are a property.
- No cause is claimed: properties come together, and a regression cannot take them apart where the
  catalogue does not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import stats
from scipy.cluster.hierarchy import fcluster, linkage

from activations import registry
from activations.formula.formula import Formula
from activations.formula.torch_code import compile_torch
from reports.atlas.atlas_scores import AtlasCorpus
from reports.statistics.arrays import FloatArray
from reports.statistics.clustered import clustered_least_squares
from reports.statistics.corrected_t import corrected_t_test
from reports.statistics.divergence import Divergence, divergence_rate
from reports.statistics.multiplicity import holm

WINDOW = np.linspace(
    -3.0, 3.0, 1201
)  # where states and pre-activations of a trained GRU mostly are
FAR = 20.0  # saturated: the slope there is below FLAT
FLAT = 0.01
LEVEL = 0.05
CLOSE = 0.2  # root mean square between cousins' curves: 35 clusters of 83, the largest of 15


@dataclass(frozen=True)
class Property:
    """A property of an activation: what it is called, its unit, and its value."""

    name: str
    unit: str
    of: Callable[["Curve"], float]


@dataclass(frozen=True)
class Curve:
    """An activation's values and slopes on WINDOW, at zero and far out; reach: the largest value on
    ±FAR, without its sign; learnable: parameters.
    """

    values: FloatArray
    slopes: FloatArray
    slope_at_zero: float
    far_slopes: tuple[float, float]
    reach: float
    learnable: bool


PROPERTIES = (
    Property(
        "saturates on both sides",
        "yes",
        lambda c: float(max(abs(slope) for slope in c.far_slopes) < FLAT),
    ),
    Property("slope at 0", "per unit", lambda c: c.slope_at_zero),
    Property(
        "range on ±3",
        "per doubling",
        lambda c: math.log2(max(float(np.ptp(c.values)), 2.0**-4)),
    ),
    Property("monotone on ±3", "yes", lambda c: float((np.diff(c.values) >= -1e-12).all())),
    Property(
        "steepest slope on ±3 (Lipschitz)",
        "per doubling",
        lambda c: math.log2(max(float(np.abs(c.slopes).max()), 2.0**-4)),
    ),
    Property("learnable", "yes", lambda c: float(c.learnable)),
)


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """What goes with a property, in points of UAR, beside the other properties; NaN where they
    cannot be told apart. low, high: over activations, cousins as clusters. p: the larger of that
    over activations and that of each fold's coefficient over folds, Holm over the properties.
    """

    estimate: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class PropertyEffect:
    """Points of UAR that go with a property. alone: by itself, with its interval over activations.
    beside: beside the others, of all runs; trained: of those runs that did not diverge.
    """

    name: str
    unit: str
    alone: float
    alone_low: float
    alone_high: float
    beside: Coefficient
    trained: Coefficient

    @property
    def shown(self) -> bool:
        """Whether it is told from zero, with and without diverged runs, and with one sign."""
        one_sign = self.beside.estimate * self.trained.estimate > 0
        return bool(one_sign and max(self.beside.p, self.trained.p) < LEVEL)


@dataclass(frozen=True, kw_only=True)
class PropertyDivergence:
    """Of the activations with a property and without: how many had a run that diverged.

    difference: of both shares, with its interval over activations, cousins as clusters: 95 % of all
    properties at once (Bonferroni).
    """

    name: str
    having: Divergence
    lacking: Divergence
    difference: float
    low: float
    high: float


@cache  # every corpus and every section asks for the same ones
def curve_of(formula: Formula) -> Curve:
    """Values and slopes of a formula at its initial parameters."""
    program = compile_torch(formula.program(derivatives=True))
    start = [torch.tensor(value, dtype=torch.float64) for value in formula.initial]

    def at(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        value, slope, *_ = program(torch.from_numpy(points), *start)
        both = [
            np.broadcast_to(np.asarray(v, dtype=np.float64), points.shape) for v in (value, slope)
        ]
        return both[0], both[1]

    values, slopes = at(WINDOW)
    near = at(np.array([-1e-6, 1e-6]))[1]
    far = at(np.array([-FAR, FAR]))[1]
    return Curve(
        values=values,
        slopes=slopes,
        slope_at_zero=float(near.mean()),
        far_slopes=(float(far[0]), float(far[1])),
        reach=float(np.abs(at(np.linspace(-FAR, FAR, 4001))[0]).max()),
        learnable=bool(formula.initial),
    )


def curves_of(corpus: AtlasCorpus) -> list[Curve]:
    """The curves of a corpus's activations, in its order."""
    texts = {entry.activation: entry.formula for entry in corpus.entries}
    return [curve_of(registry.recall(name, texts[name])) for name in corpus.activations]


def property_table(curves: Sequence[Curve]) -> FloatArray:
    """The properties [activation, property] of curves."""
    return np.array([[each.of(curve) for each in PROPERTIES] for curve in curves])


def cousins(curves: Sequence[Curve]) -> list[str]:
    """A cluster's name for each curve: average linkage of the distance between values on ±3."""
    values = np.array([curve.values for curve in curves])
    links = linkage(values, "average", metric="euclidean")
    links[:, 2] /= values.shape[1] ** 0.5  # root mean square
    return [str(number) for number in fcluster(links, CLOSE, "distance")]


def property_effects(corpus: AtlasCorpus) -> tuple[PropertyEffect, ...]:
    """What goes with each property in one corpus; none where there are fewer activations than a
    regression on all of them needs.
    """
    curves = curves_of(corpus)
    table, clusters = property_table(curves), cousins(curves)
    trained_means = corpus.means_without_diverged
    sound = np.isfinite(trained_means).all(axis=1)
    if sound.sum() < 2 * len(PROPERTIES):
        return ()
    varying = [k for k in range(len(PROPERTIES)) if np.ptp(table[sound, k]) > 0]
    table = table[:, varying]
    beside = _coefficients(corpus.means, table, clusters, corpus.ratio)
    trained = _coefficients(
        trained_means[sound],
        table[sound],
        [clusters[row] for row in np.flatnonzero(sound)],
        corpus.ratio,
    )
    effects = []
    for place, k in enumerate(varying):
        single = np.column_stack([np.ones(len(table)), table[:, place]])
        alone = clustered_least_squares(corpus.means.mean(axis=1), single, clusters)
        effects.append(
            PropertyEffect(
                name=PROPERTIES[k].name,
                unit=PROPERTIES[k].unit,
                alone=float(alone.estimate[1]),
                alone_low=float(alone.low[1]),
                alone_high=float(alone.high[1]),
                beside=beside[place],
                trained=trained[place],
            )
        )
    return tuple(effects)


def _coefficients(
    means: FloatArray, table: FloatArray, clusters: Sequence[str], ratio: FloatArray
) -> list[Coefficient]:
    """Regress scores [activation, fold] on properties [activation, property]."""
    design = np.column_stack([np.ones(len(table)), table])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        nan = float("nan")
        nothing = Coefficient(estimate=nan, low=nan, high=nan, p=nan)
        return [nothing] * table.shape[1]
    found = clustered_least_squares(means.mean(axis=1), design, clusters)
    with np.errstate(divide="ignore"):
        t = np.abs(found.estimate / found.standard_error)
    p = 2 * stats.t.sf(t, found.clusters - 1)
    per_fold = np.linalg.lstsq(design, means, rcond=None)[0]
    over_folds = [corrected_t_test(row, ratio).p for row in per_fold[1:]]
    larger = holm(np.maximum(p[1:], over_folds))
    return [
        Coefficient(
            estimate=float(found.estimate[place + 1]),
            low=float(found.low[place + 1]),
            high=float(found.high[place + 1]),
            p=float(larger[place]),
        )
        for place in range(table.shape[1])
    ]


def property_divergence(corpora: Sequence[AtlasCorpus]) -> tuple[PropertyDivergence, ...]:
    """How many activations diverge at all, by property; numbers are split at their median."""
    found = []
    curves = curves_of(corpora[0])
    table, clusters = property_table(curves), cousins(curves)
    names = corpora[0].activations
    broken = np.array([any(_diverged(c, name) for c in corpora) for name in names])
    for k, each in enumerate(PROPERTIES):
        column = table[:, k]
        middle = 0.5 if each.unit == "yes" else float(np.median(column))
        having = column > middle
        counts = [[int((broken & group).sum()), int(group.sum())] for group in (having, ~having)]
        said = each.name if each.unit == "yes" else f"{each.name} above its median"
        design = np.column_stack([np.ones(len(having)), having])
        varies = 0 < having.sum() < len(having)
        at_once = 1 - LEVEL / len(PROPERTIES)
        share = (
            clustered_least_squares(broken, design, clusters, confidence=at_once)
            if varies
            else None
        )
        found.append(
            PropertyDivergence(
                name=said,
                having=divergence_rate(*counts[0]),
                lacking=divergence_rate(*counts[1]),
                difference=float(share.estimate[1]) if share else np.nan,
                low=float(share.low[1]) if share else np.nan,
                high=float(share.high[1]) if share else np.nan,
            )
        )
    return tuple(found)


def _diverged(corpus: AtlasCorpus, name: str) -> bool:
    if name not in corpus.activations:
        return False
    return bool(np.nansum(corpus.diverged[corpus.activations.index(name)]) > 0)
