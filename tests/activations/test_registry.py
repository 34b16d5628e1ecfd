"""Finding activations: by any spelling, by torch's own objects, by text; never the wrong one."""

from importlib.metadata import EntryPoint

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_f

import activations
from activations import Formula, InputError, registry


@pytest.fixture(autouse=True)
def _forget_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.mark.parametrize(
    "spelling", ["leaky_relu", "LeakyReLU", "leaky-relu", "Leaky ReLU", "LRELU", " leaky_relu "]
)
def test_spelling_does_not_matter(spelling: str) -> None:
    assert activations.get(spelling).name == "leaky_relu"


def test_formula_is_its_own_name() -> None:
    formula = activations.parse("x*tanh(x)")
    assert activations.get(formula) is formula


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("swsh", "swish"), ("tanhh", "tanh"), ("leakyrlu", "leaky_relu"), ("arelo", "arelu")],
)
def test_misspelt_name_is_answered_with_the_right_one(typed: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        activations.get(typed)
    message = str(caught.value)
    assert f"no activation '{typed}'. Did you mean" in message
    assert f"'{meant}'" in message
    assert f"All {len(activations.names())}: gateswap activations" in message


@pytest.mark.parametrize(
    "typed", ["", "qqqqqq", "x.y", "tanh\n", "\x1b[31mtanh?", "té", "a" * 5000]
)
def test_unknown_name_is_one_printable_line(typed: str) -> None:
    if typed == "tanh\n":
        assert activations.get(typed).name == "tanh"
        return
    with pytest.raises(InputError) as caught:
        activations.get(typed)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (torch.tanh, "tanh"),
        (torch_f.gelu, "gelu"),
        (torch.relu, "relu"),
        (torch.Tensor.sigmoid, "sigmoid"),
        (torch_f.silu, "silu"),
        (nn.ReLU, "relu"),
        (nn.ReLU(inplace=True), "relu"),
        (nn.Hardswish, "hard_swish"),
        (nn.ELU(), "elu"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.PReLU, "prelu"),
        (nn.PReLU(), "prelu"),
        (nn.GELU("tanh"), "gelu_tanh"),
        (nn.RReLU, "rrelu"),
    ],
)
def test_torch_objects_with_default_settings_are_the_catalogues(spec: object, name: str) -> None:
    assert activations.get(spec).name == name


@pytest.mark.parametrize(
    "module",
    [
        nn.ELU(0.3),
        nn.CELU(2.0),
        nn.Hardtanh(-0.5, 2.0),
        nn.LeakyReLU(0.2),
        nn.Softshrink(0.7),
        nn.Hardshrink(0.1),
        nn.Softplus(beta=3.0),
        nn.Threshold(0.2, -1.0),
        nn.RReLU(0.1, 0.2).eval(),
        nn.PReLU(init=0.4).requires_grad_(False),
    ],
    ids=repr,
)
def test_torch_modules_keep_their_settings(module: nn.Module) -> None:
    formula = activations.get(module)
    x = torch.linspace(-3, 3, 601)
    initial = [torch.tensor(value) for value in formula.initial]
    torch.testing.assert_close(formula.torch_function(x, *initial), module(x))


def test_prelu_with_a_slope_for_each_unit_is_learnt_for_each_unit() -> None:
    formula = activations.get(nn.PReLU(4, init=0.1))
    assert [(p.initial, p.scope) for p in formula.parameters] == [
        (pytest.approx(0.1), "unit"),
    ]
    learnt = nn.PReLU(2)
    learnt.weight.data[0] = 0.7
    with pytest.raises(InputError, match="different slopes"):
        activations.get(learnt)


@pytest.mark.parametrize(
    "spec", [print, len, nn.Linear, nn.Linear(2, 2), 3, None, torch.add, nn.GLU()]
)
def test_what_is_no_known_activation_is_refused_and_not_guessed(spec: object) -> None:
    with pytest.raises(InputError, match="is not an activation Gateswap knows"):
        activations.get(spec)


def test_subclass_of_a_torch_module_is_refused_because_it_may_compute_anything() -> None:
    class MyReLU(nn.ReLU):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -x

    with pytest.raises(InputError):
        activations.get(MyReLU())


def test_registered_text_is_found_by_name_and_alias_and_listed() -> None:
    registered = activations.register("x*tanh(a*x); a=0.5", name="my_act", aliases=("mine",))
    assert activations.get("MyAct") == registered
    assert activations.get("mine").parameters[0].initial == 0.5
    assert activations.names()[-1] == "my_act"
    assert (
        activations.register("x*tanh(a*x); a=0.5", name="my_act", aliases=("mine",)) == registered
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [("tanh", "is taken"), ("Swish", "is taken"), ("no way", "cannot be"), ("", "cannot be")],
)
def test_registering_under_a_taken_or_impossible_name_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        activations.register("x*tanh(x)*2", name=name)


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, registry.ENTRY_POINTS)


def with_entry_points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._plugins.cache_clear()


PLUGIN_TEXT = "x*sin(x)"
PLUGIN_FORMULA = activations.parse("x*cos(b*x); b=2.0")
PLUGIN_NONSENSE = 3


def test_installed_packages_add_activations_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_points(
        monkeypatch,
        point("plug_text", f"{__name__}:PLUGIN_TEXT"),
        point("plug_formula", f"{__name__}:PLUGIN_FORMULA"),
    )
    try:
        assert activations.names()[-2:] == ["plug_text", "plug_formula"]
        assert activations.get("PlugText").expression == activations.parse(PLUGIN_TEXT).expression
        assert activations.get("plug_formula").initial == (2.0,)
    finally:
        registry._plugins.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("plug", "PLUGIN_NONSENSE", "is no Formula"), ("tanh", "PLUGIN_TEXT", "shipped")],
)
def test_faulty_entry_point_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    with_entry_points(monkeypatch, point(name, f"{__name__}:{value}"))
    try:
        with pytest.raises(InputError, match=said) as caught:
            activations.names()
        assert value in str(caught.value)
    finally:
        registry._plugins.cache_clear()


def test_formulas_of_the_catalogue_are_made_once() -> None:
    assert activations.get("mish") is activations.get("Mish")
    assert isinstance(activations.get("mish"), Formula)
