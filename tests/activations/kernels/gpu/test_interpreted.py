"""The GPU kernels against the reference, in Triton's interpreter, and compiled ahead of time."""

import pytest

from tests.interpreter import compiled, interpret

pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")

RAGGED = [[5, 0, 3, 7], [1, 4, 4, 2]]
SIGMOIDS = ("sigmoid", "sigmoid")
STREAMED = 0  # bytes of shared memory: nothing fits, so the kernel of one launch a step runs

# one activation of every family; the rest of the catalogue shares its printer and its functions
SAMPLE = (
    "tanh", "softsign", "relu", "leaky_relu", "elu", "selu", "softplus", "swish", "gelu", "mish",
    "arelu", "prelu", "swish_beta",
)  # fmt: skip


def case(**wanted: object) -> dict[str, object]:
    plain = {"lengths": RAGGED, "D": 1, "H": 5, "cell": (*SIGMOIDS, "tanh")}
    return plain | {"h0": False, "per_unit": False, "reset": "after"} | wanted


def projection(**wanted: object) -> dict[str, object]:
    return {"lengths": RAGGED, "bias": True} | wanted


BEFORE: dict[str, dict[str, object]] = {
    "learnable": {"cell": ("swish_beta", "arelu", "prelu"), "D": 2, "h0": True},
    "more rows than a tile": {
        "cell": ("prelu", "prelu", "tanh"),
        "lengths": [[2, 1] * 9],
        "per_unit": True,
    },
    "45 units, spare frames": {"H": 45, "lengths": [[3, 0, 2]], "h0": True, "D": 2, "spare": 9},
}

CASES = {
    **{
        # the other cases are of many lengths, this one of many activations
        f"candidate {name}": case(cell=(*SIGMOIDS, name), h0=True, lengths=[[2, 0, 1], [1, 2, 0]])
        for name in SAMPLE
    },
    "two directions with initial states": case(D=2, h0=True),
    "two directions, streamed": case(D=2, h0=True, shared=STREAMED),
    "one unit": case(H=1),
    "45 units, streamed": case(H=45, shared=STREAMED, lengths=[[3, 2]]),
    "100 units": case(H=100, lengths=[[2, 3]]),
    "one step of one row": case(lengths=[[1]]),
    "no frames at all": case(lengths=[[0, 0]], h0=True),
    "more rows than a tile": case(lengths=[[(7 * i) % 5 for i in range(37)]]),
    "more rows than a tile, streamed": case(
        lengths=[[(7 * i) % 5 for i in range(37)]], shared=STREAMED, D=2
    ),
    "learnable at every site": case(cell=("swish_beta", "sigmoid", "arelu"), D=2, h0=True, H=8),
    "learnable gates": case(
        cell=("arelu", "prelu", "tanh"), lengths=[[2, 1, 0], [1, 2, 2]], h0=True
    ),
    "learnable per unit": case(cell=("prelu", "prelu", "prelu"), per_unit=True, D=2, h0=True),
    "learnable per unit, streamed": case(
        cell=("prelu", "prelu", "prelu"), per_unit=True, D=2, h0=True, shared=STREAMED
    ),
    "spare frames": case(cell=("sigmoid", "prelu", "arelu"), D=2, h0=True, spare=9),
    "spare frames, streamed": case(
        cell=("sigmoid", "prelu", "arelu"), D=2, h0=True, spare=9, shared=STREAMED
    ),
    **{
        f"reset before, {how}{'' if on_chip else ', streamed'}": case(
            reset="before", **wanted, **({} if on_chip else {"shared": STREAMED})
        )
        for how, wanted in BEFORE.items()
        for on_chip in (True, False)
    },
    "projection of 45 features": projection(I=45, O=24),
    "projection to one score": projection(I=16, O=1),
    "projection of one feature": projection(I=1, O=5, bias=False),
    "projection of several tiles": projection(I=70, O=140, lengths=[[1, 0], [60, 8]]),
    "projection with spare frames": projection(I=20, O=16, spare=70),
    "projection of no frames at all": projection(I=3, O=4, lengths=[[0, 0]]),
}


def compare(cases: dict[str, dict[str, object]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = interpret(
        "activations.kernels.gpu.interpreted_cases", cases
    )
    return found


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float]]:
    return compare(CASES)


@pytest.mark.parametrize("name", CASES)
def test_gpu_kernel_equals_the_reference_in_values_and_gradients(
    name: str, interpreted: dict[str, dict[str, float]]
) -> None:
    # a few float32 roundings (6e-8 each) along at most seven steps
    wrong = {tensor: error for tensor, error in interpreted[name].items() if not error < 2e-6}
    assert not wrong


@pytest.mark.parametrize(
    ("precision", "low", "high"), [("high", 0.0, 1e-3), ("medium", 1e-5, 2e-2)]
)
def test_products_in_less_than_float32_err_as_their_format_says(
    precision: str, low: float, high: float
) -> None:
    # Triton's interpreter has no tf32 and computes it in float32; bf16 it rounds to 8 bits
    errors = compare({"it": case(H=16, D=2, precision=precision)})["it"]
    assert low <= errors["h"] < high
    assert max(errors.values()) < high


def test_a_nan_frame_reaches_the_same_states_and_gradients_as_in_the_reference() -> None:
    errors = compare(
        {
            f"{shared} {reset}": case(D=2, nan=[3], shared=shared, h0=True, reset=reset)
            for shared in (0, 227 * 1024)
            for reset in ("after", "before")
        }
    )
    assert all(differing == 0 for tensors in errors.values() for differing in tensors.values())


def test_kernels_compile_for_gpus_that_are_not_here_without_much_spilling() -> None:
    printed = compiled("-m", "bench.speed.ahead", "arelu", "any")
    made_by, head, *rows = [line.split(",") for line in printed.splitlines()]
    assert "triton" in made_by[-1]
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert {row["arch"] for row in table} == {"sm_80", "sm_90"}
    assert all(row["fits"] == "True" for row in table)
    assert max(int(row["stack_bytes"]) for row in table) <= 64
    on_chip = [row["kernel"] for row in table if row["arch"] == "sm_90" and row["H"] == "128"]
    assert {"sequence_forward", "sequence_backward"} <= set(on_chip)
