"""Where a figure is drawn: a new figure, an empty one of the caller's, or the caller's axes.

- New figures are made without pyplot: nothing is left open, no window appears and the caller's
  backend stays what it was.
"""

from typing import Any

import numpy as np

from activations.errors import InputError
from activations.wording import counted


def canvas(onto: Any, size: tuple[float, float]) -> tuple[Any, Any]:
    """(fig, axes) for a figure of one panel; as `panels`."""
    fig, grid = panels(onto, 1, 1, size)
    return fig, grid[0, 0]


def panels(
    onto: Any, rows: int, columns: int, size: tuple[float, float], **sharing: Any
) -> tuple[Any, Any]:
    """(fig, axes [rows, columns]) to draw on.

    onto: None for a new figure of `size` inches; a Figure or SubFigure without axes; or axes, as
    many as there are panels, in reading order. sharing: sharex, sharey of new axes.
    Raises InputError for another number of axes.
    """
    if onto is None:
        from matplotlib.figure import Figure

        onto = Figure(figsize=size)
    elif hasattr(onto, "set_size_inches"):
        onto.set_size_inches(size)
    if hasattr(onto, "subplots"):
        return onto, onto.subplots(rows, columns, squeeze=False, **sharing)
    given = np.array([onto] if hasattr(onto, "plot") else onto, dtype=object).ravel()
    if given.size != rows * columns:
        raise InputError(
            f"this figure has {counted(rows * columns, 'panel')} ({rows} × {columns}), not "
            f"{given.size}: give it that many axes, an empty figure, or nothing"
        )
    return given[0].figure, given.reshape(rows, columns)


def rows_for(count: int, columns: int) -> tuple[int, int]:
    """(rows, columns) of a grid for `count` panels, at most `columns` wide."""
    columns = max(1, min(columns, count))
    return -(-count // columns), columns
