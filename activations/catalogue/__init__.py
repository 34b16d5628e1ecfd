"""The shipped activations: one TOML file for each family.

- A formula is data, and so are its source and its facts: a reviewer reads six lines, not a
  class.
- Reading seventy entries must not cost seventy derivations: text stays text until an activation is
  asked for.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from activations.formula.facts import Facts
from activations.formula.formula import Formula, Parameter
from activations.formula.parser import parse

FAMILIES = ("saturating", "rectified", "exponential", "gated", "periodic", "learnable")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One activation as its file has it; `formula()` makes it usable."""

    name: str
    aliases: tuple[str, ...]
    family: str
    text: str
    constraints: tuple[tuple[str, str], ...]
    source: str
    facts: Facts

    def formula(self) -> Formula:
        """The formula, parsed."""
        parsed = parse(self.text)
        constraints = dict(self.constraints)
        return Formula(
            name=self.name,
            expression=parsed.expression,
            parameters=tuple(
                Parameter(
                    name=p.name,
                    initial=p.initial,
                    scope=p.scope,
                    constraint=constraints.get(p.name, ""),
                )
                for p in parsed.parameters
            ),
            aliases=self.aliases,
            family=self.family,
            source=self.source,
            facts=self.facts,
        )


def read_catalogue() -> Iterator[Entry]:
    """Every shipped activation, family by family."""
    for family in FAMILIES:
        document = tomllib.loads(files(__package__).joinpath(f"{family}.toml").read_text("utf-8"))
        for item in document["activation"]:
            yield _entry(family, item)


def _entry(family: str, item: dict[str, Any]) -> Entry:
    low, high = item["range"]
    return Entry(
        name=item["name"],
        aliases=tuple(item.get("aliases", ())),
        family=family,
        text=item["formula"],
        constraints=tuple(item.get("constraints", {}).items()),
        source=item["source"],
        facts=Facts(
            range=(float(low), float(high)),
            monotone=item["monotone"],
            odd=item["odd"],
            zero_at_zero=item["zero_at_zero"],
            lipschitz=float(item["lipschitz"]),
            smoothness=float(item["smoothness"]),
        ),
    )
