"""A sequence of launches is launched, then recorded, then replayed: the effect is the same."""

from collections.abc import Callable
from threading import Thread

import torch

from activations.kernels.gpu import replay
from activations.kernels.gpu.replay import Replays


class Log:
    """What happened, in order: "launch X", "record X", "replay X"."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def launches(self, name: str) -> Callable[[], None]:
        return lambda: self.lines.append(f"launch {name}")

    def record(self, launches: Callable[[], None]) -> Callable[[], None]:
        launches()
        name = self.lines.pop().removeprefix("launch ")
        self.lines.append(f"record {name}")
        return lambda: self.lines.append(f"replay {name}")


def test_sequence_is_launched_first_recorded_when_it_comes_again_and_then_replayed() -> None:
    log = Log()
    replays = Replays(log.record)
    for _ in range(4):
        replays.run("a", log.launches("a"))
    assert log.lines == ["launch a", "record a", "replay a", "replay a", "replay a"]


def test_sequence_with_another_key_is_never_replayed_for_this_one() -> None:
    log = Log()
    replays = Replays(log.record)
    for name in "abab":
        replays.run(("kernel", name), log.launches(name))
    assert log.lines == ["launch a", "launch b", "record a", "replay a", "record b", "replay b"]


def test_sequence_unused_for_longest_is_forgotten_where_there_are_too_many() -> None:
    log = Log()
    replays = Replays(log.record, capacity=2)
    for name in "aabacaba":
        replays.run(name, log.launches(name))
    # c forgets b, and b then forgets c: a was used in between
    assert log.lines == [
        "launch a", "record a", "replay a", "launch b", "replay a", "launch c", "replay a",
        "launch b", "replay a",
    ]  # fmt: skip


def test_failed_recording_is_raised_and_tried_again() -> None:
    log = Log()
    broken = True

    def record(launches: Callable[[], None]) -> Callable[[], None]:
        if broken:
            raise RuntimeError("not now")
        return log.record(launches)

    replays = Replays(record)
    replays.run("a", log.launches("a"))
    try:
        replays.run("a", log.launches("a"))
    except RuntimeError as error:
        assert str(error) == "not now"  # noqa: PT017 - what follows it is the point
    broken = False
    replays.run("a", log.launches("a"))
    assert log.lines == ["launch a", "record a", "replay a"]


def test_threads_take_turns() -> None:
    log = Log()
    replays = Replays(log.record)
    threads = [Thread(target=replays.run, args=("a", log.launches("a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.lines == ["launch a", "record a", *["replay a"] * 7]


def test_launches_on_the_cpu_are_made_as_they_are() -> None:
    log = Log()
    for _ in range(3):
        replay.run("a", log.launches("a"), torch.device("cpu"))
    assert log.lines == ["launch a"] * 3
