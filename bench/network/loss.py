"""The training loss: cross-entropy with smoothed labels, one number for each member.

- Torch operations are the definition; on a GPU one kernel each way does it (gpu/loss.py), which
  sums over a member's rows in an order that is the member's own.
"""

import torch
from torch import Tensor


def smoothed_cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: Tensor, *, implementation: str = "reference"
) -> Tensor:
    """Mean over B of the cross-entropy with smoothed labels: [M, B, C], [M, B], [M] -> [M].

    A share `smoothing` of each target is spread evenly over all C classes (the true one included).
    Differentiable in the logits. implementation: "gpu" is the Triton kernel, for float32;
    "reference" any dtype, anywhere.
    """
    if implementation == "gpu":
        from bench.network.gpu import loss as loss_gpu

        return loss_gpu.smoothed_cross_entropy(logits, labels, smoothing)
    log_p = torch.log_softmax(logits, -1)
    of_label = log_p.gather(-1, labels[..., None])[..., 0]
    share = smoothing[:, None]
    return -((1 - share) * of_label + share * log_p.mean(-1)).mean(1)
