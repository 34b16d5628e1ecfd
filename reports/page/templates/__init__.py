"""Templates of the pages, and the one way of filling them in: escaped, styled, self-contained."""

import base64
from importlib.resources import files
from pathlib import Path

from activations.wording import counted
from reports.page import tables
from reports.statistics.conclusions import signed


def fill(name: str, **values: object) -> str:
    """Fill in a template of this folder. Raises jinja2.UndefinedError for a value it lacks."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "counted": counted,
        "number": tables.number,
        "p": tables.p_value,
        "needed": lambda count: f"{count:,}" if count else "–",
        "signed": lambda value: signed(value) if value == value else "–",
    }
    folder = files("reports.page.templates")
    style = folder.joinpath("style.css").read_text(encoding="utf-8")
    template = folder.joinpath(name).read_text(encoding="utf-8")
    return environment.from_string(template).render(style=style, **values)


def embedded(svg: Path) -> str:
    """An SVG file as the source of an image, so that the page needs no other file."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode()
