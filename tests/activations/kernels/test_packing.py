"""Packed frames: where each frame lies, against torch's packing and counting by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

from activations.kernels.packing import Packing

LENGTHS = torch.tensor([[3, 0, 5, 2], [0, 0, 1, 4], [5, 5, 5, 5]])

ragged = st.integers(1, 4).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(0, 6), min_size=rows, max_size=rows), min_size=1, max_size=3
    )
)


@given(ragged)
@settings(max_examples=60, deadline=None)
def test_every_frame_lies_where_its_row_and_time_say(lengths):
    lengths = torch.tensor(lengths)
    packing = Packing.from_lengths(lengths)
    G, B = lengths.shape
    wanted = [
        (g, t, row)
        for g in range(G)
        for t in range(packing.T)
        for row in sorted(range(B), key=lambda b, g=g: -int(lengths[g, b]))
        if t < lengths[g, row]
    ]
    assert packing.N == len(wanted) == packing.bounds[-1]
    assert packing.row_of_frame.tolist() == [g * B + b for g, _, b in wanted]
    assert packing.time_of_frame.tolist() == [t for _, t, _ in wanted]
    for g in range(G):
        for b in range(B):
            own = [n for n, (gg, _, bb) in enumerate(wanted) if (gg, bb) == (g, b)]
            assert packing.first_frames[g, b] == (own[0] if own else -1)
            assert packing.last_frames[g, b] == (own[-1] if own else -1)
        steps = list(zip(packing.starts[g, :-1], packing.batch_sizes[g], strict=True))
        assert [int(start + size) for start, size in steps] == packing.starts[g, 1:].tolist()


@given(ragged)
@settings(max_examples=60, deadline=None)
def test_unpacking_what_was_packed_gives_it_back_with_zeros_at_padding(lengths):
    lengths = torch.tensor(lengths)
    packing = Packing.from_lengths(lengths)
    padded = torch.randn(lengths.shape[0], packing.T, lengths.shape[1], 2) + 3
    real = torch.arange(packing.T)[None, :, None] < lengths[:, None, :]
    assert torch.equal(packing.unpack(packing.pack(padded)), padded * real[..., None])


@pytest.mark.parametrize("lengths", [[3, 1, 5, 2], [2, 2, 2], [1], [4, 7, 7, 4, 1]])
def test_one_group_is_laid_out_like_torchs_packed_sequence(lengths):
    lengths = torch.tensor(lengths)
    padded = torch.randn(int(lengths.max()), len(lengths), 3)
    theirs = pack_padded_sequence(padded, lengths, enforce_sorted=False)
    ours = Packing.from_lengths(lengths[None])
    assert torch.equal(ours.pack(padded[None]), theirs.data)
    assert torch.equal(ours.batch_sizes[0], theirs.batch_sizes)
    taken_over = Packing.from_batch_sizes(theirs.batch_sizes)
    assert torch.equal(taken_over.starts, ours.starts)
    assert torch.equal(taken_over.lengths[0], lengths.sort(descending=True).values)
    assert taken_over.in_order == ours.in_order
    assert not taken_over.has_empty


def test_rows_of_equal_length_are_not_copied_in_either_direction():
    packing = Packing.full(2, 4, 3)
    padded = torch.randn(2, 4, 3, 5)
    frames = packing.pack(padded)
    assert frames.data_ptr() == padded.data_ptr()
    assert packing.unpack(frames).data_ptr() == padded.data_ptr()


def test_full_is_what_equal_lengths_give():
    full, counted = Packing.full(3, 4, 2), Packing.from_lengths(torch.full((3, 2), 4))
    for name in ("lengths", "order", "batch_sizes", "starts", "row_of_frame", "time_of_frame"):
        assert torch.equal(getattr(full, name), getattr(counted, name)), name
    for name in ("bounds", "N", "T", "in_order", "has_empty"):
        assert getattr(full, name) == getattr(counted, name), name


def test_gradients_reach_real_frames_and_no_padding():
    packing = Packing.from_lengths(LENGTHS)
    padded = torch.randn(3, 5, 4, 2, requires_grad=True)
    packing.unpack(packing.pack(padded)).sum().backward()
    real = torch.arange(5)[None, :, None] < LENGTHS[:, None, :]
    assert torch.equal(padded.grad, real[..., None].expand_as(padded).to(padded.dtype))


def test_a_batch_of_nothing_but_empty_rows_has_no_frames():
    packing = Packing.from_lengths(torch.zeros(2, 3, dtype=torch.int64))
    assert (packing.N, packing.T, packing.has_empty) == (0, 0, True)
    assert packing.row_of_frame.numel() == 0
    assert (packing.last_frames == -1).all()
    assert packing.pack(torch.zeros(2, 0, 3, 4)).shape == (0, 4)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([3, 2]), r"\[G, B\]"),
        (torch.tensor([[1.0, 2.0]]), "float32"),
        (torch.tensor([[1, -2]]), "negative, got -2"),
    ],
)
def test_lengths_that_make_no_sense_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        Packing.from_lengths(lengths)


def test_frames_of_another_shape_are_refused():
    packing = Packing.from_lengths(LENGTHS)
    with pytest.raises(ValueError, match="G=3, T=5, B=4"):
        packing.pack(torch.zeros(3, 6, 4, 2))
    with pytest.raises(ValueError, match=f"N={packing.N}"):
        packing.unpack(torch.zeros(packing.N + 1, 2))


@given(ragged, st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_with_room_real_frames_lie_as_without_and_spare_ones_have_a_row_of_their_group(
    lengths, more_frames, more_steps
):
    lengths = torch.tensor(lengths)
    plain = Packing.from_lengths(lengths)
    room = max(plain.room, 1) + more_frames
    roomy = Packing.with_room(lengths, room, plain.T + more_steps)
    G, B = lengths.shape
    assert room * G == roomy.N
    assert roomy.bounds == tuple(g * room for g in range(G + 1))
    assert torch.equal(roomy.order, plain.order)
    assert torch.equal(roomy.batch_sizes[:, : plain.T], plain.batch_sizes)
    assert not roomy.batch_sizes[:, plain.T :].any()
    rows, times = roomy.row_of_frame.view(G, room), roomy.time_of_frame.view(G, room)
    for g in range(G):
        own = slice(plain.bounds[g], plain.bounds[g + 1])
        n = plain.bounds[g + 1] - plain.bounds[g]
        assert int(roomy.starts[g, 0]) == g * room
        assert int(roomy.starts[g, -1]) == g * room + n
        assert torch.equal(rows[g, :n], plain.row_of_frame[own])
        assert torch.equal(times[g, :n], plain.time_of_frame[own])
        assert ((rows[g, n:] >= g * B) & (rows[g, n:] < (g + 1) * B)).all()
        for ours, theirs in (
            (roomy.first_frames[g], plain.first_frames[g]),
            (roomy.last_frames[g], plain.last_frames[g]),
        ):
            wanted = torch.where(theirs < 0, theirs, theirs - plain.bounds[g] + g * room)
            assert torch.equal(ours, wanted)


def test_spare_frames_are_not_unpacked():
    roomy = Packing.with_room(torch.tensor([[2, 1]]), 5, 3)
    with pytest.raises(ValueError, match="spare"):
        roomy.unpack(torch.zeros(5, 1))
