"""Text from outside, made harmless for where others read it: one function for each format.

- Labels, speakers, formulas and corpora's names may be anything. A spreadsheet runs a cell that
  begins with =, LaTeX runs a backslash, a line break ends a comment or a row, and a bidirectional
  mark turns round what follows.
- HTML is escaped by the templates (`reports.page.templates`), the terminal by
  `activations.errors.printable`.
"""

from activations.errors import one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins one in a spreadsheet
_LATEX = {"\\": r"\textbackslash{}", "·": r"$\cdot$", "~": r"\textasciitilde{}"}
_LATEX |= {"^": r"\textasciicircum{}", "`": r"\textasciigrave{}"}
_LATEX |= {'"': r"\symbol{34}"}  # \textquotedbl is not in every encoding of fonts
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}
_MARKDOWN = frozenset("\\`*_{}[]<>#|!$~&")


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet runs: an apostrophe stands before what would be a formula."""
    plain = one_line(text)
    return f"'{plain}" if text.startswith(_FORMULA) or plain.startswith(_FORMULA) else plain


def shown_name(text: str, most: int = 500) -> str:
    """A name as other programs list and export it: a cell of CSV, cut to `most` characters."""
    cell = csv_cell(text)
    return cell if len(cell) <= most else f"{cell[: most - 1]}…"


def latex(text: str) -> str:
    """Plain text for LaTeX, also within a comment and at the beginning of a table's row."""
    plain = "".join(_LATEX.get(character, character) for character in one_line(text))
    for pair in ("--", "''", ",,"):  # a dash and quotes, not two signs
        plain = plain.replace(pair, f"{pair[0]}{{}}" * 2)
    # after two backslashes a bracket would be read as a length, and a star swallowed
    return f"{{{plain[0]}}}{plain[1:]}" if plain[:1] in ("[", "*") else plain


def markdown(text: str) -> str:
    """Plain text for a cell of a Markdown table."""
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in one_line(text))
