"""Figures that look alike on every machine: nobody's matplotlibrc, backend or mathematics in them.

- A user's settings (`text.usetex`, a style, the notebook's backend) are for their figures. In ours
  they would change sizes, ask for LaTeX or fail.
- Names come from outside: a dollar sign in a speaker's name is a dollar sign.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""What `savefig` needs as metadata, by format, so that equal figures are equal files."""


@contextmanager
def own_settings(settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Draw inside with matplotlib's defaults and `settings` alone; the user's come back after."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"text.parse_math": False, "svg.hashsalt": "gateswap"})
        chosen: Any = settings or {}  # matplotlib types each of its names
        mpl.rcParams.update(chosen)
        yield


def without_powers(axis: Any) -> None:
    """Let the axis of a logarithmic scale say 0.001: powers of ten are drawn as mathematics."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
