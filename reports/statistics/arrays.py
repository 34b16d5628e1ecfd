"""The array types every statistic is written in, and the one check they all need."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def vector(values: npt.ArrayLike, name: str, *, least: int = 1) -> FloatArray:
    """Return `values` as a finite float64 vector of at least `least` entries.

    Raises ValueError naming the argument otherwise: a NaN is a missing run, and which
    folds to leave out is the caller's decision, not a statistic's.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < least:
        raise ValueError(f"{name} must be a vector of at least {least} values, not {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite: leave missing folds out first")
    return array


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: arrays to lists, dataclasses to dicts, NaN to None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
