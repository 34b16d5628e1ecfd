"""What one training run is: a member of a study.

- A member is identified by its content alone (variant, fold, seed, hyper-parameters), so that a
  plan can be written down, hashed, resumed and stacked without running anything.
- A seed means the same initial weights, batches and dropout masks in every variant: `Member.stream`
  leaves the variant and the hyper-parameters out. Differences between variants are then paired draw
  by draw.
- A variant carries its formulas, not only their names: a worker, or a report years later, need not
  have registered what somebody called `mine`.
- Members may share a stack only if every tensor has the same shape and the same cell runs:
  `Member.stack_group`.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from activations.errors import InputError
from bench.content_hash import content_hash

if TYPE_CHECKING:  # a result can be read without SymPy and torch, which a formula needs
    from activations.formula.formula import Formula
    from activations.kernels.cell import Cell

SITES = ("activation", "update", "reset")  # the fields of a variant that name an activation

Direction = Literal["gru", "bigru"]
ResetOrder = Literal["after", "before"]
Pooling = Literal["attention", "mean", "last"]
MissingContext = Literal["zero", "frames"]
Truncate = Literal["none", "last"]
LastBatch = Literal["carry", "drop"]
Adam = Literal["torch", "tensorflow"]
Init = Literal["glorot", "orthogonal", "uniform"]


LATER = (  # settings that members without them can do without
    *("kind", "layers", "pooling", "norm_epsilon", "recurrent_bias", "context_mask"),
    *("missing_context", "truncate", "last_batch", "adam", "select_with_dropout"),
    *("init", "train_fraction"),
)


_CHOICES = {
    "pooling": Pooling,
    "missing_context": MissingContext,
    "truncate": Truncate,
    "last_batch": LastBatch,
    "adam": Adam,
    "init": Init,
}
MISSING_FRAMES = 9  # what 45 zeros, the authors' "pad" utterance, become where fives are pooled


LARGEST = {  # what no study needs, and what still ends with an error and not with the machine
    **dict.fromkeys(("hidden_size", "attention_size", "dense_size"), 65_536),
    "batch_size": 1_000_000,
    "layers": 64,
    "steps": 100_000_000,
    "evaluate_every": 100_000_000,
}


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """A network's settings; the defaults are IAAN's published ones (Yeh et al., ICASSP 2019).

    kind: of network, see bench.network.kinds. layers, pooling: of a network that has them.
    hidden_size: units of each GRU and direction. attention_size, dense_size: units. dropout:
    probability of dropping, on the current encoder's inputs and outputs and before the layer norm.
    0.1 is the default of the authors' parser; their run.sh and their results file drop nothing.
    label_smoothing: share of the target spread over all classes. l2: factor of ½‖·‖² of the dense
    layers, in the loss. clip_norm: largest global gradient norm, or None, as published, for no
    clipping. batch_size: examples. steps, evaluate_every: optimiser steps.
    init: where the GRUs' weights start: "glorot" uniform in TensorFlow's shapes, as published;
    "orthogonal": the recurrent ones of each gate (Saxe et al., 2014), the others as before;
    "uniform": all, and their biases, within ±1/√H, as torch.nn.GRU has them. train_fraction: share
    of the training examples that are trained on, see bench.data.subset.

    What only the code of IAAN's authors does, see docs/literal.md. norm_epsilon: of the layer norm.
    recurrent_bias: whether the GRU's second bias, which TensorFlow's has not, learns.
    context_mask: whether a context ends where its frames do; otherwise it goes on in zero frames
    to the end of the batch. missing_context: a context that is missing is a "zero" vector, or the
    encoder hears MISSING_FRAMES zero "frames". truncate: a training batch is cut to the length of
    the "last" example's longest utterance. last_batch: what is left of an epoch is "carry"-ed into
    the next one, or "drop"-ped. adam: where epsilon is added, to the corrected second moment
    ("torch") or to the raw one ("tensorflow"). select_with_dropout: checkpoints are chosen, not
    scored, by what the network says under dropout.
    Raises ValueError for a value out of its range.
    """

    hidden_size: int = 512
    attention_size: int = 16
    dense_size: int = 64
    dropout: float = 0.1
    label_smoothing: float = 0.1
    l2: float = 1e-3
    learning_rate: float = 1e-4
    clip_norm: float | None = None
    batch_size: int = 64
    steps: int = 3000
    evaluate_every: int = 100
    kind: str = "iaan"
    layers: int = 1
    pooling: Pooling = "attention"
    norm_epsilon: float = 1e-5
    recurrent_bias: bool = True
    context_mask: bool = True
    missing_context: MissingContext = "zero"
    truncate: Truncate = "none"
    last_batch: LastBatch = "carry"
    adam: Adam = "torch"
    select_with_dropout: bool = False
    init: Init = "glorot"
    train_fraction: float = 1.0

    def __post_init__(self) -> None:
        sizes = ("hidden_size", "attention_size", "dense_size", "batch_size", "layers")
        for name in (*sizes, "steps", "evaluate_every"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
            if value > LARGEST[name]:
                raise ValueError(f"{name} must be at most {LARGEST[name]:,}, not {value:,}")
        for name in ("dropout", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if not 0.0 < self.train_fraction <= 1.0:
            raise ValueError(f"train_fraction must be in (0, 1], not {self.train_fraction}")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if not self.l2 >= 0.0:
            raise ValueError(f"l2 must not be negative, not {self.l2}")
        if self.clip_norm is not None and not self.clip_norm > 0.0:
            raise ValueError(f"clip_norm must be positive or None, not {self.clip_norm}")
        if not self.norm_epsilon > 0.0:
            raise ValueError(f"norm_epsilon must be positive, not {self.norm_epsilon}")
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, in the order of the fields."""
        return dict(vars(self))  # numbers and text alone, which asdict would copy one by one

    def identity(self) -> dict[str, Any]:
        """`as_dict` without the settings that came LATER and have their default.

        A member keeps its hash, and its result, when the program learns a new setting.
        """
        return {
            name: value
            for name, value in vars(self).items()
            if name not in _LATER_DEFAULTS or value != _LATER_DEFAULTS[name]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Hyperparameters":
        """The inverse of `as_dict`. Raises TypeError for an unknown key."""
        return cls(**data)


_LATER_DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Hyperparameters)
    if field.name in LATER
}


@dataclass(frozen=True)
class Activation:
    """An activation as it travels: what it is called, and the formula's canonical text.

    text: also says the learnable parameters with their initial values
    (`max(x, 0) + a*min(x, 0); a=0.25`). It is empty only in a record that is older than texts in
    records and whose name is not registered here.
    """

    name: str
    text: str

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, spec: object) -> "Activation":
        """Whatever `activations.get` takes, or an Activation; a text is kept as the name it is.

        Raises InputError as `get` does.
        """
        if isinstance(spec, cls):
            return spec
        from activations import registry

        formula = registry.get(spec)
        return cls(spec if isinstance(spec, str) else formula.name, formula.text)

    @property
    def formula(self) -> "Formula":
        """The formula that the text says, under this name, whatever is registered here.

        Raises InputError where there is no text and no such name.
        """
        from activations import registry

        return registry.recall(self.name, self.text) if self.text else registry.get(self.name)


@dataclass(frozen=True, init=False)
class Variant:
    """The choice compared: an activation for each site, direction, reset order.

    activation (the candidate's), update, reset: whatever `activations.get` takes; kept as name and
    formula. direction: "gru", or "bigru", whose encoder outputs are twice as wide. reset_order:
    "after" (torch, cuDNN) or "before" (Cho et al., 2014) the recurrent product. Raises InputError
    for an activation that does not exist, ValueError for another direction or reset order.
    """

    activation: Activation
    update: Activation
    reset: Activation
    direction: Direction
    reset_order: ResetOrder

    def __init__(
        self,
        activation: object = "tanh",
        update: object = "sigmoid",
        reset: object = "sigmoid",
        direction: Direction = "gru",
        reset_order: ResetOrder = "after",
    ) -> None:
        for name, value in (("activation", activation), ("update", update), ("reset", reset)):
            object.__setattr__(self, name, Activation.of(value))
        choices = (("direction", direction, Direction), ("reset_order", reset_order, ResetOrder))
        for name, value, kind in choices:
            if value not in get_args(kind):
                allowed = " or ".join(repr(value) for value in get_args(kind))
                raise ValueError(f"{name} must be {allowed}, not {value!r}")
            object.__setattr__(self, name, value)

    @property
    def label(self) -> str:
        """What tables and legends print, e.g. "tanh · bigru" or "relu · gru · update erf"."""
        parts = [self.activation.name, self.direction]
        parts += [f"update {self.update}"] if self.update.name != "sigmoid" else []
        parts += [f"reset {self.reset}"] if self.reset.name != "sigmoid" else []
        parts += ["reset before"] if self.reset_order != "after" else []
        return " · ".join(parts)

    @property
    def slug(self) -> str:
        """The label for file names: [a-z0-9_-] only; what a formula loses by that is kept apart by
        a short hash.
        """
        plain = self.label.lower().replace(" · ", "-").replace(" ", "_")
        slug = re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_")
        return slug if slug == plain else f"{slug[:48]}-{content_hash(self.names, 8)}"

    @property
    def directions(self) -> int:
        """1 for gru, 2 for bigru."""
        return 2 if self.direction == "bigru" else 1

    @property
    def names(self) -> dict[str, str]:
        """The choices by name, without formulas, in the order of the fields."""
        return {name: str(value) for name, value in vars(self).items()}

    @property
    def formulas(self) -> dict[str, str]:
        """The text of each site's formula: {activation, update, reset}."""
        return {site: getattr(self, site).text for site in SITES}

    @property
    def cell(self) -> "Cell":
        """What its GRUs compute. Raises InputError for a formula that does not exist."""
        from activations.kernels.cell import Cell

        sites = (self.update.formula, self.reset.formula, self.activation.formula)
        return Cell(*sites, self.reset_order)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: `names`, and `formulas` below them."""
        return {**self.names, "formulas": self.formulas}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Variant":
        """The inverse of `as_dict`. Raises TypeError for an unknown key.

        Without formulas (older records had none) they are those that the names mean here.
        """
        given = dict(data)
        texts = given.pop("formulas", {})
        for site in SITES:
            if site in given:
                name = given[site]
                text = _typed(texts[site], str, f"formula of {site}") if texts else ""
                name = _typed(name, str, site)
                given[site] = Activation(name, text) if texts else _by_name(name)
        return cls(**given)


_Typed = TypeVar("_Typed")


def _typed(value: Any, kind: type[_Typed], what: str) -> _Typed:
    """A value of a record. Raises TypeError for one of another type."""
    if type(value) is not kind:
        raise TypeError(f"{what}: {kind.__name__} expected, not {type(value).__name__}")
    return value


def _by_name(name: str) -> Activation:
    try:
        return Activation.of(name)
    except InputError:
        return Activation(name, "")


@lru_cache(maxsize=1024)
def _hyperparameters(text: str) -> Hyperparameters:
    """Settings of JSON: thousands of members share them, and they are checked once."""
    return Hyperparameters.from_dict(json.loads(text))


@dataclass(frozen=True)
class Member:
    """One training run: variant × fold (by name) × seed × hyper-parameters."""

    variant: Variant
    fold: str
    seed: int
    hyper: Hyperparameters = field(default_factory=Hyperparameters)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: {variant: {…, formulas: {…}}, fold, seed, hyperparameters: {…}}."""
        return {
            "variant": self.variant.as_dict(),
            "fold": self.fold,
            "seed": self.seed,
            "hyperparameters": self.hyper.identity(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Member":
        """The inverse of `as_dict`; other keys of `data` are left alone. Raises TypeError, KeyError
        or ValueError for what is none.
        """
        return cls(
            variant=Variant.from_dict(data["variant"]),
            fold=_typed(data["fold"], str, "fold"),
            seed=_typed(data["seed"], int, "seed"),
            hyper=_hyperparameters(json.dumps(data["hyperparameters"])),
        )

    @property
    def stream(self) -> int:
        """The 63-bit key of this run's random numbers: fold and seed, not the variant (see the
        module's docstring).
        """
        return int(content_hash({"fold": self.fold, "seed": self.seed}, 16), 16) >> 1

    @property
    def stack_group(self) -> tuple[object, ...]:
        """Members with equal groups may train as one stack: same cell, same shapes, same number of
        steps.
        """
        v = self.variant
        return v.activation, v.update, v.reset, *self.shape_group

    @property
    def shape_group(self) -> tuple[object, ...]:
        """Members with equal groups may differ in their activations, and take as much memory and
        about as much time.
        """
        v, h = self.variant, self.hyper
        return (
            *(v.direction, v.reset_order),
            *(h.kind, h.layers, h.pooling, h.hidden_size, h.attention_size, h.dense_size),
            *(h.batch_size, h.steps, h.evaluate_every),
            *(h.norm_epsilon, h.recurrent_bias, h.context_mask, h.missing_context),
            *(h.truncate, h.last_batch, h.adam, h.select_with_dropout, h.init),
        )
