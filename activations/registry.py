"""Finding an activation by any of its names.

- People come with a name from another library, a torch callable, or a formula of their own; all
  three end in one Formula.
- A wrong name must never end in another activation running: no match is an error with the nearest
  names, and functions that are not elementwise are refused with the reason.
- Names are compared without case, `-`, `_` and spaces, so LeakyReLU, leaky-relu and leaky_relu are
  one.
"""

import difflib
import re
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points

from activations.catalogue import Entry, read_catalogue
from activations.catalogue.refused import REFUSED
from activations.errors import InputError
from activations.formula.formula import Formula
from activations.formula.parser import looks_like_a_formula, parse

ENTRY_POINTS = "gateswap.activations"

_registered: dict[str, Formula] = {}


def names() -> list[str]:
    """The names of all activations: the shipped ones family by family, then those of third
    parties.
    """
    return [*_catalogue(), *_plugins(), *_registered]


def get(spec: object) -> Formula:
    """The formula that `spec` means.

    spec: a name or alias in any spelling (LeakyReLU, leaky-relu), a Formula, a torch function or
    module (torch.tanh, nn.ELU(alpha=0.5); a module's settings are kept), a torch.nn class, or a
    formula's text (`x*sigmoid(x)`).
    Raises InputError, with the nearest names, where it means none.
    """
    if isinstance(spec, Formula):
        return spec
    if isinstance(spec, str):
        return _from_text(spec)
    from activations.from_torch import name_or_text

    return _from_text(name_or_text(spec))


def is_shipped(name: str) -> bool:
    """Whether the name or alias is one of the activations that come with Gateswap."""
    return _key(name) in _index()


@cache
def recall(name: str, text: str) -> Formula:
    """The formula that was written down as name and text, whether or not the name means it here.

    Where it does, this is the registry's own, with its source and what else is known of it.
    Raises InputError for a text that is no formula.
    """
    found = _find(name)
    if found is not None and found.text == text:
        return found
    return replace(parse(text), name=name)


def register(formula: Formula | str, *, name: str = "", aliases: tuple[str, ...] = ()) -> Formula:
    """Add an activation for this process and return it.

    formula: a Formula, or a text as `parse` reads it, for which `name` is needed.
    Raises InputError if the name or an alias is taken by a different formula, or is no name.
    """
    if isinstance(formula, str):
        formula = parse(formula)
    formula = replace(
        formula,
        name=name or formula.name,
        aliases=aliases or formula.aliases,
        family=formula.family or "registered",
    )
    for each in (formula.name, *formula.aliases):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", each):
            raise InputError(
                f"'{each[:60]}' cannot be an activation's name; use letters, digits and _"
            )
        taken = _find(each)
        if taken is not None and taken != formula:
            raise InputError(
                f"the activation name '{each}' is taken by {taken.text}; choose another"
            )
    _registered[formula.name] = formula
    return formula


def _from_text(spec: str) -> Formula:
    if found := _find(spec):
        return found
    if reason := REFUSED.get(_key(spec)):
        raise InputError(f"'{spec.strip()}' is not an elementwise activation: {reason}")
    if looks_like_a_formula(spec):
        return parse(spec)
    shown = spec.strip()[:60]
    known = {_key(each): each for each in _all_names()}
    close = difflib.get_close_matches(_key(spec), known, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(repr(known[each]) for each in close)}?" if close else ""
    raise InputError(f"no activation {shown!a}.{hint} All {len(names())}: gateswap activations")


def _find(name: str) -> Formula | None:
    key = _key(name)
    for formula in (*_registered.values(), *_plugins().values()):
        if key in map(_key, (formula.name, *formula.aliases)):
            return formula
    found = _index().get(key)
    return _formula(found) if found else None


def _key(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _all_names() -> list[str]:
    shipped = [each for entry in _catalogue().values() for each in (entry.name, *entry.aliases)]
    added = [*_plugins().values(), *_registered.values()]
    return shipped + [each for formula in added for each in (formula.name, *formula.aliases)]


@cache
def _catalogue() -> dict[str, Entry]:
    return {entry.name: entry for entry in read_catalogue()}


@cache
def _index() -> dict[str, str]:
    return {
        _key(each): entry.name
        for entry in _catalogue().values()
        for each in (entry.name, *entry.aliases)
    }


@cache
def _formula(name: str) -> Formula:
    return _catalogue()[name].formula()


@cache
def _plugins() -> dict[str, Formula]:
    """Activations of installed packages: entry points of the group `gateswap.activations`.

    Each names a Formula, or a formula's text.
    """
    found: dict[str, Formula] = {}
    for point in entry_points(group=ENTRY_POINTS):
        value = point.load()
        if isinstance(value, str):
            value = parse(value)
        if not isinstance(value, Formula):
            raise InputError(
                f"entry point {point.name} = {point.value} of {ENTRY_POINTS} "
                "is no Formula and no formula text; "
                "correct or uninstall that package"
            )
        if _key(point.name) in _index():
            raise InputError(
                f"entry point {point.name} = {point.value} takes a shipped activation's name; "
                "rename it"
            )
        found[point.name] = replace(value, name=point.name, family=value.family or "registered")
    return found
