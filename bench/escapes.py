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
_LATEX |= {"^": r"\textasciicircum{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}
_MARKDOWN = frozenset("\\`*_{}[]<>#|!$~&")


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet runs: an apostrophe stands before what would be a formula."""
    plain = one_line(text)
    return f"'{plain}" if text.startswith(_FORMULA) or plain.startswith(_FORMULA) else plain


def latex(text: str) -> str:
    """Plain text for LaTeX, also within a comment."""
    return "".join(_LATEX.get(character, character) for character in one_line(text))


def markdown(text: str) -> str:
    """Plain text for a cell of a Markdown table."""
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in one_line(text))
