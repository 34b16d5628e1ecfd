r"""Letters that the figures' own font lacks: taken from another font, or written as their code.

- Speakers, labels and corpora are called what they are called, in any script. matplotlib draws a
  box for a letter that its font lacks and goes on.
- Any font of the machine will do, and the extra `fonts` brings one for Chinese, Japanese and
  Korean. Fonts are opened only where a letter is missing.
- What no font has is written as its code (\\u8a9e), which can be read and searched for, and told.
"""

import unicodedata
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from activations.errors import printable
from reports.figures.short_names import shorten

FONT = "DejaVu Sans"  # matplotlib brings it: the same on every machine
BOXES = ("Last Resort", "Adobe Blank")  # fonts that draw a box for every letter there is
PACKAGE = "noto_cjk_sans_jp_regular"  # the extra `fonts`


def lay_out(figure: Any) -> None:
    """Lay a figure out, its texts in fonts that have their letters; warn of those that none has.

    Long names are shortened before, or there would be no room for what is drawn.
    """
    lay = figure.get_layout_engine().execute
    shorten(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        lay(figure)  # ticks say nothing before
    if _find_letters(figure):
        lay(figure)


def _find_letters(figure: Any) -> bool:
    """Whether a text of the figure was changed: control characters spelled, or another font."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if text.get_text()]
    changed = _rewrite(figure, texts, printable)  # an SVG must not hold control characters
    foreign = {letter for text in texts for letter in text.get_text() if _is_seen(letter)}
    foreign -= _letters_of(FONT)
    if not foreign:
        return changed
    families, lacking = _fonts_for(frozenset(foreign))
    for text in texts:
        if foreign & set(text.get_text()):
            text.set_fontfamily([FONT, *families])
    if lacking:
        codes = str.maketrans({letter: _code(letter) for letter in lacking})
        _rewrite(figure, texts, lambda text: text.translate(codes))
        warnings.warn(
            f"no font of this machine has {' '.join(sorted(lacking))}: figures say "
            f"{' '.join(map(_code, sorted(lacking)))}. pip install 'gateswap[fonts]' brings "
            "Chinese, Japanese and Korean; other scripts need a font installed",
            stacklevel=4,
        )
    return True


def _is_seen(letter: str) -> bool:
    return unicodedata.category(letter)[0] not in "CZ"


def _code(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


def _rewrite(figure: Any, texts: list[Any], written: Callable[[str], str]) -> bool:
    """Write the texts another way; whether one is. The texts of ticks belong to their axis."""
    others = [text for text in texts if written(text.get_text()) != text.get_text()]
    if not others:
        return False
    for text in others:
        text.set_text(written(text.get_text()))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if any(written(label) != label for label in labels):
            axis.set_ticks(axis.get_ticklocs(), [written(label) for label in labels])
    return True


@cache
def _fonts_for(letters: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """The families that have the letters, as few as possible, and the letters that none has."""
    families = []
    found = [(family, _letters_of(family) & letters) for family in _families()]
    while letters and found:
        family, has = max(found, key=lambda pair: len(pair[1] & letters))
        if not has & letters:
            break
        families.append(family)
        letters -= has
    return families, letters


@cache
def _families() -> dict[str, str]:
    """The upright fonts of ordinary weight that there are, by name: their files.

    Those for Chinese, Japanese and Korean first.
    """
    from matplotlib.font_manager import fontManager

    _add_own_font()
    files = {
        entry.name: entry.fname
        for entry in fontManager.ttflist
        if not entry.name.startswith(BOXES)
        and entry.style == "normal"
        and str(entry.weight) in ("400", "normal", "regular", "book")
    }
    return {name: files[name] for name in sorted(files, key=lambda name: ("CJK" not in name, name))}


def _add_own_font() -> None:
    """Make the font of the extra `fonts` known to matplotlib, where it is installed."""
    from importlib import resources
    from importlib.util import find_spec

    from matplotlib.font_manager import fontManager

    if find_spec(PACKAGE) is not None:
        for file in resources.files(PACKAGE).iterdir():
            if file.name.endswith(".otf"):
                fontManager.addfont(str(file))


@cache
def _letters_of(family: str) -> frozenset[str]:
    """The letters that a font has; none where it cannot be opened."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(_families()[family]).get_charmap()))
    except (OSError, RuntimeError, LookupError):
        return frozenset()
