"""Write what the documentation takes from the code: the picture, the rooms, the catalogue.

python -m docs.generated      # or: make docs
"""

from pathlib import Path

from activations.description import markdown_table
from docs import structure
from docs.figures import architecture

ROOT = Path(__file__).parents[1]


def pages() -> dict[Path, str]:
    """What every file should hold that is generated, in whole or in part."""
    docs = ROOT / "docs"
    return {
        architecture.PICTURE: architecture.svg(),
        docs / "architecture.md": _with(
            docs / "architecture.md", "rooms", structure.rooms_table(ROOT)
        ),
        docs / "activations.md": _with(docs / "activations.md", "catalogue", markdown_table()),
    }


def _with(page: Path, name: str, text: str) -> str:
    """The page with `text` between its two marks of that name."""
    start, end = f"<!-- {name}: python -m docs.generated -->", f"<!-- end of {name} -->"
    before, _, rest = page.read_text("utf-8").partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} has no {start} … {end}")
    return f"{before}{start}\n\n{text}\n\n{end}{after}"


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
