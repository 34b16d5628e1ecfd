"""Member results: whole records in, the same records out, and plain words for anything else."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activations.errors import InputError
from bench.data.members import Member, Variant
from bench.data.protocol import Protocol
from bench.training import results
from bench.training.identity import CorpusIdentity, Identity
from bench.training.results import CURVES, SELECTIONS, MemberResult, TornResultError

MEMBER = Member(Variant("arelu"), "Session1", 3)


def result(**changes: Any) -> MemberResult:
    """A small record with n = 3 test utterances, C = 2 classes, K = 2 points."""
    random = np.random.default_rng(0)
    identity = Identity(
        member=MEMBER,
        study="demo",
        corpus=CorpusIdentity(name="démo", synthetic=True),
        kernel="reference",
        device="cpu",
        precision="tf32",
        torch="2.13.0",
        host="here",
    )
    fields: dict[str, Any] = {
        "identity": identity,
        "outcome": "ok",
        "diverged_at": None,
        "curves": {name: random.random(2) for name in CURVES} | {"step": np.array([100, 200])},
        "ids": np.array(["a", "bb", "ü"]),
        "truths": np.array([0, 1, 1]),
        "speakers": np.array(["1F", "1M", "1F"]),
        "dialogs": np.array(["x", "x", "y"]),
        "lengths": np.array([3, 4, 5]),
        "improvised": np.array([True, False, True]),
        "logits": {name: random.random((3, 2)).astype(np.float32) for name in SELECTIONS},
        "selected_step": {"dev": 100, "oracle": 200, "last": 200},
        "dev_truths": np.array([1, 0]),
        "classes": ("ang", "hap"),
        "train_size": 10,
        "test_size": 3,
        "parameters": {"current.candidate": random.random((2, 1, 2, 1))},
        "diagnostics": {"saturated": random.random((3, 1, 2))},
        "wall_seconds": 1.5,
        "stack_members": 5,
        "peak_memory_bytes": 1 << 30,
        "parameter_count": 1234,
    }
    return MemberResult(**(fields | changes))


def assert_equal(a: MemberResult, b: MemberResult) -> None:
    for field in dataclasses.fields(MemberResult):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, dict) and any(isinstance(value, np.ndarray) for value in x.values()):
            assert x.keys() == y.keys()
            for name in x:
                np.testing.assert_array_equal(x[name], y[name], strict=True)
        elif isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, strict=True)
        else:
            assert x == y
            assert type(x) is type(y)


def test_record_read_back_equals_the_one_written(tmp_path: Path) -> None:
    record = result()
    record.save(tmp_path / "r.npz")
    assert_equal(record, MemberResult.load(tmp_path / "r.npz"))


def test_record_without_any_learnt_parameter_or_diagnostic_survives_too() -> None:
    record = result(parameters={}, diagnostics={}, outcome="diverged", diverged_at=7)
    assert_equal(record, MemberResult.from_bytes(record.to_bytes()))


def test_same_record_gives_the_same_bytes() -> None:
    assert result().to_bytes() == result().to_bytes()


def test_file_can_be_read_with_numpy_alone_and_without_pickle(tmp_path: Path) -> None:
    result().save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as file:
        assert '"study": "demo"' in str(file["meta"])
        assert file["logits/dev"].shape == (3, 2)


def test_record_knows_which_member_it_is_of() -> None:
    record = MemberResult.from_bytes(result().to_bytes())
    assert record.member == MEMBER
    assert (record.variant, record.fold, record.seed) == (MEMBER.variant, "Session1", 3)
    assert record.hyper == MEMBER.hyper


def test_header_of_a_record_is_what_it_always_was_and_the_formulas_beside_the_names() -> None:
    identity = result().identity.as_dict()
    formulas = identity["variant"].pop("formulas")
    assert formulas["activation"].endswith("; alpha=0.9, beta=2.0")
    assert identity == {
        "study": "demo",
        "variant": {
            "activation": "arelu",
            "update": "sigmoid",
            "reset": "sigmoid",
            "direction": "gru",
            "reset_order": "after",
        },
        "fold": "Session1",
        "seed": 3,
        "hyperparameters": MEMBER.hyper.identity(),
        "protocol": Protocol().as_dict(),
        "corpus": {"name": "démo", "fingerprint": "", "synthetic": True},
        "features": "",
        "code_version": "",
        "kernel": "reference",
        "device": "cpu",
        "precision": "float32, products 'high'",
        "torch": "2.13.0",
        "host": "here",
    }
    identity["variant"].pop("reset_order")  # as in a file that is older than the choice
    assert Identity.from_dict(identity) == result().identity


def test_predictions_are_the_largest_logits() -> None:
    logits = np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    assert result(logits={"dev": logits}).predictions("dev").tolist() == [1, 0, 0]


def test_torn_file_is_refused_by_name_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    content = result().to_bytes()
    for torn in (b"", content[:100], content[: len(content) // 2], content[:-30], b"hello" * 99):
        path.write_bytes(torn)
        with pytest.raises(InputError, match=r"r\.npz is not a whole result file .* set aside"):
            MemberResult.load(path)


def test_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(InputError, match=r"r\.npz is no result of gateswap's"):
        MemberResult.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"r\.npz is no result of gateswap's"):
        MemberResult.load(path)


def test_one_flipped_bit_anywhere_is_a_torn_file_or_changes_nothing() -> None:
    content = result().to_bytes()
    random = np.random.default_rng(0)
    harmless = 0  # dates and such
    for at in random.permutation(len(content))[:400]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << random.integers(8)
        try:
            read = MemberResult.from_bytes(bytes(flipped), where="r.npz")
        except TornResultError:
            continue
        assert read.to_bytes() == content
        harmless += 1
    assert harmless < 200


def test_a_record_of_a_later_format_is_no_torn_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(results, "FORMAT", 2)
        content = result().to_bytes()
    with pytest.raises(InputError, match=r"r\.npz was written in another format \(2\)") as raised:
        MemberResult.from_bytes(content, where="r.npz")
    assert not isinstance(raised.value, TornResultError)


@pytest.mark.parametrize(
    "changes",
    [
        {"truths": np.array([0, 1, 7])},
        {"truths": np.array([0.0, 1.0, 1.0])},
        {"dev_truths": np.array([-1])},
        {"speakers": np.array(["1F"])},
        {"logits": {name: np.zeros((3, 5)) for name in SELECTIONS}},
        {"logits": {"dev": np.zeros((3, 2))}},
        {"selected_step": {}},
        {"curves": {name: np.zeros(len(name)) for name in CURVES}},
        {"curves": {}},
    ],
    ids=str,
)
def test_arrays_that_do_not_belong_together_are_no_result(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"r\.npz is no result of gateswap's .* move it") as raised:
        MemberResult.from_bytes(result(**changes).to_bytes(), where="r.npz")
    assert not isinstance(raised.value, TornResultError)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.npz cannot be read: no such file"):
        MemberResult.load(tmp_path / "gone.npz")


def test_python_objects_never_reach_a_file() -> None:
    with pytest.raises(ValueError, match="ids holds Python objects"):
        result(ids=np.array(["a", None, "c"], dtype=object)).to_bytes()
