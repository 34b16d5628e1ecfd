"""Draw docs/figures/architecture.svg: the way of the data through the rooms.

- SVG is written as text, so that the same code gives the same bytes everywhere and a test can tell
  whether the picture is the one that the code draws.
- A box is a room or a module of the tree, by its path; the test looks each of them up.

`python -m docs.generated` writes it.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 1070, 640
BOX_W, BOX_H = 136, 46
BANDS = {  # package: top, colour
    "reports": (20, "#e8eef7"),
    "studies": (178, "#f3ecdc"),
    "bench": (336, "#e6f0e6"),
    "activations": (494, "#f2e6ea"),
}
BAND_H = 126
GREY = "#555"


@dataclass(frozen=True)
class Box:
    """A room or module; column and row within its package's band."""

    path: str
    says: str
    column: float

    @property
    def left(self) -> float:
        """Pixels from the left."""
        return 120 + 156 * self.column

    @property
    def top(self) -> float:
        """Pixels from the top."""
        return BANDS[self.path.split("/")[0]][0] + 48


BOXES = (
    Box("activations/catalogue", "one formula each", 0),
    Box("activations/formula", "value, slopes, program", 1.25),
    Box("activations/kernels", "C, Triton, reference", 2.5),
    Box("activations/gru.py", "GRU, StackedGRU", 3.75),
    Box("bench/corpora", "readers of corpora", 0),
    Box("bench/features", "45 numbers a frame", 1.25),
    Box("bench/data", "folds, members, batches", 2.5),
    Box("bench/network", "M networks at once", 3.75),
    Box("bench/training", "step, evaluate, record", 5),
    Box("studies/spec.py", "one YAML file, checked", 0),
    Box("studies/plan.py", "members, hashes, stacks", 1.25),
    Box("studies/runner.py", "what has no file yet", 2.5),
    Box("studies/execution", "processes and devices", 3.75),
    Box("studies/result_files.py", "one file a member", 5),
    Box("reports/page", "page, tables", 0),
    Box("reports/figures", "one module a figure", 1.25),
    Box("reports/analysis", "all that is said", 2.5),
    Box("reports/statistics", "pure functions", 3.75),
)

# from, to, what travels; both in one band: right to left or left to right, otherwise up or down
ARROWS = (
    ("activations/catalogue", "activations/formula", "text"),
    ("activations/formula", "activations/kernels", "program"),
    ("activations/kernels", "activations/gru.py", "recurrence"),
    ("activations/gru.py", "bench/network", "StackedGRU"),
    ("bench/corpora", "bench/features", "Corpus"),
    ("bench/features", "bench/data", "frames"),
    ("bench/data", "bench/network", "Batch"),
    ("bench/network", "bench/training", "logits"),
    ("studies/spec.py", "studies/plan.py", "StudySpec"),
    ("studies/plan.py", "studies/runner.py", "Plan"),
    ("studies/runner.py", "studies/execution", "stacks"),
    ("bench/training", "studies/result_files.py", "MemberResult"),
    ("reports/statistics", "reports/analysis", "tests"),
    ("reports/analysis", "reports/figures", "Analysis"),
    ("reports/figures", "reports/page", "SVG"),
)


def svg() -> str:
    """The whole picture."""
    by_path = {box.path: box for box in BOXES}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" '
        'font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for package, (top, colour) in BANDS.items():
        parts.append(
            f'<rect x="10" y="{top}" width="{WIDTH - 20}" height="{BAND_H}" rx="6" '
            f'fill="{colour}"/>'
        )
        parts.append(_text(22, top + 22, package, weight="bold", anchor="start"))
    parts += [_box(box) for box in BOXES]
    parts += [_arrow(by_path[a], by_path[b], label) for a, b, label in ARROWS]
    parts += [_execution_to_training(by_path), _results_to_statistics(by_path)]
    parts += [_ends(by_path)]
    return "\n".join([*parts, "</svg>", ""])


def _execution_to_training(by_path: dict[str, Box]) -> str:
    start, end = by_path["studies/execution"], by_path["bench/training"]
    down, across, into = start.left + 100, end.top - 52, end.left + 30
    points = [(down, start.top + BOX_H), (down, across), (into, across), (into, end.top)]
    return _path(points, "members", ((down + into) / 2, across - 6))


def _results_to_statistics(by_path: dict[str, Box]) -> str:
    start, end = by_path["studies/result_files.py"], by_path["reports/statistics"]
    up, y, right = start.left + BOX_W / 2, end.top + BOX_H / 2, end.left + BOX_W
    points = [(up, start.top), (up, y), (right, y)]
    return _path(points, "scores[variant, fold, seed]", ((right + up) / 2 + 10, end.top - 6))


def _ends(by_path: dict[str, Box]) -> str:
    """What comes from outside and what goes there."""
    parts = []
    for path, says in (("bench/corpora", "folder"), ("studies/spec.py", "YAML")):
        box = by_path[path]
        y = box.top + BOX_H / 2
        parts += [_path([(62, y), (box.left, y)]), _text(40, y + 4, says)]
    page = by_path["reports/page"]
    y = page.top + BOX_H / 2
    parts += [_path([(page.left, y), (80, y)]), _text(46, y + 4, "index.html", size=11)]
    return "\n".join(parts)


def _box(box: Box) -> str:
    middle, name = box.left + BOX_W / 2, box.path.partition("/")[2]
    frame = (
        f'<rect x="{box.left:g}" y="{box.top:g}" width="{BOX_W}" height="{BOX_H}" rx="4" '
        'fill="white" stroke="#777"/>'
    )
    title = _text(middle, box.top + 19, name, weight="bold")
    return "\n".join((frame, title, _text(middle, box.top + 36, box.says, size=10.5, colour=GREY)))


def _arrow(start: Box, end: Box, label: str) -> str:
    if start.top == end.top:
        y = start.top + BOX_H / 2
        right = end.left > start.left
        x1, x2 = (start.left + BOX_W, end.left) if right else (start.left, end.left + BOX_W)
        # above the band's boxes, for the gap between two of them is narrow
        return _path([(x1, y), (x2, y)], label, ((x1 + x2) / 2, start.top - 6))
    x = start.left + BOX_W / 2
    y1, y2 = start.top, end.top + BOX_H
    return _path([(x, y1), (x, y2)], label, (x + 42, y1 - 34))


def _path(
    points: list[tuple[float, float]], label: str = "", at: tuple[float, float] = (0, 0)
) -> str:
    line = " ".join(f"{x:g},{y:g}" for x, y in points)
    drawn = f'<polyline points="{line}" fill="none" stroke="#444" marker-end="url(#tip)"/>'
    if not label:
        return drawn
    return drawn + "\n" + _text(*at, label, size=11, style="italic", colour="#333")


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    weight: str = "normal",
    style: str = "normal",
    anchor: str = "middle",
    colour: str = "black",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" '
        f'font-weight="{weight}" font-style="{style}" fill="{colour}">{escape(text)}</text>'
    )
