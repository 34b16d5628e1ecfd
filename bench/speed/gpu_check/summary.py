"""The page of a GPU check: what `bench.speed.gpu_check.check` found, for people.

- It is made of the JSON file's content alone, so that it can be written again from the file.
- Parts that did not run are absent, parts that failed say how: a page of an unfinished check is a
  page, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import geometric_mean
from typing import Any

Found = Mapping[str, Any]


def markdown(found: Found) -> str:
    """The page, from the content of gpu-check.json."""
    parts = found["parts"]
    lines = ["# GPU check", ""]
    lines += [f"- {name}: {value}" for name, value in found["environment"].items()]
    lines += [f"- scope: {'quick' if found['quick'] else 'full'}", ""]
    writers = {"tests": _tests, "warm": _warm, "speed": _speed, "slice": _slice}
    for name, part in parts.items():
        lines += [f"## {name.capitalize()}", ""]
        if "seconds" in part:
            lines += [f"{part['seconds']:.0f} s.", ""]
        else:
            lines += ["Not finished.", ""]
        if "error" in part:
            lines += [f"**Failed:** {part['error']}", ""]
        lines += [*writers[name](part), ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """A Markdown table whose first `names` columns are words, the others numbers."""
    ruler = ["---"] * names + ["--:"] * (len(heads) - names)
    return ["| " + " | ".join(row) + " |" for row in (heads, ruler, *rows)] + [""] if rows else []


def _tests(part: Found) -> Iterator[str]:
    if "passed" not in part:
        return
    yield f"{'Passed' if part['passed'] else '**Failed**'}: {part['counts']}"
    if not part["passed"]:
        yield from ["", "```", *part["tail"], "```"]


def _warm(part: Found) -> Iterator[str]:
    kernels = part.get("kernels", [])
    failed = [each for each in kernels if each["error"]]
    yield f"{len(kernels)} layers compiled and run once, {len(failed)} failed."
    for each in failed:
        place = f"{each['activation']}, H={each['hidden']}, {each['precision']}"
        yield f"- {place}: {each['error']}"


def _speed(part: Found) -> Iterator[str]:
    reports = [(run["part"], run["report"]) for run in part.get("runs", []) if "report" in run]
    for run in part.get("runs", []):
        if "error" in run:
            what = f"{run['precision']} {run['part']} H={run['hidden']}"
            yield f"- **failed:** {what}: {run['error']}"
    layers = [
        _layer_line(report["precision"], H, [row for row in report["rows"] if row["H"] == H])
        for name, report in reports
        if name == "layer"
        for H in dict.fromkeys(row["H"] for row in report["rows"])
    ]
    yield "\nOne layer against `torch.nn.GRU` (cuDNN, tanh); goal: no activation slower.\n"
    yield from _table(
        [
            "precision",
            "H",
            "n",
            "geometric mean",
            "as a graph",
            "least",
            "tanh",
            "tanh: ms",
            "of limit",
        ],
        [line for line in layers if line],
        1,
    )
    for title, wanted in (
        ("Stacks, tanh; goal: 10 times as fast as 75 cuDNN calls", "stack"),
        ("Lengths, three encoders, tanh", "lengths"),
        ("Peers, T=20", "peers"),
    ):
        rows = [
            [
                report["precision"],
                row["contestant"],
                row["activation"],
                row["lengths"],
                str(row["H"]),
                str(row["R"]),
                f"{row['ms']:.2f}",
                f"{row['ms'] * 1e6 / row['frames']:.1f}",
                f"{100 * row['limit_share']:.0f} %",
                f"{row['ratio']:.2f}×",
            ]
            for name, report in reports
            if name == wanted
            for row in report["rows"]
        ]
        if rows:
            yield f"{title}.\n"
        yield from _table(
            ["precision", "contestant", "activation", "lengths", "H", "R", "ms", "ns a frame",
             "of limit", "nn.GRU"],
            rows,
            4,
        )  # fmt: skip
    said = dict.fromkeys(
        f"- {each['contestant']}, {report['precision']}, {each['where']}: {each['reason']}"
        for _, report in reports
        for each in report["absent"]
        if each["where"]
    )
    if said:
        yield from ["Left out, because it failed:", "", *said]


def _layer_line(precision: str, H: int, rows: Sequence[Found]) -> list[str]:
    ours = {row["activation"]: row for row in rows if row["contestant"] == "gateswap"}
    if not ours:
        return []
    graphs = [row["ratio"] for row in rows if row["contestant"] == "gateswap graph"]
    slowest = min(ours.values(), key=lambda row: row["ratio"])
    tanh = ours.get("tanh")
    return [
        precision,
        str(H),
        str(len(ours)),
        f"{geometric_mean(row['ratio'] for row in ours.values()):.2f}×",
        f"{geometric_mean(graphs):.2f}×" if graphs else "",
        f"{slowest['ratio']:.2f}× ({slowest['activation']})",
        f"{tanh['ratio']:.2f}×" if tanh else "",
        f"{tanh['ms']:.2f}" if tanh else "",
        f"{100 * tanh['limit_share']:.0f} %" if tanh else "",
    ]


def _slice(part: Found) -> Iterator[str]:
    if "study" not in part:
        return
    study = part["study"]
    yield (
        f"`{study['name']}`: {study['variants']} variants × {study['members_per_variant']} "
        f"members, {study['steps']:,} steps, {study['evaluations']} evaluations; made-up features."
    )
    yield ""
    yield from _table(
        ["precision", "direction", "activation", "contestant", "stacked", "s to set up",
         "ms a step", "ms a step and member", "members a minute", "ms an evaluation", "peak GiB"],
        [
            [
                row["precision"],
                row["direction"],
                row["activation"],
                gain["contestant"],
                str(gain["members"]),
                f"{gain['setup_seconds']:.1f}",
                f"{gain['milliseconds'] * gain['members']:.2f}",
                f"{gain['milliseconds']:.3f}",
                f"{gain['members_per_minute']:.3g}",
                "" if gain["evaluation_ms"] is None else f"{gain['evaluation_ms']:.1f}",
                "" if gain["peak_bytes"] is None else f"{gain['peak_bytes'] / 2**30:.2f}",
            ]
            for row in part.get("rows", [])
            for gain in row["gains"]
        ],
        4,
    )  # fmt: skip
    for row in part.get("rows", []):
        for error in row["errors"]:
            what = f"{row['precision']} {row['direction']} {row['activation']}"
            yield f"- **failed:** {what}, {error}"
    yield ""
    yield (
        "The whole study, projected: trainings × (setting up + steps × median step + evaluations × "
        "median evaluation), every activation taken at the cheapest and at the dearest one "
        "measured; the naive loop without evaluations. Goal: stacked, under one hour."
    )
    yield ""
    yield from _table(
        ["precision", "how", "trainings", "hours, low", "hours, high"],
        [
            [
                each["precision"],
                each["how"],
                str(each["trainings"]),
                f"{each['hours_low']:.2f}",
                f"{each['hours_high']:.2f}",
            ]
            for each in part.get("projection", [])
        ],
        2,
    )
