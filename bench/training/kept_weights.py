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
    return {
        name: _of_member(parameter.detach(), network.members, member).cpu().numpy().copy()
        for name, parameter in network.named_parameters()
    }


def put_weights(network: Network, member: int, weights: Mapping[str, FloatArray]) -> None:
    """Make these a member's parameters, as `weights_of` gave them."""
    for name, parameter in network.named_parameters():
        own = _of_member(parameter.detach(), network.members, member)
        own.copy_(torch.from_numpy(weights[name]))


class KeptWeights:
    """Of each of a network's M members the weights that were taken last."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._copies = {
            name: parameter.detach().clone() for name, parameter in network.named_parameters()
        }

    def take(self, members: Iterable[int]) -> None:
        """Keep what these members' weights are now."""
        chosen = list(members)
        for name, parameter in self._network.named_parameters():
            for m in chosen:
                _of_member(self._copies[name], self._network.members, m).copy_(
                    _of_member(parameter.detach(), self._network.members, m)
                )

    def of(self, member: int) -> dict[str, FloatArray]:
        """What is kept of a member, by the parameters' names, each [E, …]."""
        return {
            name: _of_member(copy, self._network.members, member).cpu().numpy().copy()
            for name, copy in self._copies.items()
        }

    def put(self, member: int, weights: Mapping[str, FloatArray]) -> None:
        """Keep these weights as a member's."""
        for name, copy in self._copies.items():
            own = _of_member(copy, self._network.members, member)
            own.copy_(torch.from_numpy(weights[name]))


def _of_member(parameter: Tensor, members: int, member: int) -> Tensor:
    """The view [E, …] of a member in a parameter [E · M, …]."""
    return parameter.view(-1, members, *parameter.shape[1:])[:, member]
