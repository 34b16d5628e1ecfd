"""What a corpus holds, printed for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.terminal.display import print_fields, print_table

MOST_LABELS = 12  # columns: the most frequent ones
MOST_NAMED = 8  # speakers of a side
MOST_ROWS = 100  # speakers or folds of a printed table; --json has all


def print_corpus(found: Mapping[str, Any]) -> None:
    """Print on stdout what `bench.data.describe` found."""
    tables = ("speakers", "folds", "notes", "problems")
    fields = {name: value for name, value in found.items() if name not in tables}
    print_fields(fields | {"labels": _first(found["labels"])} | {"examples": _short(found)})
    labels = list(found["labels"])[:MOST_LABELS]
    print_counts("speaker", labels, found["speakers"])
    sides = ("train", "dev", "test")
    print_counts("fold", sides, found["folds"])
    print_fields({name: found[name] for name in ("notes", "problems")})


def _short(found: Mapping[str, Any]) -> dict[str, Any]:
    """The examples' counts, without those that would fill the terminal."""
    return {
        name: _first(value) if isinstance(value, Mapping) else value
        for name, value in found["examples"].items()
    }


def _first(counts: Mapping[str, int]) -> dict[str, Any]:
    """Counts by name, the first of them where there are many."""
    shown = dict(list(counts.items())[:MOST_ROWS])
    more = len(counts) - len(shown)
    return shown | ({"…": f"and {more:,} more; all: --json"} if more else {})


def print_counts(what: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, int]]) -> None:
    """Print a table of counts: a row for each name, the first of them where there are many."""
    if not rows:
        return
    shown = list(rows.items())[:MOST_ROWS]
    print()
    print_table(
        [what, *columns, "all"],
        [
            [
                name,
                *(f"{counts.get(column, 0):,}" for column in columns),
                f"{sum(counts.values()):,}",
            ]
            for name, counts in shown
        ],
    )
    if len(shown) < len(rows):
        print(f"… and {len(rows) - len(shown):,} more; all: --json")
    print()


def print_folds(found: Mapping[str, Any], protocol: str) -> None:
    """Print on stdout a study's folds, as `bench.data.review` counted them."""
    print(f"{found['corpus']}: {protocol}")
    rows = []
    for fold in found["folds"][:MOST_ROWS]:
        for side in ("train", "dev", "test"):
            about = fold[side]
            speakers = list(about["speakers"])
            named = ", ".join(speakers) if len(speakers) <= MOST_NAMED else ""
            counts = [f"{n:,}" for n in (*about["classes"].values(), about["examples"])]
            rows.append(
                [fold["name"] if side == "train" else "", side, *counts, len(speakers), named]
            )
    classes = list(found["protocol"]["classes"])
    print_table(["fold", "side", *classes, "all", "speakers", ""], rows)
    if len(found["folds"]) > MOST_ROWS:
        print(f"… and {len(found['folds']) - MOST_ROWS:,} more; all: --json or --write FILE")
    print_fields({"notes": found["notes"]})
