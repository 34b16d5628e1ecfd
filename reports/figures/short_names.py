"""Names of variants that leave room for the figure: long formulas without their middle.

- A name may be a formula of hundreds of letters, and matplotlib gives a label the room it asks for:
  none is left to draw in. Tables have the whole name.
- Two that lose what they differ in end with a hash instead.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.content_hash import content_hash

LONGEST = 28  # characters of a part of a label: more than any name of the catalogue has
LEFT = (14, 9)  # characters that are left of a longer one, before and after
LEFT_IN_TITLES = (9, 5)  # of panels, which are narrow
DOT = " · "  # between the parts of a label
_OF_X = re.compile(r"\bx\b")  # is in every formula, and in no sentence of ours


def shorten(figure: Any) -> None:
    """Shorten the long parts of labels, and put what follows them in titles into another line."""
    from matplotlib.text import Text

    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    ticks = [(axis, [tick.get_text() for tick in axis.get_ticklabels()]) for axis in axes]
    titles = [title for each in figure.axes for title in (each.title, each._left_title)]
    others = [text for text in figure.findobj(Text) if text not in titles]
    parts = short_parts(
        [label for _, labels in ticks for label in labels] + [each.get_text() for each in others],
        LEFT,
    )
    for axis, labels in ticks:
        short = [_with(parts, label) for label in labels]
        if short != labels:
            axis.set_ticks(axis.get_ticklocs(), short)
    for text in others:
        text.set_text(_with(parts, text.get_text()))
    parts = short_parts([title.get_text() for title in titles], LEFT_IN_TITLES)
    for title in titles:
        new = _with(parts, title.get_text())
        if new != title.get_text():
            title.set_text("\n· ".join(new.rsplit(DOT, 1)))


def short_parts(labels: Iterable[str], left: tuple[int, int]) -> dict[str, str]:
    """The long formulas among the parts of labels, and how each is written, no two alike."""
    parts = {part for label in labels for part in label.split(DOT)}
    long = sorted(part for part in parts if len(part) > LONGEST and _OF_X.search(part))
    before, after = left
    found = {part: (part[:before], part[-after:]) for part in long}
    ends = list(found.values())
    return {
        part: "…".join(both if ends.count(both) == 1 else (both[0], content_hash(part, 4)))
        for part, both in found.items()
    }


def _with(parts: Mapping[str, str], label: str) -> str:
    return DOT.join(parts.get(part, part) for part in label.split(DOT))
