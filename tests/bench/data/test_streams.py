import numpy as np
import pytest
import torch
from scipy import stats

from bench.data import streams

# Random123's tests/kat_vectors, the lines "philox4x32 10": counter, key, result
KNOWN_ANSWERS = """
00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""


def table() -> torch.Tensor:
    lines = KNOWN_ANSWERS.split("\n")
    return torch.tensor([[int(word, 16) for word in line.split()] for line in lines if line])


def keys(count: int) -> torch.Tensor:
    return torch.arange(count) * 0x3243F6A8885A308D + 17


@pytest.mark.parametrize("line", range(3))
def test_philox_gives_the_published_answers_one_block_at_a_time(line):
    *given, w, x, y, z = table()[line].split(1)
    result = streams.philox4x32(tuple(given[:4]), tuple(given[4:]))
    assert [int(v) for v in result] == [int(v) for v in (w, x, y, z)]


def test_philox_gives_the_published_answers_for_three_blocks_at_once_and_leaves_its_input_alone():
    columns = [column.clone() for column in table().T]
    before = [column.clone() for column in columns]
    result = streams.philox4x32(tuple(columns[:4]), tuple(columns[4:6]))
    assert torch.equal(torch.stack(result), table().T[6:])
    assert all(torch.equal(a, b) for a, b in zip(columns, before, strict=True))


def test_words_are_philox_of_block_step_purpose_and_key_in_that_order():
    key = keys(2)
    low, high = streams.purpose_words("dropout")
    drawn = torch.stack(streams.words(key, "dropout", 7, 5), -1)
    for m in range(2):
        for block in range(5):
            counter = tuple(torch.tensor([v]) for v in (block, 7, low, high))
            unsigned = int(key[m]) % 2**64
            halves = tuple(torch.tensor([v]) for v in (unsigned % 2**32, unsigned >> 32))
            assert torch.equal(drawn[m, block], torch.cat(streams.philox4x32(counter, halves)))


DRAWS = {
    "uniform": lambda k, s: streams.uniform(k, "p", 3, s),
    "normal": lambda k, s: streams.normal(k, "p", 3, s),
    "dropout_mask": lambda k, s: streams.dropout_mask(k, "p", 3, s, 0.3),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("shape", [(1,), (7,), (5, 3), (64, 129), (300, 500), (2, 0), ()])
def test_a_member_draws_the_same_bits_alone_as_in_any_stack(draw, shape):
    stack = keys(5)
    together = DRAWS[draw](stack, shape)
    assert together.dtype == torch.float32
    assert together.shape == (5, *shape)
    assert torch.equal(DRAWS[draw](stack.flip(0), shape).flip(0), together)
    for m in range(5):
        assert torch.equal(DRAWS[draw](stack[m : m + 1], shape)[0], together[m])


@pytest.mark.parametrize("draw", DRAWS)
def test_the_number_of_threads_does_not_change_a_draw(draw):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = DRAWS[draw](keys(3), (400, 300))
        torch.set_num_threads(2)
        assert torch.equal(DRAWS[draw](keys(3), (400, 300)), one)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("other", ["key", "purpose", "step"])
def test_another_key_purpose_or_step_is_an_unrelated_stream(other):
    n = 100_000
    first = streams.uniform(keys(1), "p", 0, (n,))[0]
    second = {
        "key": lambda: streams.uniform(keys(2)[1:], "p", 0, (n,))[0],
        "purpose": lambda: streams.uniform(keys(1), "q", 0, (n,))[0],
        "step": lambda: streams.uniform(keys(1), "p", 1, (n,))[0],
    }[other]()
    correlation = float(np.corrcoef(first, second)[0, 1])
    assert abs(correlation) < 5 / n**0.5  # five standard errors of a correlation of nothing
    assert (first == second).float().mean() < 1e-4


def test_uniform_numbers_are_uniform_on_the_half_open_interval():
    drawn = streams.uniform(keys(2), "p", 0, (500_000,)).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    for row in drawn:
        assert stats.kstest(row[:100_000], "uniform").pvalue > 1e-4
    # neighbours in one member, and the same place in two members
    assert abs(np.corrcoef(drawn[0, 1:], drawn[0, :-1])[0, 1]) < 5 / 500_000**0.5
    assert abs(np.corrcoef(drawn[0], drawn[1])[0, 1]) < 5 / 500_000**0.5


def test_normal_numbers_are_normal_and_finite():
    drawn = streams.normal(keys(1), "p", 0, (400_000,))[0].numpy()
    assert np.isfinite(drawn).all()
    assert stats.kstest(drawn[:100_000], "norm").pvalue > 1e-4
    assert abs(drawn.std() - 1) < 0.01
    quarter = (
        len(drawn) // 4
    )  # cosine and sine of one angle must not be correlated in value or size
    parts = drawn.reshape(4, quarter)
    for a in range(4):
        for b in range(a):
            assert abs(np.corrcoef(parts[a], parts[b])[0, 1]) < 5 / quarter**0.5
            assert abs(np.corrcoef(parts[a] ** 2, parts[b] ** 2)[0, 1]) < 5 / quarter**0.5


@pytest.mark.parametrize("drop", [0.0, 0.1, 0.5, 0.9])
def test_a_dropout_mask_drops_its_share_and_keeps_the_expectation(drop):
    n = 400_000
    mask = streams.dropout_mask(keys(1), "p", 0, (n,), drop)[0].double()
    dropped = float((mask == 0).double().mean())
    assert abs(dropped - drop) < 5 * (drop * (1 - drop) / n) ** 0.5 + 2**-17
    kept = mask[mask > 0]
    assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - drop)), rtol=1e-4)
    halves = mask.numpy().reshape(8, -1)  # upper and lower 16 bits of the four words
    if drop:
        correlations = np.corrcoef(halves) - np.eye(8)
        assert np.abs(correlations).max() < 5.5 / (n / 8) ** 0.5


def test_each_member_of_a_stack_may_have_its_own_dropout():
    drops = torch.tensor([0.0, 0.25, 0.5])
    mask = streams.dropout_mask(keys(3), "p", 2, (40, 50), drops)
    for m in range(3):
        alone = streams.dropout_mask(keys(3)[m : m + 1], "p", 2, (40, 50), float(drops[m]))
        assert torch.equal(mask[m : m + 1], alone)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 4001])
def test_a_permutation_holds_every_index_once_and_repeats_exactly(n):
    order = streams.permutation(11, "shuffle", 0, n)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort().values, torch.arange(n))
    assert torch.equal(streams.permutation(11, "shuffle", 0, n), order)
    if n > 100:
        for other in ((12, 0), (11, 1)):
            again = streams.permutation(other[0], "shuffle", other[1], n)
            assert float((again == order).float().mean()) < 0.01


def test_all_orders_of_three_are_equally_likely():
    counts = dict.fromkeys(["012", "021", "102", "120", "201", "210"], 0)
    for epoch in range(3000):
        order = streams.permutation(1, "shuffle", epoch, 3)
        counts["".join(str(int(i)) for i in order)] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"int64 \[M\]"):
        streams.uniform(torch.zeros(3), "p", 0, (2,))
    with pytest.raises(ValueError, match="step -1"):
        streams.uniform(keys(1), "p", -1, (2,))
    for drop in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="dropout probability"):
            streams.dropout_mask(keys(1), "p", 0, (2,), drop)
        with pytest.raises(ValueError, match="dropout probability"):
            streams.dropout_mask(keys(1), "p", 0, (2,), torch.tensor([drop]))


@pytest.mark.gpu
@pytest.mark.parametrize("draw", DRAWS)
def test_cuda_draws_the_same_bits_as_the_cpu(draw):
    on_cpu = DRAWS[draw](keys(4), (33, 65))
    on_cuda = DRAWS[draw](keys(4).cuda(), (33, 65))
    assert on_cuda.is_cuda
    assert torch.equal(on_cuda.cpu(), on_cpu)
