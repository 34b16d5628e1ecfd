"""Batches: the right frames in the right places, and every member its own order."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.data import gathering
from bench.data.batches import Hearing, Order, gather, gather_in_room
from bench.data.members import Member, Variant
from tests.bench import tiny


def test_batch_holds_exactly_the_frames_of_each_utterance_in_time_order() -> None:
    data = tiny.data()
    examples = torch.randint(36, (2, 5), generator=torch.Generator().manual_seed(0))
    batch = gather(data, examples)
    table = data.examples
    first = np.concatenate([[0], np.cumsum(data.lengths[0].numpy())[:-1]])
    assert batch.packing.groups == 6
    for e, utterances in enumerate((table.current, table.own, table.other)):
        for m in range(2):
            for b in range(5):
                utterance = int(utterances[examples[m, b]])
                mine = batch.packing.row_of_frame == (e * 2 + m) * 5 + b
                mine_in_order = torch.argsort(batch.packing.time_of_frame[mine])
                got = batch.frames[mine][mine_in_order]
                n = int(data.lengths[0, utterance]) if utterance >= 0 else 0
                start = int(first[utterance]) if utterance >= 0 else 0
                assert torch.equal(got, data.frames[start : start + n])
    assert torch.equal(batch.labels, data.labels[examples])


def test_batch_with_room_holds_the_same_frames_in_the_same_order() -> None:
    data = tiny.data()
    for seed in range(5):
        examples = torch.randint(36, (2, 5), generator=torch.Generator().manual_seed(seed))
        plain, roomy = gather(data, examples), gather_in_room(data, examples, 50, 9)
        assert torch.equal(roomy.labels, plain.labels)
        for g in range(6):
            first, last = plain.packing.bounds[g : g + 2]
            own = roomy.frames[50 * g : 50 * g + last - first]
            assert torch.equal(own, plain.frames[first:last])


def test_missing_context_is_an_empty_row_and_not_a_row_of_zeros() -> None:
    data = tiny.data()
    missing = int(np.flatnonzero(data.examples.own < 0)[0])
    packing = gather(data, torch.tensor([[missing]])).packing
    assert packing.lengths[1, 0] == 0
    assert packing.lengths.sum() == packing.N


def test_row_that_is_not_present_has_no_frames() -> None:
    batch = gather(tiny.data(), torch.tensor([[1, 2]]), torch.tensor([[True, False]]))
    assert not batch.packing.lengths[:, 1].any()
    assert (batch.packing.lengths[0, 0] > 0).all()


def members(*folds: str) -> list[Member]:
    return [Member(Variant(), fold, 3, tiny.SMALL) for fold in folds]


def test_member_sees_each_training_example_once_before_any_twice() -> None:
    data = tiny.data()
    order = Order(members("S1"), data)
    train = data.folds["S1"].train
    seen = torch.cat([order.examples(step)[0] for step in range(3 * len(train))])
    for epoch in range(5):
        part = seen[epoch * len(train) : (epoch + 1) * len(train)]
        assert sorted(part.tolist()) == sorted(train.tolist())
    assert seen[: len(train)].tolist() != seen[len(train) : 2 * len(train)].tolist()


def test_order_of_a_member_does_not_depend_on_its_companions_or_their_fold_sizes() -> None:
    data = tiny.data()
    assert len({len(fold.train) for fold in data.folds.values()}) == 3
    together = Order(members("S0", "S1", "S2"), data)
    for m, fold in enumerate(("S0", "S1", "S2")):
        alone = Order(members(fold), data)
        for step in range(9):
            assert torch.equal(together.examples(step)[m], alone.examples(step)[0])


def test_fold_smaller_than_a_batch_still_fills_it() -> None:
    data = tiny.data()
    small = dataclasses.replace(data.folds["S0"], train=data.folds["S0"].train[:3])
    data = dataclasses.replace(data, folds={"S0": small})
    examples = Order(members("S0"), data).examples(0)
    assert examples.shape == (1, 7)
    assert np.bincount(examples[0].numpy(), minlength=36).max() == 3


def test_other_seed_is_another_order() -> None:
    data = tiny.data()
    other = [dataclasses.replace(members("S0")[0], seed=4)]
    first = Order(members("S0"), data).examples(0)
    assert not torch.equal(first, Order(other, data).examples(0))


@pytest.mark.parametrize("normal", [True, False])
@pytest.mark.parametrize("hyper", [{}, {"context_mask": False}, {"missing_context": "frames"}])
def test_frames_copied_in_c_are_the_bits_that_index_operations_give(
    hyper: dict[str, object], normal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny.data()
    means = torch.randn(2, 2, tiny.FEATURES) if normal else None
    hearing = Hearing.of_hyper(dataclasses.replace(tiny.SMALL, **hyper), 3, means)
    examples = torch.randint(len(data.labels), (2, 9))
    present = torch.arange(9) % 4 != 3
    assert gathering.available(data.frames)
    found = gather(data, examples, present.expand(2, 9), hearing)
    monkeypatch.setattr(gathering, "available", lambda _: False)
    assert torch.equal(found.frames, gather(data, examples, present.expand(2, 9), hearing).frames)
