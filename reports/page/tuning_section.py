"""The page's section on tuning, and the page of a study that was tuned and not run yet."""

from pathlib import Path

from activations.errors import GateswapError
from reports.analysis.searched import Search
from reports.page import tables
from reports.page.templates import fill


def tuning_section(search: Search | None, *, alone: bool = False) -> str:
    """The section as HTML that is escaped already; empty where nothing was searched.

    alone: no results of the study stand beside it.
    """
    from markupsafe import Markup

    if search is None:
        return ""
    return Markup(fill("tuning.html", search=search, alone=alone, interval=tables.interval))


def write_search(study: str, search: Search, folder: Path) -> Path:
    """Write the page of a search alone; return its path.

    Raises GateswapError where it cannot be written.
    """
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = fill("searched.html", study=study, tuning=tuning_section(search, alone=True))
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GateswapError(f"{page} cannot be written: {error.strerror or error}") from error
    return page
