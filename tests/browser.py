"""A browser for the tests of pages, and what a page opened in it must keep to.

Tests that ask for the fixture `browser` carry `@pytest.mark.services`.
"""

import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium: that of the system, or the one that Playwright installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs gateswap[services]")
    found = next(filter(None, map(which, PROGRAMS)), None)
    with playwright.sync_playwright() as driver:
        if found is None and not Path(driver.chromium.executable_path).is_file():
            pytest.skip("no Chromium: neither on the PATH nor by `playwright install chromium`")
        # root, as in containers, has no sandbox
        chromium = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def strict_policy(html: str) -> str:
    """The Content-Security-Policy that allows this page's own styles, scripts and images alone."""

    def hashes(tag: str) -> str:
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts)
        return " ".join(f"'sha256-{digest.decode()}'" for digest in digests) or "'none'"

    return (
        f"default-src 'none'; img-src data:; style-src {hashes('style')}; "
        f"script-src {hashes('script')}; base-uri 'none'; form-action 'none'"
    )


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder of pages, each served under its strict policy."""

    class Pages(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            path = Path(self.translate_path(self.path))
            if path.suffix == ".html":
                self.send_header("Content-Security-Policy", strict_policy(path.read_text()))
            super().end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def opened(browser: Any, address: str, *, width: int) -> Iterator[tuple[Any, list[str]]]:
    """The page opened in a window of this width [px], and what it complained of so far."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"not loaded: {request.url[:80]}"))
    page.goto(address)
    try:
        yield page, complaints
    finally:
        page.close()


def wider_than_their_place(page: Any) -> list[str]:
    """What is wider than what it lies in, so that a reader must scroll sideways or misses it."""
    return page.evaluate(  # type: ignore[no-any-return]
        """() => [document.documentElement, ...document.querySelectorAll('.wide, pre, dl')]
            .filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth)
            .map(e => `${e.tagName}, ${e.scrollWidth} > ${e.clientWidth} px: `
                + e.innerText.slice(0, 80))"""
    )
