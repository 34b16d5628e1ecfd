"""The table of uses in docs/activations.md: every row names tests, and they are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def table():
    """Use and the tests named of each row."""
    text = (ROOT / "docs" / "activations.md").read_text("utf-8")
    section = text.partition("## What works where")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    assert all(len(row) == 4 for row in cells)
    return {row[0]: re.findall(r"`(test_\w+)`", row[3]) for row in cells}


def written_tests():
    """Each test's name, and whether `make test` runs it."""
    found = {}
    for path in [
        *(ROOT / "tests/oracles").glob("*.py"),
        *(ROOT / "tests/activations").rglob("*.py"),
    ]:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = " ".join(map(ast.unparse, node.decorator_list))
                found[node.name] = "mark.exhaustive" not in marks
    return found


def test_every_use_is_backed_by_a_test_that_make_test_runs():
    tests = written_tests()
    for use, named in table().items():
        assert named, f"no test of: {use}"
        missing = [name for name in named if name not in tests]
        assert not missing, f"{use}: there is no {missing}"
        assert any(tests[name] for name in named), f"make test runs none of: {use}"
