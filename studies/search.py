"""What a specification says of tuning: where to look, how, with which seeds and how often.

- Every variant gets the same number of settings on every fold, and none is pruned: otherwise
  budgets are compared and not activations.
- Seeds that were searched with are lucky for what was chosen, so a study that runs tuned settings
  must have others.
"""

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, ValidationError, model_validator

from studies.fields import Distinct, Float, Int, Section, hint

Scalar = bool | int | float | str | None
Sampler = Literal["tpe", "grid"]
SettingsRule = Literal["given", "tuned"]
MOST_CELLS = 10_000  # combinations of choices, of a grid or crossed
MOST_TRIALS = 10_000  # of each variant on each fold, or at once
MOST_CHECKED = 4096  # combinations of a search that are tried out before training
SEARCH_SEED = 1000  # of the default search: far from the seeds 0, 1, … of studies


class SearchSpec(Section):
    """Where `gateswap tune` looks for one field: from low to high, or among choices."""

    low: Float | None = None
    high: Float | None = None
    log: bool = False
    choices: Annotated[tuple[Scalar, ...], Distinct] | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_means_choices(cls, value: object) -> object:
        return {"choices": value} if isinstance(value, list | tuple) else value

    @property
    def range(self) -> tuple[float, float]:
        """The bounds (low, high). Raises ValueError for choices, which have none."""
        if self.low is None or self.high is None:
            raise ValueError("choices have no range")
        return self.low, self.high

    @property
    def outermost(self) -> tuple[Any, ...]:
        """The choices, or low and high, as whole numbers where they are: others lie between."""
        if self.choices is not None:
            return self.choices
        return tuple(int(bound) if bound.is_integer() else bound for bound in self.range)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None:
                raise ValueError("takes a list of choices, or low and high, not both")
        elif self.low is None or self.high is None or self.low >= self.high:
            raise ValueError("needs low and high with low < high, or a list of choices")
        elif self.log and self.low <= 0:
            raise ValueError("log needs a low above 0")
        return self


class TuningSpec(Section):
    """How `gateswap tune` searches.

    sampler: "tpe" (Optuna's, from what was found on the same fold), or "grid": each combination of
    the choices. trials: settings tried of each variant on each fold; a grid has its own number.
    batch: how many are proposed at once, to train as one stack; each knows the others by Optuna's
    constant liar. seeds: what every setting is trained with in the search.
    """

    sampler: Sampler = "tpe"
    trials: Annotated[int, Strict(), Field(ge=1, le=MOST_TRIALS)] = 10
    batch: Annotated[int, Strict(), Field(ge=1, le=MOST_TRIALS)] = 5
    seeds: Annotated[tuple[Annotated[Int, Field(ge=0)], ...], Distinct] = (SEARCH_SEED,)


def grid_cells(search: Mapping[str, SearchSpec]) -> list[dict[str, Any]]:
    """Every combination of the choices, by dotted key; the last field varies fastest.

    Raises ValueError naming a field that has a range, and for more than 10,000 of them.
    """
    for key, entry in search.items():
        if entry.choices is None:
            raise ValueError(
                f"search.{key}: a grid needs a list of choices, not low and high "
                "(tuning.sampler: tpe takes both)"
            )
    return _cells("search", {key: entry.choices or () for key, entry in search.items()})


def _cells(section: str, choices: Mapping[str, Collection[Any]]) -> list[dict[str, Any]]:
    """Every combination, the last varying fastest; ValueError where they are too many."""
    if (number := math.prod(map(len, choices.values()))) > MOST_CELLS:
        raise ValueError(
            f"{section}: {number:,} combinations, and at most {MOST_CELLS:,} are taken; give "
            "fewer fields or values"
        )
    return [dict(zip(choices, cell, strict=True)) for cell in itertools.product(*choices.values())]


def check_search(
    search: Mapping[str, SearchSpec],
    tuning: TuningSpec,
    fields: Collection[str],
    check: Callable[[Mapping[str, Any]], None],
) -> None:
    """Raise ValueError where a search names no field, or would try what a member cannot have.

    fields: those there are, by dotted key. check: raises ValueError for settings by dotted key.
    Of a range the bounds are tried, and all combinations where there are not too many.
    """
    for key, entry in search.items():
        if key not in fields:
            raise ValueError(
                f"search.{key}: no such field to search.{hint(key, list(fields))} "
                f"Fields: {', '.join(fields)}"
            )
        for value in entry.outermost:
            _try(key, {key: value}, check)
    if search and tuning.sampler == "grid":
        grid_cells(search)
    if math.prod(len(entry.outermost) for entry in search.values()) <= MOST_CHECKED:
        for cell in itertools.product(*(entry.outermost for entry in search.values())):
            _try(next(iter(search), ""), dict(zip(search, cell, strict=True)), check)


def _try(
    key: str,
    settings: Mapping[str, Any],
    check: Callable[[Mapping[str, Any]], None],
    *,
    section: str = "search",
) -> None:
    said = ", ".join(f"{name} {value!r}" for name, value in settings.items())
    said = said.removeprefix(f"{key} ") if len(settings) == 1 else said
    try:
        check(settings)
    except ValidationError as error:
        fault = error.errors()[0]
        reason = str(fault["msg"]).removeprefix("Input ").removeprefix("Value error, ")
        raise ValueError(f"{section}.{key}: {said}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{section}.{key}: {said}: {error}") from None


def check_across(
    across: Mapping[str, tuple[Scalar, ...]],
    fields: Collection[str],
    check: Callable[[Mapping[str, Any]], None],
    *,
    tuned: bool,
) -> None:
    """Raise ValueError where a crossed setting is no field, or a member cannot have its values."""
    if across and tuned:
        raise ValueError("across: settings are either crossed or tuned; leave one of them out")
    for key, values in across.items():
        if key not in fields:
            raise ValueError(f"across.{key}: no such field.{hint(key, list(fields))}")
        if not values or len(set(values)) < len(values):
            raise ValueError(f"across.{key}: needs a list of different values")
        for value in values:
            _try(key, {key: value}, check, section="across")
    for cell in _cells("across", across):
        _try(next(iter(across), ""), cell, check, section="across")


def check_fresh(
    search: Mapping[str, SearchSpec], tuning: TuningSpec, seeds: Collection[int]
) -> None:
    """Raise ValueError where tuned settings have no search, or would run on its seeds."""
    if not search:
        raise ValueError("settings: tuned needs to know what is searched; add search: {…}")
    if both := sorted(set(seeds) & set(tuning.seeds)):
        raise ValueError(
            f"seeds: {', '.join(map(str, both))} {'is' if len(both) == 1 else 'are'} searched "
            "with (tuning.seeds), and what was chosen by them would be judged by their luck; give "
            "the study other seeds"
        )
