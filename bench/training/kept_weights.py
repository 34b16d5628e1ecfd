"""The weights of a stack's members, taken out of it and kept.

- What is kept is a copy on the stack's own device: a GPU is not waited for at every evaluation.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from bench.arrays import FloatArray
from bench.network.network import Network


def weights_of(network: Network, member: int) -> dict[str, FloatArray]:
    """A member's parameters by name, each [E, …]: those of a network of this member alone."""
    return _read(network, dict(network.named_parameters()), member)


def put_weights(network: Network, member: int, weights: Mapping[str, FloatArray]) -> None:
    """Make these a member's parameters, as `weights_of` gave them."""
    _write(network, dict(network.named_parameters()), member, weights)


class KeptWeights:
    """Of each of a network's M members the weights that were taken last."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._copies = {
            name: parameter.detach().clone() for name, parameter in network.named_parameters()
        }

    def take(self, members: Iterable[int]) -> None:
        """Keep what these members' weights are now."""
        chosen, own = list(members), self._network.of_member
        for name, parameter in self._network.named_parameters():
            for m in chosen:
                own(self._copies[name], m).copy_(own(parameter, m))

    def of(self, member: int) -> dict[str, FloatArray]:
        """What is kept of a member, by the parameters' names, each [E, …]."""
        return _read(self._network, self._copies, member)

    def put(self, member: int, weights: Mapping[str, FloatArray]) -> None:
        """Keep these weights as a member's."""
        _write(self._network, self._copies, member, weights)


def _read(network: Network, tensors: Mapping[str, Tensor], member: int) -> dict[str, FloatArray]:
    """A member's part of tensors laid out as the network's parameters: copies, each [E, …]."""
    return {
        name: network.of_member(tensor, member).cpu().numpy().copy()
        for name, tensor in tensors.items()
    }


def _write(
    network: Network, tensors: Mapping[str, Tensor], member: int, weights: Mapping[str, FloatArray]
) -> None:
    """The inverse of `_read`."""
    for name, tensor in tensors.items():
        network.of_member(tensor, member).copy_(torch.from_numpy(weights[name]))
