"""How long MLflow's table of a study takes to open in a browser, by the clock.

- `python -m bench.speed.page_opening WORKSPACE STUDY` starts `gateswap ui` as a person does,
  follows the address that it prints in a headless Chromium, and stops the clock when the table's
  first row has its UAR: what is drawn, not what was sent.
- A visit differs by who was there before. `first`: server and browser have just started. `new
  browser`: the server has answered before, the browser has never been there. `second`, `third`:
  of that browser, which keeps MLflow's scripts, and in the end what it compiled of them.
- Needs playwright and a Chromium (`pip install 'gateswap[services]'`).
"""

import argparse
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from activations.kernels.cpu.limits import processor_name
from activations.wording import counted

VISITS = ("first", "new browser", "second", "third")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DRAWN = """() => [...document.querySelectorAll('[role=gridcell]')].some(cell =>
    (cell.getAttribute('col-id') || '').includes('test_uar') && /^0\\.\\d+/.test(cell.innerText))"""
# of what the page asked for: the address's end, when it was asked and when it had come [ms]
ASKED = """() => performance.getEntriesByType('resource').map(
    each => [each.name, each.startTime, each.responseEnd])"""


@dataclass(frozen=True)
class Visit:
    """One opening. seconds: until the first row has its UAR; script: of the page's main thread in
    scripts; waiting: between the question for runs and the answer.
    """

    seconds: float
    script: float
    waiting: float


def visit(profile: Any, address: str) -> Visit:
    """Open the address in a page of its own, and close it. profile: of a browser."""
    page = profile.new_page()
    session = profile.new_cdp_session(page)
    session.send("Performance.enable")
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(DRAWN, polling="raf", timeout=120_000)
    seconds = time.perf_counter() - begun
    said = {
        each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]
    }
    search = [end - start for name, start, end in page.evaluate(ASKED) if "runs/search" in name]
    page.close()
    return Visit(seconds, said["ScriptDuration"], sum(search) / 1000)


@contextlib.contextmanager
def served(workspace: Path, study: str) -> Iterator[tuple[str, float]]:
    """The address that `gateswap ui` prints for a study, and the seconds until it does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.perf_counter()
    command = [sys.executable, "-m", "gateswap", "ui", "--workspace", str(workspace)]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.match(rf"{re.escape(study)}: (http\S+)", line):
                yield found[1], time.perf_counter() - begun
                return
        raise SystemExit(f"page_opening: gateswap ui knows no study {study} in {workspace}")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def measure(workspace: Path, study: str, rounds: int) -> tuple[dict[str, list[Visit]], list[float]]:
    """The visits of so many rounds, each with a server of its own, and how long these took to
    start.
    """
    from playwright.sync_api import sync_playwright

    visits: dict[str, list[Visit]] = {kind: [] for kind in VISITS}
    starts = []
    with sync_playwright() as driver:
        found = next(filter(None, map(which, PROGRAMS)), None)

        @contextlib.contextmanager
        def browser() -> Iterator[Any]:
            with tempfile.TemporaryDirectory() as folder:
                # root, as in containers, has no sandbox
                profile = driver.chromium.launch_persistent_context(
                    folder,
                    executable_path=found,
                    args=["--no-sandbox"],
                    viewport={"width": 1500, "height": 900},
                )
                yield profile
                profile.close()

        for _ in range(rounds):
            with served(workspace, study) as (address, start):
                starts.append(start)
                with browser() as profile:
                    visits["first"].append(visit(profile, address))
                with browser() as profile:
                    for kind in VISITS[1:]:
                        visits[kind].append(visit(profile, address))
    return visits, starts


def main() -> None:
    """Measure what the command line asks for, and print a line a kind of visit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("study")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    before = os.getloadavg()[0]
    visits, starts = measure(given.workspace, given.study, given.rounds)
    print(
        f"{processor_name()}, {counted(os.cpu_count() or 1, 'core')}; "
        f"{counted(given.rounds, 'round')}; load before {before:.1f}"
    )
    print(f"gateswap ui prints the address after {_spread(starts)}")
    for kind, those in visits.items():
        print(
            f"{kind}: {_spread([each.seconds for each in those])}; in scripts "
            f"{_spread([each.script for each in those])}; for the runs "
            f"{_spread([each.waiting for each in those])}"
        )


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} – {max(seconds):.2f})"


if __name__ == "__main__":
    main()
