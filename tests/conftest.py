"""What every test shares: GPU tests skip with a reason where there is no GPU; a browser."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import browser

__all__ = ["browser"]

HERE = Path(__file__).parent

gc.disable()  # until all tests are there: what imports make stays

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts tests in the background lets them ignore Ctrl-C, which some of them press
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_activations() -> Iterator[None]:
    """What a test registers, the next one does not find."""
    from activations import registry

    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems as some network ones are, which know no locks."""

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)


def pytest_collection_finish() -> None:
    # memory is collected before each stack, which would look through all tests and what they import
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # whole studies first: both workers end with files that are small enough to end together
    items.sort(
        key=lambda item: (item.path.parent != HERE, HERE / "studies" not in item.path.parents)
    )
    import torch

    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
    for item in items:
        if item.get_closest_marker("gpu") is not None:
            item.add_marker(skip)
