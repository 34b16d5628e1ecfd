"""Reading a specification: one YAML file and `key=value` overrides, with messages for people.

- A study runs for hours, so a typo in it must be found in the first second and named with its file,
  its field and the remedy: pydantic's errors are rewritten here, the first in full.
- YAML is read as version 1.2 (studies.yaml_text): no number or key may change a study silently.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from activations.errors import InputError
from activations.formula.parser import parse
from studies import yaml_text
from studies.fields import hint
from studies.search import SearchSpec
from studies.seeds import SEEDS_FORMS, SeedRule
from studies.spec import TUNABLE, StudySpec, VariantSpec
from studies.workspace import Workspace

SUFFIXES = (".yaml", ".yml")


def shipped() -> dict[str, str]:
    """The studies that come with gateswap: the YAML text by name."""
    files = (item for item in resources.files("studies").iterdir() if item.name.endswith(".yaml"))
    texts = {item.name.removesuffix(".yaml"): item.read_text(encoding="utf-8") for item in files}
    return dict(sorted(texts.items()))


def load(study: str, overrides: Sequence[str] = (), *, workspace: Workspace) -> StudySpec:
    """Read and check a study.

    study: a YAML file's path, a shipped study's name, or the name of one that was run in the
    workspace. overrides: `key=value` with dotted keys, values as YAML writes them.
    Raises InputError that names the file or the override, the field and the remedy.
    """
    where, text = _find(study, workspace)
    data = _parse(where, text)
    data.setdefault("name", Path(study).stem)
    sources = {}
    for override in overrides:
        key, value = _split(override)
        _put(data, key, value, override)
        sources[key] = override
    try:
        return StudySpec.model_validate(data, context={"formulas": _formulas(data)})
    except ValidationError as error:
        raise InputError(_explain(error, where, sources)) from None


def _formulas(data: Mapping[str, Any]) -> dict[str, str]:
    """The study's own formulas, as far as they can be read; StudySpec complains of others."""
    given = data.get("formulas")
    found = {}
    for name, text in given.items() if isinstance(given, dict) else ():
        with contextlib.suppress(InputError):
            found[name] = parse(str(text)).text
    return found


def _find(study: str, workspace: Workspace) -> tuple[str, str]:
    """Where a study was found and its text."""
    path = Path(study)
    ours = shipped()
    if study.endswith(SUFFIXES) or _is_file(path):
        try:
            return study, _text(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            raise InputError(
                f"the study file {study} cannot be read: {reason.lower()}. "
                f"STUDY is a YAML file or one of: {', '.join(ours)}"
            ) from error
    if study in ours:
        return f"studies/{study}.yaml", ours[study]
    earlier = workspace.study_names()
    if study in earlier:
        path = workspace.study(study).spec
        try:
            return str(path), _text(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read ({getattr(error, 'strerror', None) or 'no UTF-8 text'}); "
                "run the study's own file again, which writes it anew"
            ) from None
    known = sorted({*ours, *earlier})
    raise InputError(
        f"no study '{study}'.{hint(study, known)} Known: {', '.join(known)}; "
        "or give the path of a YAML file"
    )


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have, or that is closed, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _text(path: Path) -> str:
    """The text of a file, as far as a study may be long. Raises OSError, ValueError."""
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no file")
    with path.open(encoding="utf-8") as file:
        return file.read(yaml_text.MOST_CHARACTERS + 1)


def _parse(where: str, text: str) -> dict[str, Any]:
    try:
        data = yaml_text.read(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"{where}{line} is not valid YAML: {problem}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise InputError(
            f"{where} is not a study: it must consist of fields such as "
            f"{', '.join(list(StudySpec.model_fields)[:4])}; see docs/studies.md"
        )
    return data


def _split(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
        raise InputError(
            f"'{override}' is not an override; write key=value, for example training.steps=300"
        )
    return key, yaml_text.read_value(text)


def _put(data: dict[str, Any], key: str, value: object, override: str) -> None:
    parts = key.split(".")
    if parts[0] in ("search", "across") and len(parts) > 2:  # its keys are dotted themselves
        parts[1:3] = [".".join(parts[1:3])]
    *parents, last = parts
    here = data
    for parent in parents:
        here = here.setdefault(parent, {})
        if not isinstance(here, dict):
            raise InputError(f"{override}: {parent} has no fields below it; see docs/studies.md")
    here[last] = value


def _explain(error: ValidationError, where: str, sources: Mapping[str, str]) -> str:
    """One line for the first fault, with the number of further ones."""
    fault, *others = error.errors()
    location = [part for part in fault["loc"] if part not in SEEDS_FORMS]
    dotted = ".".join(map(str, location))
    if fault["type"] == "extra_forbidden":
        fields = _fields(location[:-1])
        leaf = str(location[-1])
        elsewhere = [name for name in TUNABLE if name.endswith(f".{leaf}")]
        near = f" Did you mean '{elsewhere[0]}'?" if elsewhere else hint(leaf, fields)
        message = f"{dotted}: no such field.{near} Fields: {', '.join(fields)}"
    elif fault["type"] == "missing":
        message = f"{dotted} is needed; see docs/studies.md for its values"
    elif fault["type"] == "value_error":
        message = str(fault["ctx"]["error"])
        if not message.startswith(dotted):  # those that concern several fields name them
            message = f"{dotted}: {message}"
    elif fault["type"] == "string_pattern_mismatch":
        message = f"{dotted}: {fault['input']!r} cannot name a folder; use letters, digits, - _ ."
    else:
        text = str(fault["msg"]).removeprefix("Input ")
        message = f"{dotted}: {text[0].lower()}{text[1:]}, not {fault['input']!r}"
    at = re.split(r"[: ]", message, maxsplit=1)[0]
    for key, override in sources.items():
        if f"{at}.".startswith(f"{key}.") or f"{key}.".startswith(f"{at}."):
            where = f"override {override}"
    return f"{where}: {message}" + (f" (and {len(others)} more)" if others else "")


def _fields(location: Sequence[int | str]) -> list[str]:
    """The fields of the section at a place in the specification."""
    model: Any = StudySpec
    for part in location:
        if isinstance(part, int):
            model = VariantSpec  # `variants.also` is the only list of sections
        elif model is StudySpec and part == "search":
            return list(SearchSpec.model_fields)
        elif model is StudySpec and part == "seeds":
            return list(SeedRule.model_fields)
        else:
            annotation = model.model_fields[part].annotation
            model = annotation if isinstance(annotation, type) else model
    return list(model.model_fields)
