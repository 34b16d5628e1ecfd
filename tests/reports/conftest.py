"""What tests of reports share."""

import pytest

from reports.figures import gallery


@pytest.fixture
def two_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports with two figures only, for tests that do not ask for the others."""
    figures = (gallery.find("forest"), gallery.find("scores"))
    monkeypatch.setattr(gallery, "FIGURES", figures)
