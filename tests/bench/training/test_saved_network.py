"""Kept networks: what a file holds predicts what its member did, and nothing else is loaded."""

import dataclasses
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import bench
from activations import registry
from activations.errors import InputError
from bench.data.batches import TrainingData
from bench.data.members import Hyperparameters, Member, Variant
from bench.training.loaded_network import LoadedNetwork, Turns
from bench.training.results import MemberResult
from bench.training.saved_network import Keep, SavedNetwork
from bench.training.train import TrainingSettings, train_stack
from tests.bench import tiny

GRU = dataclasses.replace(tiny.SMALL, kind="gru", layers=2)
LITERAL = dataclasses.replace(tiny.SMALL, missing_context="frames", dropout=0.0)


def trained(
    members: list[Member], keep: Keep, data: TrainingData | None = None
) -> tuple[list[MemberResult], list[SavedNetwork | None]]:
    kept: list[SavedNetwork | None] = []
    settings = TrainingSettings(keep=keep, features={"kind": "iaan45"})
    results = train_stack(members, data or tiny.data(), settings, on_networks=kept.extend)
    return results, kept


def heard(data: TrainingData, examples: NDArray[np.int64]) -> list[Turns]:
    """What the examples' three utterances are in the data, as a network is given them."""
    found = []
    for example in examples:
        three = []
        for place in range(3):
            start, n = int(data.offsets[place, example]), int(data.lengths[place, example])
            three.append(data.frames[start : start + n].numpy() if n else None)
        found.append((three[0], three[1], three[2]))
    return found


@pytest.mark.parametrize("hyper", [tiny.SMALL, GRU, LITERAL], ids=["iaan", "gru", "literal"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_kept_network_says_what_its_member_said_on_test(
    hyper: Hyperparameters, keep: Keep, tmp_path: Path
) -> None:
    data = tiny.data()
    hyper = dataclasses.replace(hyper, steps=9, evaluate_every=2)
    variant = Variant("max(x, 0) + a*min(x, 0); a=0.25", direction="bigru")
    members = [Member(variant, f"S{k}", k, hyper) for k in range(3)]
    results, kept = trained(members, keep, data)
    selection = "dev" if keep == "best" else "last"
    assert {result.selected_step["dev"] for result in results} != {9}  # so that the two differ
    for result, saved in zip(results, kept, strict=True):
        assert saved is not None
        assert saved.step == result.selected_step[selection]
        file = tmp_path / f"{result.fold}.safetensors"
        file.write_bytes(saved.to_bytes())
        network = bench.load_network(file)
        test = data.folds[result.fold].test
        logits = network.logits(heard(data, test))
        # float32 sums in batches of other rows
        np.testing.assert_allclose(logits, result.logits[selection], rtol=1e-4, atol=1e-5)
        names = [result.classes[number] for number in result.predictions(selection)]
        assert network.predict(heard(data, test)) == names
        assert saved.scores["test_uar"] in result.curves["test_uar"]


def test_folds_that_normalise_frames_themselves_put_their_statistics_into_the_file() -> None:
    plain = tiny.data()
    random = np.random.default_rng(0)
    normal = {
        name: plain.frames.new_tensor(random.uniform(0.5, 2, (2, tiny.FEATURES)))
        for name in plain.folds
    }
    data = dataclasses.replace(plain, normal=normal)
    (result,), (saved,) = trained([Member(Variant(), "S1", 0, tiny.SMALL)], "last", data)
    assert saved is not None
    np.testing.assert_array_equal(saved.normal, normal["S1"].numpy())
    again = LoadedNetwork(SavedNetwork.from_bytes(saved.to_bytes()))
    logits = again.logits(heard(data, data.folds["S1"].test))
    np.testing.assert_allclose(logits, result.logits["last"], rtol=1e-4, atol=1e-5)


def test_the_members_formula_counts_and_not_what_its_name_means_by_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    registry.register("x*sigmoid(x)", name="what_travels")
    _, (saved,) = trained([Member(Variant("what_travels"), "S0", 0, tiny.SMALL)], "last")
    assert saved is not None
    content, utterances = saved.to_bytes(), heard(tiny.data(), np.arange(5))
    before = LoadedNetwork(SavedNetwork.from_bytes(content)).logits(utterances)
    monkeypatch.setattr(registry, "_registered", {})
    registry.register("max(x, 0)", name="what_travels")
    after = LoadedNetwork(SavedNetwork.from_bytes(content)).logits(utterances)
    np.testing.assert_array_equal(before, after)


def test_a_member_that_diverged_has_no_network() -> None:
    wild = dataclasses.replace(tiny.SMALL, learning_rate=1e30)
    results, kept = trained([Member(Variant("relu"), "S0", 0, wild)], "best")
    assert results[0].outcome == "diverged"
    assert kept == [None]


@pytest.fixture(scope="module")
def content() -> bytes:
    _, (saved,) = trained([Member(Variant(), "S0", 0, tiny.SMALL)], "best")
    assert saved is not None
    assert saved.to_bytes() == saved.to_bytes()
    return saved.to_bytes()


def with_header(content: bytes, **changes: object) -> bytes:
    """The file with fields of our header changed."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    ours = json.loads(header["__metadata__"]["gateswap"]) | changes
    header["__metadata__"]["gateswap"] = json.dumps(ours)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def test_files_that_are_torn_changed_or_of_others_are_refused(
    content: bytes, tmp_path: Path
) -> None:
    flipped = bytearray(content)
    flipped[-3] ^= 1
    broken = {
        "not a whole": content[: len(content) // 2],
        "damaged": bytes(flipped),
        "later version": with_header(content, format=99),
        "no model": with_header(content, identity={}),
        "a whole safetensors file": b"PK\x03\x04 something else entirely",
    }
    for said, bad in broken.items():
        file = tmp_path / "m.safetensors"
        file.write_bytes(bad)
        with pytest.raises(InputError, match=said):
            bench.load_network(file)
    with pytest.raises(InputError, match="cannot be read"):
        bench.load_network(tmp_path / "missing.safetensors")


def test_a_header_that_claims_a_huge_network_is_refused_before_memory_is_taken(
    content: bytes,
) -> None:
    saved = SavedNetwork.from_bytes(content)
    member = saved.identity.member
    huge = dataclasses.replace(member.hyper, hidden_size=65_536)
    identity = dataclasses.replace(saved.identity, member=dataclasses.replace(member, hyper=huge))
    with pytest.raises(InputError, match=r"weights are not those .*should be"):
        LoadedNetwork(dataclasses.replace(saved, identity=identity))


def test_a_file_that_asks_for_code_gets_none_executed(content: bytes, tmp_path: Path) -> None:
    saved = SavedNetwork.from_bytes(content).identity.as_dict()
    trap = tmp_path / "trap"
    saved["variant"]["formulas"]["activation"] = f"__import__('os').system('touch {trap}')"
    with pytest.raises(InputError):
        LoadedNetwork(SavedNetwork.from_bytes(with_header(content, identity=saved)))
    assert not os.path.exists(trap)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (np.zeros((3, 4), np.float32), r"hears \[frames, 5\]"),
        (np.full((3, 5), np.nan, np.float32), "not finite"),
    ],
)
def test_frames_that_do_not_fit_are_named(
    content: bytes, frames: NDArray[np.float32], said: str
) -> None:
    network = LoadedNetwork(SavedNetwork.from_bytes(content))
    with pytest.raises(InputError, match=said):
        network.predict([frames])
    assert network.predict([]) == []


def test_no_context_at_all_is_a_missing_context(content: bytes) -> None:
    network = LoadedNetwork(SavedNetwork.from_bytes(content))
    frames = tiny.data().frames[:7].numpy()
    np.testing.assert_array_equal(
        network.logits([frames]), network.logits([(frames, None, np.zeros((0, 5), np.float32))])
    )
