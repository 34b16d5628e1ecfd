"""docs/security.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_and_file_that_the_page_of_security_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    code = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named - set(re.findall(r"def (test_\w+)\(", code)) == set()
    files = re.findall(r"`((?:activations|bench|studies|reports|tests)/[\w/]+\.py)`", page)
    assert [path for path in files if not (ROOT / path).exists()] == []
    placed = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert len(placed) > 50
    assert [
        f"{file}::{name}"
        for file, name in placed
        if f"def {name}(" not in (ROOT / file).read_text("utf-8")
    ] == []
