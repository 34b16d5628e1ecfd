"""Arrays under a JSON header in one safetensors file, with a checksum that the format lacks.

- Plain arrays and text: reading executes nothing, and any program that knows the format can look.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activations.errors import InputError

SUFFIX = ".safetensors"
MOST_BYTES = 1 << 34  # of a file: a thousand times IAAN at H=512
_KEY = "gateswap"

Arrays = Mapping[str, NDArray[Any]]


def packed(arrays: Arrays, header: Mapping[str, Any]) -> bytes:
    """The file's content; the same arrays and header give the same bytes."""
    from safetensors.numpy import save

    flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    text = json.dumps({**header, "digest": _digest(flat)}, ensure_ascii=False, sort_keys=True)
    return bytes(save(flat, {_KEY: text}))


def unpacked(content: bytes, *, what: str, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the header of a file's content.

    what: it is said to be ("model"). Raises InputError for a file that is not whole, changed, or of
    another program.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, ValueError, AttributeError) as error:
        raise InputError(f"{where} is not a whole safetensors file ({error})") from error
    if _KEY not in metadata:
        raise InputError(f"{where} is no {what} of gateswap's: its header says nothing of it")
    try:
        header = dict(json.loads(metadata[_KEY]))
        whole = header.pop("digest") == _digest(arrays)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{where} is no {what} of gateswap's ({type(error).__name__})") from error
    if not whole:
        raise InputError(f"{where} is damaged: its arrays are not what was written")
    return arrays, header


def _digest(arrays: Arrays) -> str:
    """Of the arrays' names, shapes, types and content."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]
