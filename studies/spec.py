"""A study's specification: everything that determines it, checked before anything runs.

- What is written is what runs: no field is ignored, and what is left out takes IAAN's published
  value from bench.data.members, the only place that states it.
- Activations are stored by the registry's name or canonical formula text, so that `swish`, `SiLU`
  and `silu` are one variant.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Strict,
    field_validator,
    model_serializer,
    model_validator,
)

from activations import registry
from bench.corpora.audformat_database import Selection
from bench.corpora.layouts import Layout
from bench.corpora.reading import AUDFORMAT, FILES
from bench.data.members import (
    Activation,
    Adam,
    Direction,
    Hyperparameters,
    Init,
    LastBatch,
    MissingContext,
    Pooling,
    ResetOrder,
    Truncate,
    Variant,
)
from bench.data.protocol import Protocol
from bench.features.extractors import FeatureKind
from bench.features.settings import Extractor, FeatureSettings, Frames, Normalise, PoolTail
from bench.network import kinds
from bench.training.saved_network import Keep
from studies import yaml_text
from studies.fields import (
    Compared,
    Distinct,
    Float,
    Int,
    Section,
    Several,
    absolute,
    as_protocol,
    corpus_format,
    file_pattern,
    hint,
    own_formula,
)
from studies.search import (
    Scalar,
    SearchSpec,
    SettingsRule,
    TuningSpec,
    check_across,
    check_fresh,
    check_search,
)
from studies.seeds import Metric, SeedRule, Seeds

PUBLISHED = Hyperparameters()
TANH, SIGMOID = Activation.of("tanh"), Activation.of("sigmoid")
FEATURES = FeatureSettings()


class AudformatSpec(Section):
    """What is taken of an audformat database; see bench.corpora.audformat_database.Selection."""

    database: str | None = None
    version: str | None = None
    table: Annotated[tuple[str, ...], Several] = ()
    label: str | None = None
    speaker: str | None = None
    session: str | None = None


_ALWAYS_WRITTEN = ("format", "path", "seed", "dialogues_per_session")


class CorpusSpec(Section):
    """Which speech. format `demo`: spoken by gateswap into the workspace when first needed.

    path: the corpus's folder, for the other formats. pattern: how its files are named, for the
    format `files`; see bench/corpora/layouts.toml. audformat: what is taken of an audformat
    database. allow_problems: train on a corpus that is not
    what it is said to be. seed, dialogues_per_session: the demo's.
    """

    format: Annotated[str, AfterValidator(corpus_format)]
    path: Annotated[str, AfterValidator(absolute)] | None = None
    pattern: Annotated[dict[str, Any], AfterValidator(file_pattern)] | None = None
    audformat: AudformatSpec | None = None
    allow_problems: Annotated[bool, Strict()] = False
    seed: Annotated[Int, Field(ge=0)] | None = None
    dialogues_per_session: Annotated[Int, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _belong_to_the_format(self) -> Self:
        others = ["path"] if self.format == "demo" else ["seed", "dialogues_per_session"]
        others += ["pattern"] if self.format != FILES else []
        others += ["audformat"] if self.format != AUDFORMAT else []
        for name in others:
            if getattr(self, name) is not None:
                raise ValueError(f"corpus.{name} has no meaning with corpus.format: {self.format}")
        if self.format == FILES and self.pattern is None:
            raise ValueError("corpus.pattern is needed with corpus.format: files; docs/corpora.md")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Written out, a field that other formats have is no field of this one."""
        data: dict[str, Any] = dump(self)
        return {k: v for k, v in data.items() if k in _ALWAYS_WRITTEN or v not in (None, False)}

    def selection(self) -> Selection:
        """What is taken of an audformat database."""
        return Selection(**(self.audformat.model_dump() if self.audformat else {}))

    def layout(self) -> Layout | None:
        """The pattern of the format `files`."""
        return None if self.pattern is None else Layout.from_dict(self.pattern)


class FeaturesSpec(Section):
    """Which features, and how frames are normalised and pooled; see bench.features.settings."""

    kind: FeatureKind = FEATURES.kind
    extractor: Extractor = FEATURES.extractor
    path: Annotated[str, AfterValidator(absolute)] | None = None
    frames: Frames = FEATURES.frames
    normalise: Normalise = FEATURES.normalise
    cap: Int = FEATURES.cap
    pool: Int = FEATURES.pool
    pool_tail: PoolTail = FEATURES.pool_tail

    def settings(self) -> FeatureSettings:
        """The settings as the feature store knows them. Raises ValueError for impossible ones."""
        return FeatureSettings(**self.model_dump())

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.settings()
        return self


class ModelSpec(Section):
    """Which network, and its sizes; see bench.data.members.Hyperparameters."""

    kind: str = PUBLISHED.kind
    hidden_size: Int = PUBLISHED.hidden_size
    layers: Int = PUBLISHED.layers
    pooling: Pooling = PUBLISHED.pooling
    attention_size: Int = PUBLISHED.attention_size
    dense_size: Int = PUBLISHED.dense_size
    dropout: Float = PUBLISHED.dropout
    norm_epsilon: Float = PUBLISHED.norm_epsilon
    recurrent_bias: Annotated[bool, Strict()] = PUBLISHED.recurrent_bias
    context_mask: Annotated[bool, Strict()] = PUBLISHED.context_mask
    missing_context: MissingContext = PUBLISHED.missing_context
    init: Init = PUBLISHED.init


class TrainingSpec(Section):
    """How the network is trained; see bench.data.members.Hyperparameters."""

    steps: Int = PUBLISHED.steps
    batch_size: Int = PUBLISHED.batch_size
    learning_rate: Float = PUBLISHED.learning_rate
    l2: Float = PUBLISHED.l2
    clip_norm: Float | None = PUBLISHED.clip_norm
    label_smoothing: Float = PUBLISHED.label_smoothing
    evaluate_every: Int = PUBLISHED.evaluate_every
    truncate: Truncate = PUBLISHED.truncate
    last_batch: LastBatch = PUBLISHED.last_batch
    adam: Adam = PUBLISHED.adam
    select_with_dropout: Annotated[bool, Strict()] = PUBLISHED.select_with_dropout
    train_fraction: Float = PUBLISHED.train_fraction


class VariantSpec(Section):
    """One variant, spelled out."""

    activation: Compared = TANH
    update: Compared = SIGMOID
    reset: Compared = SIGMOID
    direction: Direction = "gru"
    reset_order: ResetOrder = "after"

    def variant(self) -> Variant:
        """The variant as the bench knows it."""
        return Variant(self.activation, self.update, self.reset, self.direction, self.reset_order)


class VariantsSpec(Section):
    """What is compared: every combination of the lists, then the variants listed under `also`."""

    activation: Annotated[tuple[Compared, ...], Several, Distinct] = (TANH,)
    update: Annotated[tuple[Compared, ...], Several, Distinct] = (SIGMOID,)
    reset: Annotated[tuple[Compared, ...], Several, Distinct] = (SIGMOID,)
    direction: Annotated[tuple[Direction, ...], Several, Distinct] = ("gru",)
    reset_order: Annotated[tuple[ResetOrder, ...], Several, Distinct] = ("after",)
    also: tuple[VariantSpec, ...] = ()

    def variants(self) -> tuple[Variant, ...]:
        """All variants, each once, direction by direction in the order of the lists."""
        grid = (
            Variant(activation, update, reset, direction, reset_order)
            for direction, reset_order, update, reset, activation in itertools.product(
                self.direction, self.reset_order, self.update, self.reset, self.activation
            )
        )
        return tuple(dict.fromkeys([*grid, *(entry.variant() for entry in self.also)]))


class StackSpec(Section):
    """How many members train together at most, and how often it is kept where they are: it changes
    memory and speed, never a result. checkpoint_minutes: 0 for never.
    """

    max_members: Annotated[int, Strict(), Field(ge=1)] = 25
    checkpoint_minutes: Annotated[Float, Field(ge=0, le=1e6)] = 10.0


class AnalysisSpec(Section):
    """What the study is to find, fixed before it runs; see studies.frozen.

    primary: labels of the variants that are compared first ("arelu · gru"), a family of their own;
    none: all are one family. metric: what verdicts are about. margin: points within which two are
    practically equal. level: of false findings in a family. looks: the numbers of seeds at which
    verdicts may be read, the last one the most there will be; none: one look, when the plan is
    complete.
    """

    primary: Annotated[tuple[str, ...], Several] = ()
    metric: Metric = "uar"
    margin: Annotated[Float, Field(gt=0)] = 1.0
    level: Annotated[Float, Field(gt=0, lt=0.5)] = 0.05
    looks: tuple[Annotated[Int, Field(ge=1)], ...] = ()

    @model_validator(mode="after")
    def _looks_rise(self) -> Self:
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError("looks must be rising numbers of seeds")
        return self


class StudySpec(Section):
    """Everything that determines a study.

    seeds: which, or the rule by which they are added.

    formulas: activations of the study's own, text by name; also what was registered where it was
    first read, so that it can be read where nobody registered it. across: values of settings, by
    dotted field, that every variant is run with, in all combinations. settings: whether every
    member has those of `model` and `training`, or those that tuning chose for its variant and fold.
    keep: which weights of each member are kept: "best" on dev (the last ones where there is no dev
    set), "last" or "none". It changes no result.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    description: str = ""
    corpus: CorpusSpec
    features: FeaturesSpec = FeaturesSpec()
    protocol: Annotated[
        Protocol, BeforeValidator(as_protocol), PlainSerializer(lambda p: p.as_dict())
    ] = Protocol()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    formulas: dict[str, str] = Field(default_factory=dict)
    variants: VariantsSpec = VariantsSpec()
    seeds: Seeds = (0,)
    baseline: Compared = TANH
    analysis: AnalysisSpec = AnalysisSpec()
    across: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    settings: SettingsRule = "given"
    search: dict[str, SearchSpec] = Field(default_factory=dict)
    tuning: TuningSpec = TuningSpec()
    stack: StackSpec = StackSpec()
    keep: Keep = "best"

    @field_validator("formulas")
    @classmethod
    def _canonical(cls, formulas: dict[str, str]) -> dict[str, str]:
        return {name: own_formula(name, text) for name, text in formulas.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            kinds.check(self.hyperparameters())
        except ValueError as error:  # its first word is the field
            field = str(error).split()[0]
            section = "model" if field in ModelSpec.model_fields else "training"
            raise ValueError(f"{section}.{error}") from None
        variants = self.variants.variants()
        _check_formulas(variants)
        for direction in dict.fromkeys(variant.direction for variant in variants):
            there = [v.activation for v in variants if v.direction == direction]
            if self.baseline not in there:
                raise ValueError(
                    f"baseline {self.baseline} is not among the activations compared in a "
                    f"{direction} ({', '.join(sorted({str(each) for each in there}))}); add it to "
                    "variants.activation or name one of them"
                )
        labels = [v.label for v in variants if v.activation != self.baseline]
        for label in self.analysis.primary:
            if label not in labels:
                raise ValueError(
                    f"analysis.primary: {label!r} is no variant that is compared with the "
                    f"baseline.{hint(label, labels)} Variants: {', '.join(labels)}"
                )
        if self.seed_rule:
            self.seed_rule.refuse(self.analysis.looks, len(variants))
        check_across(self.across, TUNABLE, self._checked, tuned=self.settings == "tuned")
        check_search(self.search, self.tuning, TUNABLE, self._checked)
        if self.settings == "tuned":
            rule = self.seed_rule
            check_fresh(self.search, self.tuning, range(rule.most) if rule else self.first_seeds)
        return self

    @property
    def seed_rule(self) -> SeedRule | None:
        """The rule by which seeds are added, None where they are given."""
        return self.seeds if isinstance(self.seeds, SeedRule) else None

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds there are in any case: all, or those that a rule begins with."""
        return tuple(range(self.seeds.start)) if isinstance(self.seeds, SeedRule) else self.seeds

    def hyperparameters(self) -> Hyperparameters:
        """The members' settings. Raises ValueError naming a value out of its range."""
        return Hyperparameters(**self.model.model_dump(), **self.training.model_dump())

    def all_settings(self) -> tuple[Hyperparameters, ...]:
        """The settings that every variant is run with: one, or all combinations of `across`."""
        cells = itertools.product(*self.across.values())
        return tuple(
            self.with_settings(dict(zip(self.across, cell, strict=True))) for cell in cells
        )

    def with_settings(self, settings: Mapping[str, Any]) -> Hyperparameters:
        """The members' settings with some replaced, by the dotted keys that `search` uses."""
        changed = {key.partition(".")[2]: value for key, value in settings.items()}
        return Hyperparameters(**(self.hyperparameters().as_dict() | changed))

    def _checked(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError where members cannot have these settings, by dotted key."""
        for key, value in settings.items():
            section, _, name = key.partition(".")
            SECTIONS[section].model_validate({name: value})
        kinds.check(self.with_settings(settings))

    def as_yaml(self) -> str:
        """The whole specification, defaults written out; reading it gives this one again."""
        data = self.model_dump(mode="json")
        used = {a for v in self.variants.variants() for a in (v.activation, v.update, v.reset)}
        own = {a.name: a.text for a in used if a.name != a.text and not registry.is_shipped(a.name)}
        data["formulas"] = dict(sorted((self.formulas | own).items()))
        if not data["formulas"]:
            del data["formulas"]
        return yaml_text.write(data)


def _check_formulas(variants: Sequence[Variant]) -> None:
    """Raise ValueError where two variants are one formula under two names: the same runs."""
    seen: dict[tuple[str, ...], Variant] = {}
    for variant in variants:
        key = (*variant.formulas.values(), variant.direction, variant.reset_order)
        first = seen.setdefault(key, variant)
        if first != variant:
            raise ValueError(
                f"variants: {first.label} and {variant.label} are the same formulas under two "
                "names, and would be the same runs; leave one of them out"
            )


SECTIONS: dict[str, type[Section]] = {"model": ModelSpec, "training": TrainingSpec}
TUNABLE = tuple(
    [f"model.{name}" for name in ModelSpec.model_fields if name != "kind"]
    + [f"training.{name}" for name in TrainingSpec.model_fields]
)
