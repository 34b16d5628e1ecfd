"""What every test shares: GPU tests skip with a reason where there is no GPU; a browser."""

import signal
from pathlib import Path

import pytest
import torch

from tests.browser import browser

__all__ = ["browser"]

HERE = Path(__file__).parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts tests in the background lets them ignore Ctrl-C, which some of them press
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems as some network ones are, which know no locks."""

    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # whole studies first: whichever worker has them keeps them and what they share, and both
    # workers end with tests that are small enough to end together
    items.sort(key=lambda item: item.path.parent != HERE)
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device, and torch sees none")
    for item in items:
        if item.get_closest_marker("gpu") is not None:
            item.add_marker(skip)
