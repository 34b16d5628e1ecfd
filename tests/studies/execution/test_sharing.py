"""Sharing a CPU: workers where their threads are used better, one process where they are not."""

import dataclasses
from collections.abc import Sequence

import pytest

from bench.data.members import Hyperparameters, Member, Variant
from bench.speed.step_time import iemocap_like_data
from bench.training.train import TrainingSettings
from studies.execution.engines import NamedStack
from studies.execution.sharing import WORKER, Sharing, share, spread

DATA = iemocap_like_data(400)
EMODB_SIZED = Hyperparameters(kind="gru", hidden_size=64, batch_size=32, steps=200)
PUBLISHED = Hyperparameters()
PLENTY = 1 << 40


def stacks(hyper: Hyperparameters, *sizes: int) -> list[NamedStack]:
    names = ("tanh", "relu", "elu", "gelu", "mish", "silu")
    return [
        [
            (f"{name} {seed}", Member(Variant(name), "session 1", seed, hyper))
            for seed in range(size)
        ]
        for name, size in zip(names, sizes, strict=False)
    ]


def shared(found: Sequence[NamedStack], threads: int, free: int | None = PLENTY) -> Sharing:
    return share(found, DATA, TrainingSettings(), threads=threads, free=free)


@pytest.mark.parametrize("free", [PLENTY, None])
def test_small_networks_train_side_by_side_on_a_thread_each(free: int | None) -> None:
    found = shared(stacks(EMODB_SIZED, 15, 15, 15, 15), 2, free)
    assert (found.workers, found.threads) == (2, 1)
    assert str(found) == "2 stacks side by side on the CPU, each on 1 thread"


def test_networks_of_the_published_size_use_both_threads_in_one_process() -> None:
    assert shared(stacks(PUBLISHED, 5, 5, 5, 5), 2).workers == 1


def test_what_one_thread_has_is_not_shared() -> None:
    assert shared(stacks(EMODB_SIZED, 15, 15, 15, 15), 1).workers == 1


def test_a_study_that_is_soon_done_starts_no_workers() -> None:
    short = dataclasses.replace(EMODB_SIZED, steps=10)
    assert shared(stacks(short, 15, 15, 15, 15), 2).workers == 1


def test_the_last_member_trains_on_all_threads_and_the_last_stack_in_halves() -> None:
    long = dataclasses.replace(EMODB_SIZED, steps=20_000)
    assert shared(stacks(long, 1), 2).workers == 1
    assert shared(stacks(long, 15), 2).workers == 2
    assert [len(stack) for stack in spread(stacks(long, 15), 2)] == [8, 7]


def test_nothing_missing_needs_nobody() -> None:
    assert shared([], 2).workers == 1


def test_memory_that_would_have_to_cut_stacks_is_not_shared() -> None:
    found, gib = stacks(EMODB_SIZED, 15, 15, 15, 15), 1 << 30
    enough = next(n * gib for n in range(1, 100) if shared(found, 2, n * gib).workers == 2)
    assert shared(found, 2, enough - gib).workers == 1
    memory = shared(found, 2, enough).memory
    assert memory is not None
    assert 2 * (memory + WORKER) <= enough  # nobody counts on what another one takes


def test_memory_for_less_than_one_member_each_is_not_shared() -> None:
    found = stacks(PUBLISHED, 16, 16, 16, 16, 16, 16)
    assert shared(found, 16).workers > 1
    assert shared(found, 16, 1 << 30).workers == 1


def test_stacks_are_halved_until_every_place_has_as_many_where_that_pays() -> None:
    found = stacks(EMODB_SIZED, 15, 15, 15)
    assert [len(stack) for stack in spread(found, 2, evenly=True)] == [15, 15, 8, 7]
    assert [len(stack) for stack in spread(found, 2)] == [15, 15, 15]
    assert [len(stack) for stack in spread(stacks(EMODB_SIZED, 1), 2, evenly=True)] == [1]


def test_of_many_threads_small_networks_get_one_each_and_large_ones_many() -> None:
    small, large = (
        shared(stacks(hyper, 16, 16, 16, 16, 16, 16), 16) for hyper in (EMODB_SIZED, PUBLISHED)
    )
    assert small.threads == 1
    assert large.threads >= 4
    assert large.workers * large.threads == 16
