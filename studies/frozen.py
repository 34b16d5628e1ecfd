"""The frozen plan: what a study set out to find, fixed before its first member trains.

- A verdict is worth what was said beforehand: which comparisons, which baseline, which margin, how
  many looks. It is written once, with a hash, and never rewritten.
- What changes later is added beside it with the number of results there were, for the page to say.
- Every report of a complete plan is a look, and is recorded: growing a study that was looked at
  spends error.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from activations.files import write_atomically
from bench.content_hash import content_hash
from studies.result_files import ResultFolder, read_record
from studies.spec import StudySpec
from studies.workspace import StudyFolder

GROWS = ("seeds",)  # what may differ from the frozen plan: looks at a grown study spend error
REMEDY = "restore it from a backup: without it nobody can tell what was planned"


@dataclass(frozen=True)
class FrozenPlan:
    """frozen.json: `content` as planned, its hash, when, and how many results there were already.

    changes: every other content that a run met since, in the same form. What was changed before
    there was any result is the plan.
    """

    content: Mapping[str, Any]
    digest: str
    when: str
    results: int
    changes: tuple[Mapping[str, Any], ...] = ()

    def departures(self, spec: StudySpec) -> tuple[str, ...]:
        """Half sentences on where a specification is not what was frozen; none: it is the plan."""
        return _differences(self.planned, plan_content(spec), besides=GROWS)

    @property
    def latest(self) -> Mapping[str, Any]:
        """The content that was met last."""
        latest: Mapping[str, Any] = self.changes[-1]["content"] if self.changes else self.content
        return latest

    @property
    def planned(self) -> Mapping[str, Any]:
        """The content that counts: the last one that was written before any result."""
        early = [change["content"] for change in self.changes if not change["results"]]
        return early[-1] if early else self.content


@dataclass(frozen=True)
class Look:
    """One report of a complete plan: when, at how many members and seeds, and which (a hash)."""

    when: str
    members: int
    seeds: int
    digest: str


def plan_content(spec: StudySpec) -> dict[str, Any]:
    """What a frozen plan fixes, as plain data."""
    data = spec.model_dump(mode="json")
    return {
        "baseline": data["baseline"],
        "variants": [variant.label for variant in spec.variants.variants()],
        "seeds": data["seeds"] if spec.seed_rule else len(spec.first_seeds),
        "protocol": data["protocol"],
        "model": data["model"],
        "training": data["training"],
        "settings": data["settings"],
        "across": data["across"],
        **{f"analysis.{name}": value for name, value in data["analysis"].items()},
    }


def plan_hash(content: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a plan's content."""
    return content_hash(content, 16)


def freeze(spec: StudySpec, folder: StudyFolder) -> FrozenPlan:
    """Write the plan before the first member trains; a plan that is there stays, changes are added.

    Raises InputError for a file that cannot be read.
    """
    content = plan_content(spec)
    digest = plan_hash(content)
    results = len(ResultFolder(folder.results).hashes())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    frozen = read_frozen(folder)
    if frozen is None:
        frozen = FrozenPlan(content, digest, now, results)
    elif not _differences(frozen.latest, content):
        return frozen
    else:
        change = {"content": content, "digest": digest, "when": now, "results": results}
        frozen = replace(frozen, changes=(*frozen.changes, change))
    text = json.dumps(vars(frozen), ensure_ascii=False, indent=1)
    write_atomically(folder.frozen, text)
    return frozen


def read_frozen(folder: StudyFolder) -> FrozenPlan | None:
    """The frozen plan of a study, None where it was run before plans were frozen."""
    return read_record(folder.frozen, _frozen, REMEDY)


def read_looks(folder: StudyFolder) -> tuple[Look, ...]:
    """The looks at complete plans so far, oldest first."""
    return read_record(folder.looks, _looks, REMEDY) or ()


def record_look(folder: StudyFolder, members: list[str], seeds: int) -> None:
    """Record that the verdicts of these members (hashes) were read; once for the same ones."""
    digest = plan_hash({"members": sorted(members)})
    looks = read_looks(folder)
    if any(look.digest == digest for look in looks):
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    looks = (*looks, Look(now, len(members), seeds, digest))
    write_atomically(folder.looks, json.dumps([vars(look) for look in looks], indent=1))


def _looks(data: Any) -> tuple[Look, ...]:
    return tuple(Look(**entry) for entry in data)


def _frozen(data: Any) -> FrozenPlan:
    plan = FrozenPlan(**{**data, "changes": tuple(data["changes"])})
    for change in ({"content": plan.content, "results": plan.results}, *plan.changes):
        if not isinstance(change["content"], dict) or not isinstance(change["results"], int):
            raise TypeError("its content is none")
    return plan


def _differences(
    planned: Mapping[str, Any], now: Mapping[str, Any], *, besides: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Half sentences, one for each field that differs.

    A field that the plan does not have was added by a later version, whose default keeps what
    there was.
    """
    before, after = _flat(planned), _flat(now)
    return tuple(
        f"{name} was planned as {_said(value)} and is {_said(after.get(name))}"
        for name, value in before.items()
        if name not in besides and after.get(name) != value
    )


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; merges and lists stay values."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) and not prefix:
            found |= _flat(value, f"{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _said(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
