"""What a notebook shows of a study, in a real kernel and in its client's hands."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studies.small_corpus import SMALL, write_corpus

CELL = """
import studies
seen = []
results = studies.run("demo", {changes!r}, workspace={workspace!r}, mirror=False, device="cpu",
                      callbacks=[lambda result: seen.append(result.fold)])
print(len(results), "results,", len(seen), "new")
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a kernel that runs cells: client.kc.execute and what comes of it."""
    manager_module = pytest.importorskip("jupyter_client.manager")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    manager, client = manager_module.start_new_kernel(startup_timeout=240)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.services
def test_a_kernel_shows_one_line_and_an_interrupt_of_it_keeps_results(
    kernel: Any, tmp_path: Path
) -> None:
    manager, client = kernel
    write_corpus(tmp_path)
    changes = [*SMALL, f"corpus={{format: manifest, path: {tmp_path}}}"]
    cell = CELL.format(changes=changes, workspace=str(tmp_path / "runs"))
    shown: list[dict[str, Any]] = []

    def note(message: dict[str, Any]) -> None:
        shown.append(message)
        text = str(message["content"].get("data", {}).get("text/plain", ""))
        if "1 of 6 members" in text and not interrupted:
            interrupted.append(text)
            manager.interrupt_kernel()

    interrupted: list[str] = []
    reply = client.execute_interactive(cell, output_hook=note, timeout=240)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert "of 6 members are finished and kept in" in reply["content"]["evalue"]
    kinds = {message["msg_type"] for message in shown}
    assert kinds >= {"display_data", "update_display_data"}
    begun = [m for m in shown if m["msg_type"] == "display_data"]
    assert len(begun) == 2  # the features and the training, each in a line of its own
    assert all("<progress" in m["content"]["data"]["text/html"] for m in begun)

    shown.clear()
    reply = client.execute_interactive(cell, output_hook=note, timeout=240)
    assert reply["content"]["status"] == "ok"
    (said,) = (m["content"]["text"] for m in shown if "results," in m["content"].get("text", ""))
    assert said.startswith("6 results, ")
    assert not said.endswith("6 new\n")
