"""Functions that go by the name of activations but cannot stand at a site of a GRU, and why."""

_WIDTH = "it does not return as many units as it takes"
_VECTOR = "each of its outputs depends on all units of the layer"
_GATED = f"{_WIDTH}, one half gates the other; use a self-gated one such as 'silu' or 'gelu'"
_NORMALISED = f"{_VECTOR}; use 'sigmoid'"

REFUSED: dict[str, str] = {
    "glu": _GATED,
    "geglu": _GATED,
    "reglu": _GATED,
    "swiglu": _GATED,
    "maxout": f"{_WIDTH}, only the largest of each group; use 'relu' or 'apl'",
    "crelu": f"{_WIDTH}, but twice as many; use 'relu'",
    "softmax": _NORMALISED,
    "softmax2d": _NORMALISED,
    "softmin": _NORMALISED,
    "logsoftmax": f"{_VECTOR}; use 'log_sigmoid'",
    "sparsemax": _NORMALISED,
    "gumbelsoftmax": _NORMALISED,
    "multiheadattention": "it is a layer with weights of its own",
    "brelu": "neighbouring units get different functions (relu and its mirror image); use 'relu'",
    "frelu": "it compares each pixel with a convolution of its neighbours; use 'flexible_relu'",
}
"""Name without case, `-` and `_` -> reason and what to use instead."""
