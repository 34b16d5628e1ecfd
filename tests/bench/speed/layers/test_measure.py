"""The benchmark: that the contestants do the same work, and that its arithmetic is right."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import activations.registry as registry
import bench.speed.layers.contestants as contestants
from activations.errors import GateswapError, InputError
from activations.kernels.cpu import calibration
from activations.kernels.precision import PRECISIONS, precision
from bench.speed import machine
from bench.speed.layers import (
    Absence,
    LayerShape,
    Report,
    Timing,
    figure,
    measure,
    summary,
    whole_step,
)
from bench.speed.layers.contestants import NATIVE, Entrant, eager_activation, eager_gru, enter
from bench.speed.layers.measure import _rows
from bench.speed.layers.peers import flashrnn_weights
from bench.speed.lengths import iemocap_like_lengths
from bench.speed.machine import at_precision
from bench.speed.step_time import made_up_data

KEYS = {"activation", "T", "B", "I", "H", "R", "contestant", "ms", "gflops", "ratio"}


def row(activation, contestant, ms, *, shape=None, ratio=1.0, frames=6400.0):
    return Timing(
        activation=activation,
        shape=shape or LayerShape(T=100, B=64, I=45, H=128),
        contestant=contestant,
        ms=ms,
        ms_quartiles=(ms, ms),
        gflops=50.0,
        sgemm_share=0.5,
        bytes=2e6,
        limit_ms=ms / 4,
        limit_share=0.25,
        ratio=ratio,
        frames=frames,
    )


def report(*rows):
    return Report(
        machine="a machine",
        device="cpu",
        kernel="cpu (gcc)",
        precision="ieee",
        repeats=7,
        sgemm_gflops=100.0,
        copy_gbs=10.0,
        rows=rows,
        absent=(Absence("jax", "not installed"), Absence("flashrnn", "no nvcc", "tanh, H=128")),
    )


def test_the_eager_loop_is_torchs_gru():
    gru = nn.GRU(5, 7)
    x = torch.randn(6, 3, 5)
    with torch.no_grad():
        states = eager_gru(x, *gru.parameters(), [], torch.tanh)
        torch.testing.assert_close(states, gru(x)[0])


@pytest.mark.parametrize("name", registry.names())
def test_the_eager_loops_activation_is_the_formula(name):
    formula = registry.get(name)
    x = torch.linspace(-6, 6, 97, dtype=torch.float64)
    parameters = [x.new_tensor([initial]) for initial in formula.initial]
    torch.testing.assert_close(
        eager_activation(formula)(x, *parameters), formula.torch_function(x, *parameters)
    )
    assert (name in NATIVE) <= (not parameters)


def test_operations_are_those_that_torch_counts_in_the_eager_loop():
    shape = LayerShape(T=6, B=3, I=5, H=7)
    gru = nn.GRU(shape.I, shape.H)
    x = torch.randn(shape.T, shape.B, shape.I, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        eager_gru(x, *gru.parameters(), [], torch.tanh).sum().backward()
    # the loop leaves out one product: no gradient by the first step's state, which is constant
    left_out = 2 * shape.B * 3 * shape.H * shape.H
    assert counter.get_total_flops() == shape.flops_per_frame * shape.T * shape.B - left_out


def test_bytes_are_the_sizes_of_what_a_pass_takes_and_gives():
    shape = LayerShape(T=6, B=3, I=5, H=7, R=2)
    taken, given = [], []
    for _ in range(shape.R):
        gru = nn.GRU(shape.I, shape.H)
        x = torch.randn(shape.T, shape.B, shape.I, requires_grad=True)
        states = gru(x)[0]
        upstream = torch.randn_like(states)
        taken += [x, upstream, *gru.parameters()]
        given += [states, *torch.autograd.grad(states, (x, *gru.parameters()), upstream)]
    moved = sum(tensor.nbytes for tensor in taken + given)
    assert shape.compulsory_bytes(shape.R * shape.T * shape.B) == moved


@pytest.mark.parametrize(("gflops", "gbs", "limit_ms"), [(1.0, 1e9, 2.0), (1e9, 0.5, 4.0)])
def test_a_rows_limit_is_the_slower_of_operations_and_bytes(gflops, gbs, limit_ms):
    shape = LayerShape(T=1, B=1, I=1, H=1)
    frames = 2e6 / shape.flops_per_frame if gbs > gflops else 1.0
    moved = shape.compulsory_bytes(frames)
    entry = Entrant("torch.nn.GRU", "tanh", shape, lambda: None, 1, frames)
    seconds = np.full((3, 1), 8e-3)
    found = _rows([entry], seconds, gflops, gbs)[0]
    wanted = limit_ms if gbs > gflops else 1e3 * moved / (gbs * 1e9)
    assert found.bytes == moved
    assert found.limit_ms == pytest.approx(wanted)
    assert found.limit_share == pytest.approx(wanted / 8)


@pytest.fixture
def small_machine(monkeypatch):
    """The products and copies that contestants are held against are small, and steps short."""
    monkeypatch.setitem(machine.PRODUCT, "cpu", 64)
    monkeypatch.setitem(machine.COPY, "cpu", 1 << 20)

    def short(examples, *, device):
        lengths = iemocap_like_lengths(examples, mean=8.0, longest=20)
        return made_up_data(lengths, sessions=[examples // 5] * 5, device=device)

    monkeypatch.setattr(whole_step, "iemocap_like_data", short)


def test_a_contestant_that_fails_is_left_out_with_its_reason_and_the_run_goes_on(
    monkeypatch, small_machine
):
    def fails(*arguments):
        raise RuntimeError("no kernel\nfor this shape")

    monkeypatch.setattr(contestants, "jax_gru", fails)
    found = measure(
        activations=["tanh", "relu"],
        parts=["layer"],
        hidden=[4],
        contestants=["jax", "keras", "gateswap"],
        repeats=1,
    )
    assert {each.contestant for each in found.rows} == {"gateswap", "torch.nn.GRU"}
    jax, keras = found.absent
    reason = "RuntimeError: no kernel for this shape"
    assert (jax.contestant, jax.reason, jax.where) == ("jax", reason, "tanh, T=100 H=4 R=1")
    assert keras.contestant == "keras"
    assert found.as_dict()["absent"][0]["reason"] == reason


def test_a_run_sets_the_precision_it_was_asked_for_and_puts_torchs_own_back():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    for ours, torchs in PRECISIONS.items():
        with at_precision(ours):
            assert torch.get_float32_matmul_precision() == torchs
            assert precision() == ours
            assert torch.backends.cudnn.allow_tf32 == (ours != "ieee")
    with at_precision(None):
        assert torch.get_float32_matmul_precision() == before[0]
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_flashrnns_weights_are_those_of_the_gru_they_are_made_from():
    library = pytest.importorskip("flashrnn", reason="FlashRNN is not installed")
    gru = nn.GRU(4, 7)
    x = torch.randn(5, 3, 4)
    w_ih, w_hh, bias = flashrnn_weights(gru)
    gates_x = nn.functional.linear(x, w_ih).view(5, 3, 3, 1, 7).transpose(0, 1)
    states, _ = library.flashrnn(
        gates_x, w_hh, bias, function="gru", backend="vanilla", dtype="float32"
    )
    torch.testing.assert_close(states[0, :, :, 0].transpose(0, 1), gru(x)[0])


@pytest.mark.parametrize("lengths", ["equal", "iemocap"])
def test_a_stack_and_torchs_calls_run_over_the_same_frames(lengths):
    shape = LayerShape(T=9, B=4, I=5, H=3, R=2, lengths=lengths)
    batches = [torch.tensor([[9, 9, 9, 9], [9, 9, 9, 9]])]
    if lengths == "iemocap":
        batches = [torch.tensor([[3, 9, 1, 5], [2, 2, 9, 1]]), torch.tensor([[1, 1, 2, 1]] * 2)]
    device = torch.device("cpu")
    for name in ("gateswap", "torch.nn.GRU"):
        entry = enter(name, registry.get("relu"), shape, batches, device)
        assert entry.frames == sum(int(each.sum()) for each in batches)
        assert entry.batches == len(batches)
        assert entry.activation == ("relu" if name == "gateswap" else "tanh")
        entry.run()
    assert enter("eager", registry.get("relu"), shape, batches, device) is None


def test_a_measurement_of_every_part_has_the_rows_and_keys_that_programs_read(small_machine):
    seen = []
    found = measure(
        activations=["relu", "x*sigmoid(b*x); b=1"],
        hidden=[4],
        contestants=["gateswap", "eager"],
        repeats=1,
        progress=lambda *arguments: seen.append(arguments),
    )
    data = json.loads(json.dumps(found.as_dict()))
    assert {"machine", "sgemm_gflops", "rows"} <= set(data)
    assert data["sgemm_gflops"] > 0
    total = seen[0][1]
    assert [at[:2] for at in seen] == [(done, total) for done in range(total)]
    for each in data["rows"]:
        assert set(each) >= KEYS
        assert each["ms"] > 0
        # with one heat for each shape a ratio is that of the two medians themselves
        base = [
            other["ms"]
            for other in data["rows"]
            if other["contestant"] == "torch.nn.GRU"
            and all(other[key] == each[key] for key in ("T", "B", "I", "H", "R", "lengths", "step"))
        ]
        assert each["ratio"] == pytest.approx(base[0] / each["ms"])
    layers = {
        (each["activation"], each["contestant"])
        for each in data["rows"]
        if each["R"] == 1 and each["T"] == 100 and not each["step"]
    }
    own = "x*sigmoid(b*x); b=1.0"
    assert layers == {
        ("tanh", "torch.nn.GRU"),
        ("relu", "gateswap"),
        ("relu", "eager"),
        (registry.get(own).name, "gateswap"),
        (registry.get(own).name, "eager"),
    }
    assert {each["R"] for each in data["rows"]} == {1, 3, 15, 25}
    assert {each["lengths"] for each in data["rows"]} == {"equal", "iemocap"}


@pytest.mark.parametrize("mean", [45.0, 91.0])
def test_made_up_lengths_have_iemocaps_mean_and_cut_and_are_the_same_in_every_run(mean):
    drawn = iemocap_like_lengths(5531, mean=mean)
    assert drawn.shape == (5531,)
    assert drawn.mean() == pytest.approx(mean, rel=1e-2)  # rounding to whole frames moves it
    assert 1 <= drawn.min() < mean / 3
    assert 3 * mean < drawn.max() <= 500
    assert (drawn == iemocap_like_lengths(5531, mean=mean)).all()
    assert (drawn != iemocap_like_lengths(5531, mean=mean, seed=1)).any()


def test_a_mean_that_the_cut_does_not_allow_is_refused():
    with pytest.raises(ValueError, match="needs a cut at twice that"):
        iemocap_like_lengths(10, mean=91.0, longest=100)


def test_the_summary_is_what_one_computes_by_hand():
    found = summary(
        report(
            row("tanh", "torch.nn.GRU", 40.0),
            row("tanh", "gateswap", 10.0, ratio=4.0),
            row("relu", "gateswap", 40.0, ratio=1.0),
            row("tanh", "eager", 60.0),
            row("relu", "eager", 60.0),
        )
    )
    values = [(finding.value, finding.where) for finding in found]
    assert values == [
        (pytest.approx(2.0), "n=2"),  # √(4 · 1)
        (1.0, "relu"),
        (pytest.approx(3.0), "n=2"),  # √(6 · 1.5)
        (1.5, "relu"),
        (50.0, "tanh"),
    ]


def test_stacks_are_compared_per_gru_and_lengths_per_real_frame():
    stack = {R: LayerShape(T=100, B=64, I=45, H=128, R=R) for R in (3, 15)}
    equal = LayerShape(T=91, B=64, I=45, H=128, R=3)
    ragged = LayerShape(T=500, B=64, I=45, H=128, R=3, lengths="iemocap")
    found = summary(
        report(
            row("tanh", "gateswap", 30.0, shape=stack[3], frames=3 * 6400),
            row("tanh", "gateswap", 120.0, shape=stack[15], frames=15 * 6400),
            row("tanh", "gateswap", 20.0, shape=equal, frames=3 * 64 * 91),
            row("tanh", "gateswap", 30.0, shape=ragged, frames=3 * 64 * 91 * 1.02),
        )
    )
    assert [finding.value for finding in found] == [
        pytest.approx((120 / 15) / (30 / 3)),
        pytest.approx(30 / 20 / 1.02),
    ]


def test_people_get_a_table_with_the_machine_and_who_is_missing():
    text = io.StringIO()
    Console(file=text, width=120).print(
        report(row("tanh", "torch.nn.GRU", 40.0), row("arelu", "gateswap", 12.345, ratio=3.24))
    )
    for part in ("a machine", "T=100 B=64 I=45 H=128 R=1", "12.35", "3.24", "25 %"):
        assert part in text.getvalue()
    assert "jax did not take part: not installed" in text.getvalue()
    assert "flashrnn did not take part at tanh, H=128: no nvcc" in text.getvalue()


def test_a_run_on_a_busy_machine_says_so():
    steady = row("tanh", "torch.nn.GRU", 40.0)
    shaken = replace(steady, ms_quartiles=(30.0, 50.0))
    for rows, busy in (((steady,), False), ((shaken,), True)):
        text = io.StringIO()
        Console(file=text, width=200).print(report(*rows))
        assert ("quartiles lie 50% of its median apart" in text.getvalue()) == busy


def test_the_figure_shows_one_mark_for_each_activation_and_size():
    wide = LayerShape(T=100, B=64, I=45, H=512)
    fig, axes = figure(
        report(
            row("tanh", "torch.nn.GRU", 40.0),
            row("tanh", "gateswap", 10.0, ratio=4.0),
            row("relu", "gateswap", 20.0, ratio=2.0),
            row("tanh", "gateswap", 30.0, ratio=1.5, shape=wide),
        )
    )
    marks = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() != "None"]
    assert marks == [[[4.0, 0.0], [2.0, 1.0]], [[1.5, 0.0]]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tanh", "relu"]
    fig.savefig(io.BytesIO(), format="svg")


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="no single layers"):
        figure(report())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_the_cuda_benchmark_says_what_to_do():
    with pytest.raises(GateswapError, match="--device cpu"):
        measure("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["ieee", "tf32", "bf16"])
def test_on_a_gpu_a_layer_and_stacks_are_timed_with_device_events(precision):
    found = measure(
        "cuda",
        activations=["tanh"],
        parts=["layer", "stack"],
        hidden=[32],
        repeats=2,
        precision=precision,
    )
    failed = {each.reason for each in found.absent if each.where}
    assert {each.contestant for each in found.rows} >= {
        "torch.nn.GRU", "gateswap", "gateswap graph", "batched products",
    }, failed  # fmt: skip
    assert found.precision == precision
    assert all(each.ms > 0 for each in found.rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"parts": ["layers"]}, "no part 'layers'"),
        ({"contestants": ["tensorflow"]}, "no contestant 'tensorflow'"),
        ({"activations": ["swsh"]}, "no activation 'swsh'"),
        ({"repeats": 0}, "must be from 1 to 10,000, not 0"),
        ({"precision": "fp8"}, "no precision 'fp8'"),
        ({"precision": "tf32"}, "on a CPU"),
        ({"precision": "bf16", "hidden": [4]}, "this machine's CPU has no use for bf16"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(arguments, message, monkeypatch):
    monkeypatch.setattr(calibration, "speedup", lambda hidden: 0.5)  # where it would be asked
    with pytest.raises(InputError, match=message):
        measure(**arguments)
