"""The kinds of network a study can name, and which settings each of them reads.

- Nothing is imported to know a name or to check a study: torch takes a second.
- Another network is a file with a subclass of bench.network.network.Network, and a line here.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING

from bench.data.members import Hyperparameters

if TYPE_CHECKING:
    from bench.network.network import Network

CONTEXTS = ("context_mask", "missing_context")  # settings of networks that hear turns before
OPTIONAL = ("layers", "pooling", *CONTEXTS)  # settings that not every kind reads


@dataclass(frozen=True)
class NetworkKind:
    """module, name: where the class is. contexts: whether it hears the turns before. reads: of
    OPTIONAL.
    """

    module: str
    name: str
    contexts: bool
    reads: Collection[str] = ()


KINDS = {
    "iaan": NetworkKind("bench.network.iaan", "IAAN", contexts=True, reads=CONTEXTS),
    "gru": NetworkKind(
        "bench.network.gru", "GRUNetwork", contexts=False, reads=("layers", "pooling")
    ),
}


def network_class(kind: str) -> type["Network"]:
    """The class of a kind of network. Raises ValueError for a kind that does not exist."""
    found: type[Network] = getattr(import_module(_kind(kind).module), KINDS[kind].name)
    return found


def check(hyper: Hyperparameters) -> None:
    """Raise ValueError, its first word a setting, for a kind that does not exist, and for a setting
    that its network would not read.
    """
    kind = _kind(hyper.kind)
    defaults = {field.name: field.default for field in fields(Hyperparameters)}
    for name in OPTIONAL:
        if name not in kind.reads and getattr(hyper, name) != defaults[name]:
            raise ValueError(f"{name} has no meaning with model.kind: {hyper.kind}")
    if hyper.pooling != "attention" and hyper.attention_size != defaults["attention_size"]:
        raise ValueError(f"attention_size has no meaning with model.pooling: {hyper.pooling}")


def _kind(kind: str) -> NetworkKind:
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    return KINDS[kind]
