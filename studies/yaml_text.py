"""YAML as version 1.2 reads it, for studies: PyYAML speaks 1.1, whose numbers surprise.

- 1.1 takes 0300 for 192, 1:30 for 90, 010 for 8, `no` for false and a date for a date. 1.2 (its
  core schema, yaml.org/spec/1.2.2) has none of these: 0300 is 300, the others are text.
- YAML would keep the last of two equal keys; merge keys (`<<`) are the one way to say a field
  twice.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

_INTEGER = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
_CORE = (  # tag, pattern, first characters; the first that matches counts
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", _INTEGER, tuple("-+0123456789")),
    ("float", _FLOAT, tuple("-+.0123456789")),
    ("merge", r"<<", ("<",)),
)


MOST_CHARACTERS = 1_000_000
MOST_NODES = 50_000  # values, aliases counted as often as they are used
MOST_DIGITS = 40


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012


class _Dumper(yaml.SafeDumper):
    """Quotes what either version would read as something else than text."""


for _tag, _pattern, _first in _CORE:
    _compiled = re.compile(rf"^(?:{_pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _compiled, list(_first))
    if _tag == "float":  # 1e-4, which is text in 1.1
        _Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _compiled, list(_first))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(
                problem="a key is a list or a mapping", problem_mark=key_node.start_mark
            )
        key = (key_node.tag, key_node.value)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"'{key_node.value}' is given twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


def _integer(_loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text):,} digits, and at most {MOST_DIGITS} are read")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(_loader: _Loader, node: yaml.ScalarNode) -> float:
    text = node.value.lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def _nodes(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many values a document has where every alias is one more copy."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_NODES  # one that holds itself has no end
        parts = node.value if isinstance(node, yaml.SequenceNode) else sum(node.value, ())
        known[id(node)] = 1 + sum(_nodes(part, known) for part in parts)
    return known[id(node)]


def read(text: str) -> Any:
    """The value that a document holds. Raises yaml.YAMLError for what is no YAML."""
    try:
        if len(text) > MOST_CHARACTERS:
            raise yaml.MarkedYAMLError(
                problem=f"it has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read"
            )
        node = yaml.compose(text, Loader=_Loader)
        if _nodes(node, {}) > MOST_NODES:
            raise yaml.MarkedYAMLError(
                problem=f"with its aliases it has more than {MOST_NODES:,} values"
            )
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.MarkedYAMLError(problem="it is nested too deeply") from None
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:  # `!!int abc`
        raise yaml.MarkedYAMLError(problem=f"a value is not of its kind ({error})") from None


def read_value(text: str) -> Any:
    """The value of one field, typed as a word on the command line, where `#` begins no comment.

    What is no YAML is text: a formula need not be YAML.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return text if text.strip() else None
        if node.end_mark.index < len(text.rstrip()):
            return text
        return read(text)
    except (yaml.YAMLError, RecursionError):
        return text


def write(data: Any) -> str:
    """A document that both versions of YAML read as `data`."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(text)
