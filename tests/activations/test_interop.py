"""Ways out of this package: torch's own module, TorchScript, fx, quantization; and streams."""

import pytest
import torch
from torch import nn

from activations.errors import GateswapError
from activations.gru import GRU


def pair(**options):
    torch.manual_seed(0)
    theirs = nn.GRU(5, 7, **options)
    ours = GRU(5, 7, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


class Model(nn.Module):
    def __init__(self, gru):
        super().__init__()
        self.encoder = gru
        self.head = nn.Linear(7, 2)

    def forward(self, x):
        output, h_n = self.encoder(x)
        return self.head(output) + h_n.sum()


def test_to_torch_gives_torchs_module_with_these_weights():
    theirs, ours = pair(num_layers=2, bidirectional=True, dropout=0.25, batch_first=True)
    twin = ours.eval().to_torch()
    assert repr(twin) == repr(theirs)
    assert not twin.training
    x = torch.randn(3, 6, 5)
    assert torch.equal(twin(x)[0], theirs.eval()(x)[0])


@pytest.mark.parametrize(
    "options", [{"activation": "relu"}, {"reset": "before"}, {"reset_gate": "hard_sigmoid"}]
)
def test_to_torch_of_another_cell_is_refused(options):
    with pytest.raises(GateswapError, match=r"tanh and sigmoid .* it cannot be GRU\(5, 7"):
        GRU(5, 7, **options).to_torch()


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_jit_script_compiles_torchs_module_for_tanh_and_names_the_way_for_others():
    _, ours = pair()
    model = Model(ours)
    x = torch.randn(6, 3, 5)
    torch.testing.assert_close(torch.jit.script(model)(x), model(x), rtol=5e-6, atol=5e-6)
    with pytest.raises(GateswapError, match=r"TorchScript .* gru.to_torch\(\)"):
        torch.jit.script(Model(GRU(5, 7, activation="relu")))


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_jit_trace_names_the_way_before_anything_is_computed():
    with pytest.raises(GateswapError, match=r"TorchScript .* torch.export.export"):
        torch.jit.trace(Model(GRU(5, 7, activation="relu")), torch.randn(6, 3, 5))


def test_fx_keeps_it_whole_as_it_keeps_torchs():
    model = Model(GRU(5, 7, activation="relu"))
    traced = torch.fx.symbolic_trace(model)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == [
        "encoder",
        "head",
    ]
    x = torch.randn(6, 3, 5)
    assert torch.equal(traced(x), model(x))


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_quantize_dynamic_says_that_it_leaves_it_in_float_and_takes_torchs():
    from torch.ao.quantization import quantize_dynamic

    _, ours = pair()
    with pytest.warns(UserWarning, match=r"leaves activations.GRU in float: .* gru.to_torch\(\)"):
        quantized = quantize_dynamic(Model(ours))
    assert isinstance(quantized.encoder, GRU)
    x = torch.randn(6, 3, 5)
    found = quantize_dynamic(Model(ours.to_torch())).encoder(x)[0]
    # eight-bit weights
    torch.testing.assert_close(found, ours(x)[0], rtol=0, atol=0.02)


@pytest.mark.parametrize("given", ["a string", [1.0, 2.0], None])
def test_what_is_no_tensor_is_refused(given):
    with pytest.raises(TypeError, match="takes a Tensor or a PackedSequence, got"):
        GRU(5, 7)(given)


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 2, "bidirectional": True},
        {"activation": "arelu", "update_gate": "x*sigmoid(b*x); b=1 per unit", "bias": False},
        {"activation": "elu", "reset": "before", "batch_first": True},
        {"dtype": torch.float64, "activation": "mish"},
    ],
)
def test_one_step_at_a_time_is_the_whole_sequence(options):
    torch.manual_seed(0)
    options = {"implementation": "reference"} | options
    gru = GRU(5, 7, **(options | {"bidirectional": False}))
    dtype = options.get("dtype", torch.float32)
    x = torch.randn(3, 8, 5, dtype=dtype) if gru.batch_first else torch.randn(8, 3, 5, dtype=dtype)
    time = 1 if gru.batch_first else 0
    whole, last = gru(x)
    h, outputs = None, []
    with torch.no_grad():
        for step in x.split(1, time):
            output, h = gru(step, h)
            outputs.append(output)
    rounding = 1e-5 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(torch.cat(outputs, time), whole.detach(), rtol=0, atol=rounding)
    torch.testing.assert_close(h, last.detach(), rtol=0, atol=rounding)


def test_one_step_of_both_directions_is_torchs_and_its_state_is_its_own_memory():
    theirs, ours = pair(num_layers=2, bidirectional=True)
    x, h0 = torch.randn(1, 3, 5), torch.randn(4, 3, 7)
    with torch.no_grad():
        expected, found = theirs(x, h0), ours(x, h0)
        torch.testing.assert_close(found, expected, rtol=5e-6, atol=5e-6)
        output = found[0].clone()
        found[1].zero_()
        assert torch.equal(found[0], output)


def test_a_step_of_the_wrong_shape_or_type_is_refused_as_a_sequence_is():
    gru = GRU(5, 7)
    with torch.no_grad():
        for given in (
            (torch.zeros(1, 3, 4),),
            (torch.zeros(1, 3, 5), torch.zeros(1, 2, 7)),
            (torch.zeros(1, 3, 5, dtype=torch.float64),),
        ):
            with pytest.raises(ValueError, match=r"must be|is torch"):
                gru(*given)
