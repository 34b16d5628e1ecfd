"""Engines: trouble with one stack is named and stops no other."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from activations.errors import GateswapError, InputError
from bench.members import Member, Variant
from bench.training import TrainingSettings
from studies import engines
from tests.studies.conftest import fake_result

STACKS = [
    [(f"{name}{fold}", Member(Variant(name), fold, 3)) for fold in ("Ses01", "Ses02")]
    for name in ("tanh", "relu", "elu")
]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GateswapError("the kernel cannot run here"), "failed: the kernel cannot run here"),
        (RuntimeError("shapes differ\nat line 3"), "failed: RuntimeError: shapes differ"),
        (torch.OutOfMemoryError("CUDA out of memory"), "train fewer at once: stack.max_members=1"),
    ],
)
def test_a_stack_that_fails_names_its_members_and_the_others_go_on(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(members: Sequence[Member], *_args: Any, **_kwargs: Any) -> list[Any]:
        if members[0].variant.activation == "relu":
            raise error
        return [fake_result(member) for member in members]

    monkeypatch.setattr(engines, "train_stack", train)
    data: Any = None
    done = list(engines.train_here(STACKS, data, TrainingSettings(), lambda *_: None))
    assert [bool(finished.error) for finished in done] == [False, True, False]
    assert list(done[2].results) == ["eluSes01", "eluSes02"]
    assert done[1].results == {}
    assert "training relu · gru (folds Ses01 Ses02; seeds 3)" in done[1].error
    assert said in done[1].error
    assert "\n" not in done[1].error


def test_a_device_that_is_not_here_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert engines.choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="use --device cpu"):
        engines.choose_device("cuda")
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        engines.choose_device("tpu")
