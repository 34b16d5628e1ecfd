"""Published figures stand beside scores of their own corpus and protocol only."""

from typing import Any

import pytest

from bench.data.protocol import Protocol
from reports.analysis.published import published_beside, published_systems


def test_published_figures_stand_beside_iemocaps_four_classes() -> None:
    assert published_beside("IEMOCAP", False, Protocol(), 5531) == published_systems()


@pytest.mark.parametrize(
    ("corpus", "synthetic", "protocol"),
    [
        ("EMO-DB", False, {}),
        ("IEMOCAP", True, {}),
        ("IEMOCAP", False, {"merge": {}}),
        ("IEMOCAP", False, {"classes": ("ang", "hap", "neu", "sad", "fru")}),
        ("IEMOCAP", False, {"test_unit": "speaker"}),
        ("IEMOCAP", False, {"style": "improvised"}),
    ],
)
def test_they_do_not_stand_beside_anything_else(
    corpus: str, synthetic: bool, protocol: dict[str, Any]
) -> None:
    assert not published_beside(corpus, synthetic, Protocol(**protocol), 5531)


def test_they_do_not_stand_beside_a_copy_that_lacks_utterances() -> None:
    assert not published_beside("IEMOCAP", False, Protocol(), 5530)
