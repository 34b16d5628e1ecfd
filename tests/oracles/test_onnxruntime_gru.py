"""GRU against onnxruntime's GRU operator, which no one here wrote: eleven activations, both resets.

The operator's gate order is z, r, h (ours r, z, n); its first activation serves both gates, its
second the candidate. `linear_before_reset` = 1 is reset="after".
"""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from activations.gru import GRU

T, B, I, H = 9, 4, 5, 7  # noqa: E741 - the operator's axes

# the operator's name, its alpha and beta, and the same function as text
ACTIVATIONS = {
    "Relu": ((), "max(x, 0)"),
    "Tanh": ((), "tanh(x)"),
    "Sigmoid": ((), "sigmoid(x)"),
    "Affine": ((0.8, 0.1), "0.8*x + 0.1"),
    "LeakyRelu": ((0.02,), "max(x, 0) + 0.02*min(x, 0)"),
    "ThresholdedRelu": ((0.3,), "where(x > 0.3, x, 0)"),
    "ScaledTanh": ((1.2, 0.7), "1.2*tanh(0.7*x)"),
    "HardSigmoid": ((0.2, 0.5), "clamp(0.2*x + 0.5, 0, 1)"),
    "Elu": ((0.9,), "max(x, 0) + 0.9*expm1(min(x, 0))"),
    "Softsign": ((), "x/(1 + abs(x))"),
    "Softplus": ((), "softplus(x)"),
}


def operator(gru, gate, candidate, *, after):
    """An onnxruntime session of the one operator, with this GRU's weights."""
    D = 2 if gru.bidirectional else 1
    alphas, betas = [], []
    for name in [gate, candidate] * D:
        constants, _ = ACTIVATIONS[name]
        alphas += constants[:1]
        betas += constants[1:]

    def gates(name):
        both = [getattr(gru, name + suffix) for suffix in ("", "_reverse")[:D]]
        r, z, n = torch.stack(both).detach().chunk(3, 1)
        return torch.cat([z, r, n], 1)

    tensors = {
        "W": gates("weight_ih_l0"),
        "R": gates("weight_hh_l0"),
        "B": torch.cat([gates("bias_ih_l0"), gates("bias_hh_l0")], 1),
    }
    node = helper.make_node(
        "GRU",
        ["X", "W", "R", "B", "lengths", "h0"],
        ["Y", "Y_h"],
        hidden_size=H,
        direction="bidirectional" if D == 2 else "forward",
        linear_before_reset=int(after),
        activations=[gate, candidate] * D,
        **({"activation_alpha": alphas} if alphas else {}),
        **({"activation_beta": betas} if betas else {}),
    )
    graph = helper.make_graph(
        [node],
        "gru",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, [T, B, I]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, [B]),
            helper.make_tensor_value_info("h0", TensorProto.FLOAT, [D, B, H]),
        ],
        [
            helper.make_tensor_value_info("Y", TensorProto.FLOAT, [T, D, B, H]),
            helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [D, B, H]),
        ],
        [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def compare(gate, candidate, *, reset, bidirectional, implementation):
    torch.manual_seed(0)
    gru = GRU(
        I,
        H,
        bidirectional=bidirectional,
        activation=ACTIVATIONS[candidate][1],
        update_gate=ACTIVATIONS[gate][1],
        reset_gate=ACTIVATIONS[gate][1],
        reset=reset,
        implementation=implementation,
    )
    D = 1 + bidirectional
    lengths = torch.tensor([3, T, 1, 6])
    x, h0 = torch.randn(T, B, I), torch.randn(D, B, H)
    session = operator(gru, gate, candidate, after=reset == "after")
    expected, expected_n = session.run(
        None, {"X": x.numpy(), "lengths": lengths.int().numpy(), "h0": h0.numpy()}
    )
    with torch.no_grad():
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, h_n = gru(packed, h0)
    frames, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    # float32 over nine steps of gates that need not contract: a few hundred roundings
    tolerance = {"rtol": 2e-5, "atol": 2e-5}
    np.testing.assert_allclose(
        frames.view(T, B, D, H).transpose(1, 2).numpy(), expected, **tolerance
    )
    np.testing.assert_allclose(h_n.numpy(), expected_n, **tolerance)
    assert np.isfinite(expected).all()
    assert np.abs(expected).max() > 0.1


paths = pytest.mark.parametrize(
    ("reset", "implementation"),
    [("after", "reference"), ("after", "auto"), ("before", "reference")],
)


@paths
@pytest.mark.parametrize("bidirectional", [False, True], ids=["gru", "bigru"])
@pytest.mark.parametrize("candidate", ACTIVATIONS)
def test_this_candidate_activation_gives_onnxruntimes_states(
    candidate, reset, bidirectional, implementation
):
    compare(
        "Sigmoid",
        candidate,
        reset=reset,
        bidirectional=bidirectional,
        implementation=implementation,
    )


@paths
@pytest.mark.parametrize("gate", ACTIVATIONS)
def test_this_gate_activation_gives_onnxruntimes_states(gate, reset, implementation):
    compare(gate, "Tanh", reset=reset, bidirectional=True, implementation=implementation)


# a few: what differs between activations is the same code as in the kernel of "after"
@pytest.mark.parametrize(
    ("gate", "candidate"),
    [("Sigmoid", "Tanh"), ("HardSigmoid", "LeakyRelu"), ("Softsign", "Elu")],
)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["gru", "bigru"])
def test_the_compiled_kernel_that_resets_before_gives_onnxruntimes_states(
    gate, candidate, bidirectional
):
    compare(gate, candidate, reset="before", bidirectional=bidirectional, implementation="cpu")
