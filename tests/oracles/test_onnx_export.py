"""Exported models in onnxruntime: torch's own numbers, for any batch, any time, any lengths."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from activations.gru import GRU
from activations.onnx_layer import operators_name
from activations.registry import get, names

pytest.importorskip("onnxscript")

# float32 over nine steps of gates that need not contract: a few hundred roundings
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}
# of one value with other bounds, which onnxscript 0.7.2 confuses unless it cannot see them
TWICE_CLAMPED = "clamp(x, -1, 1) + b*clamp(x, -0.5, 0.25) + clamp(x, 0, 2); b=0.5"


class Model(nn.Module):
    """What a user would export: an encoder and a head, with lengths of padded rows."""

    def __init__(self, layers, **options):
        super().__init__()
        self.encoder = GRU(5, 7, layers, bidirectional=True, batch_first=True, **options)
        self.head = nn.Linear(14, 3)

    def forward(self, x, h0, lengths):
        output, h_n = self.encoder(x, h0, lengths=lengths)
        return self.head(output), h_n


def exported(model, given, dynamic_shapes, **options):
    """An onnxruntime session of the model, and which operators it is made of."""
    program = torch.onnx.export(
        model.eval(), given, dynamo=True, dynamic_shapes=dynamic_shapes, verbose=False, **options
    )
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return session, [node.op_type for node in program.model_proto.graph.node]


def compare(session, model, *given):
    inputs = {each.name: value for each, value in zip(session.get_inputs(), given, strict=True)}
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        expected = model(*given)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.abs(ours).max() > 0.1
        np.testing.assert_allclose(ours, theirs.numpy(), **TOLERANCE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "operator"),
    [
        ({"activation": "leaky_relu", "update_gate": "hard_sigmoid", "reset_gate": "hard_sigmoid"},
         "GRU"),
        ({"activation": TWICE_CLAMPED, "update_gate": "acon_c", "reset": "before"}, "Scan"),
    ],
    ids=["operator", "scan"],
)  # fmt: skip
def test_an_exported_model_gives_torchs_numbers_for_other_batches_times_and_lengths(
    options, operator
):
    torch.manual_seed(0)
    layers = 2 if operator == "GRU" else 1
    model = Model(layers, **options)
    given = torch.randn(3, 6, 5), torch.randn(2 * layers, 3, 7), torch.tensor([4, 6, 2])
    shapes = ({0: "B", 1: "T"}, {1: "B"}, {0: "B"})
    session, operators = exported(model, given, shapes)
    assert operators.count(operator) == 2
    assert set(operators).isdisjoint({"GRU", "Scan"} - {operator})
    compare(session, model, *given)
    compare(
        session, model, torch.randn(2, 9, 5), torch.randn(2 * layers, 2, 7), torch.tensor([9, 0])
    )


class Cells(nn.Module):
    """A GRU of every activation, over the same padded rows."""

    def __init__(self, activations):
        super().__init__()
        self.cells = nn.ModuleList(
            GRU(3, 2, bidirectional=True, batch_first=True, activation=name, implementation="cpu")
            for name in activations
        )

    def forward(self, x, h0, lengths):
        return [result for gru in self.cells for result in gru(x, h0, lengths=lengths)]


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(12))
def test_every_activation_of_the_catalogue_in_both_directions_with_lengths(part):
    torch.manual_seed(part)
    model = Cells(names()[part::12])
    given = torch.randn(3, 4, 3), torch.randn(2, 3, 2), torch.tensor([4, 2, 1])
    session, _ = exported(model, given, ({0: "B", 1: "T"}, {1: "B"}, {0: "B"}))
    for each in (given, (torch.randn(2, 6, 3), torch.randn(2, 2, 2), torch.tensor([0, 6]))):
        compare(session, model, *each)


class Watching(TorchDispatchMode):
    """Looks on, as an exporter does."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def test_onnx_has_no_packed_sequences_and_the_way_is_named(monkeypatch):
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    packed = nn.utils.rnn.pack_sequence([torch.randn(4, 5), torch.randn(2, 5)])
    with Watching(), pytest.raises(ValueError, match="lengths="):
        GRU(5, 7)(packed)


def test_what_onnxs_operator_calls_an_activation_is_read_from_its_formula():
    assert operators_name(get("tanh")) == ("Tanh", ())
    assert operators_name(get("lecun_tanh")) == ("ScaledTanh", (1.7159, pytest.approx(2 / 3)))
    assert operators_name(get("identity")) == ("Affine", (1.0, 0.0))
    assert operators_name(get("rrelu")) == ("LeakyRelu", (pytest.approx(11 / 48),))
    assert operators_name(get("where(x > 0.3, x, 0)")) == ("ThresholdedRelu", (0.3,))
    assert operators_name(get("clamp(0.2*x + 0.5, 0, 1)")) == ("HardSigmoid", (0.2, 0.5))
    for other in ("prelu", "gelu", "hardtanh", "x*x", "tanh(x)*x", "max(x,0)+max(x,1)"):
        assert operators_name(get(other)) is None
