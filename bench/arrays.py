"""What arrays are made of; their axes are in each docstring."""

import zlib
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Mask = NDArray[np.bool_]

UNREADABLE: tuple[type[Exception], ...] = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(RuntimeError, MemoryError, SyntaxError, TokenError, BadZipFile, zlib.error),
)
"""What NumPy, zipfile ("is encrypted" is a RuntimeError), zlib and JSON raise for damaged files."""
