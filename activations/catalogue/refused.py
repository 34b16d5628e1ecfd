"""Functions that go by the name of activations but cannot stand at a site of a GRU, and why."""

_WIDTH = "it returns fewer units than it takes"
_VECTOR = "each of its outputs depends on all units of the layer"
_RANDOM = "it draws random numbers, so it is not a function of x"

REFUSED: dict[str, str] = {
    "glu": f"{_WIDTH} (half of them gate the other half); use a gated one such as 'silu'",
    "maxout": f"{_WIDTH} (the largest of each group); use 'relu' or 'leaky_relu'",
    "softmax": f"{_VECTOR}; use 'sigmoid'",
}
"""Name without case, `-` and `_` -> reason."""
