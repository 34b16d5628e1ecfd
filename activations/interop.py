"""To torch's own GRU, and a sentence for the ways that only torch's own modules can go."""

from typing import TYPE_CHECKING

from torch import nn

from activations.errors import GateswapError
from activations.kernels.cell import Cell

if TYPE_CHECKING:
    from activations.recurrent import Recurrent

NO_TORCHSCRIPT = (
    "TorchScript cannot hold a GRU with other activations than torch's: with tanh use "
    "gru.to_torch(); for any activation torch.export.export, or torch.onnx.export(dynamo=True)"
)
NOT_QUANTIZED = (
    "torch.ao.quantization knows no module but torch's own and leaves activations.GRU in float: "
    "with tanh quantize gru.to_torch(); for any activation export to ONNX and quantize there"
)
_TORCHS = ("sigmoid(x)", "sigmoid(x)", "tanh(x)")


def is_torchs(cell: Cell) -> bool:
    """Whether torch.nn.GRU computes this cell."""
    return (*(f.text for f in cell.formulas), cell.reset_order) == (*_TORCHS, "after")


def to_torch(gru: "Recurrent") -> nn.GRU:
    """A torch.nn.GRU with the weights of an `activations.GRU`, on its device, in its mode.

    Raises GateswapError where torch's computes something else.
    """
    if not is_torchs(gru.cell):
        raise GateswapError(
            "torch.nn.GRU has tanh and sigmoid at its gates and the reset gate after the product: "
            f"it cannot be {gru}"
        )
    weight = next(gru.parameters())
    result = nn.GRU(
        gru.input_size,
        gru.hidden_size,
        gru.num_layers,
        gru.bias,
        gru.batch_first,
        gru.dropout,
        gru.bidirectional,
        device=weight.device,
        dtype=weight.dtype,
    )
    result.load_state_dict(gru.state_dict())
    return result.train(gru.training)
