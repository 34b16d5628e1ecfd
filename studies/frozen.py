"""The frozen plan: what a study set out to find, fixed before its first member trains.

- A verdict is worth what was said beforehand: which comparisons, which baseline, which margin, how
  many looks. It is written once, with a hash, and never rewritten.
- What changes later is added beside it with the number of results there were, for the page to say.
- Every report is a look, and is recorded: growing, cutting or exchanging the seeds of a study that
  was looked at spends error.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from activations.files import write_atomically
from bench.content_hash import content_hash
from studies.result_files import ResultFolder, read_record
from studies.spec import StudySpec
from studies.workspace import StudyFolder

# what may grow beyond the frozen plan: looks at a grown study spend error
GROWS = ("seeds", "seed_numbers")
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
        changed = _differences(self.planned, plan_content(spec), besides=GROWS)
        return (*changed, *_lost_seeds(self.planned, spec))

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
    """One report: when, at how many members and seeds, and of which (a hash).

    complete: all of them were finished, so that more than estimates could be read.
    """

    when: str
    members: int
    seeds: int
    digest: str
    complete: bool = True


def plan_content(spec: StudySpec) -> dict[str, Any]:
    """What a frozen plan fixes, as plain data."""
    data, variants = spec.model_dump(mode="json"), spec.variants.variants()
    used = (a for v in variants for a in (v.activation, v.update, v.reset))
    return {
        "baseline": data["baseline"],
        "variants": [variant.label for variant in variants],
        "seeds": data["seeds"] if spec.seed_rule else len(spec.first_seeds),
        **({} if spec.seed_rule else {"seed_numbers": sorted(spec.first_seeds)}),
        # where features lie is no part of the plan
        "features": {name: value for name, value in data["features"].items() if name != "path"},
        "formulas": {a.name: a.text for a in used if a.name != a.text},
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
    """The looks so far, oldest first."""
    return read_record(folder.looks, _looks, REMEDY) or ()


def members_hash(hashes: Iterable[str]) -> str:
    """What names a plan's members together: 16 hexadecimal digits of their hashes."""
    return plan_hash({"members": sorted(hashes)})


def record_look(folder: StudyFolder, members: list[str], seeds: int, *, complete: bool) -> None:
    """Record that a report of these members (hashes) was read; once for the same ones.

    complete: all were finished; of a plan that was looked at before it was, that counts.
    """
    digest = members_hash(members)
    looks = read_looks(folder)
    known = next((look for look in looks if look.digest == digest), None)
    if known is not None and (known.complete or not complete):
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    kept = [look for look in looks if look is not known]
    looks = (*kept, Look(now, len(members), seeds, digest, complete))
    write_atomically(folder.looks, json.dumps([vars(look) for look in looks], indent=1))


def _looks(data: Any) -> tuple[Look, ...]:
    return tuple(Look(**entry) for entry in data)


def _frozen(data: Any) -> FrozenPlan:
    plan = FrozenPlan(**{**data, "changes": tuple(data["changes"])})
    for change in ({"content": plan.content, "results": plan.results}, *plan.changes):
        if not isinstance(change["content"], dict) or not isinstance(change["results"], int):
            raise TypeError("its content is none")
    return plan


def _lost_seeds(planned: Mapping[str, Any], spec: StudySpec) -> tuple[str, ...]:
    """A half sentence where seeds that were planned are no longer there; or nothing.

    Fewer than planned are what stops a study when it looks well, unless that look was planned.
    """
    count = planned.get("seeds")
    if spec.seed_rule or not isinstance(count, int):
        return ()  # a rule that changed is named already
    now, before = sorted(spec.first_seeds), planned.get("seed_numbers")
    if not isinstance(before, list):
        before = []  # early versions kept their count alone
    kept = len(now) >= count and all(seed in now for seed in before)
    if kept or len(now) in spec.analysis.looks:
        return ()
    return (f"seeds were planned as {_said(before or count)} and are {_said(now)}",)


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
