"""Layer normalisation and ReLU of the dense layer, each member with its own gain and shift.

- Torch operations are the definition; on a GPU one kernel each way does it (gpu/norm.py), which
  sums the gradients of gain and shift over a member's rows in an order that is the member's own.
"""

import torch
from torch import Tensor, nn

EPSILON = 1e-5


def normalised(
    hidden: Tensor,
    gain: Tensor,
    shift: Tensor,
    *,
    epsilon: float = EPSILON,
    implementation: str = "reference",
) -> Tensor:
    """Relu(gain · (hidden − mean) / deviation + shift) of rows [M·B, D]; gain, shift [M, D].

    epsilon: added to the variance.
    implementation: "gpu" is the Triton kernel, for float32; "reference" any dtype, anywhere.
    """
    if implementation == "gpu":
        from bench.network.gpu import norm as norm_gpu

        return norm_gpu.normalised(hidden, gain, shift, epsilon)
    normal = nn.functional.layer_norm(hidden, hidden.shape[1:], eps=epsilon)
    by_member = normal.view(len(gain), -1, hidden.shape[1])
    return torch.relu(by_member * gain[:, None] + shift[:, None]).view_as(hidden)
