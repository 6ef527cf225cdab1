"""The rows of the tables in `docs/coming-from/`."""

from __future__ import annotations

from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"


def rows(page: str) -> dict[str, str]:
    """Dictionary of left cell -> right cell for all tables of a page."""
    found = {}
    lines = (PAGES / page).read_text("utf-8").splitlines()
    for line, after in zip(lines, [*lines[1:], ""]):
        if line.startswith("| ") and not after.startswith("| ---"):
            if set(line) <= set("| -"):
                continue
            left, right = (cell.strip() for cell in line.strip("|").split(" | "))
            assert left not in found, left
            found[left] = right
    return found


def block(page: str) -> dict[str, object]:
    """Runs the Python block of a page on the current backend; the names it defines."""
    text = (PAGES / page).read_text("utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    namespace: dict[str, object] = {}
    lines = [line for line in code.splitlines() if "os.environ" not in line]
    exec("\n".join(lines), namespace)
    return namespace


class Checks(dict):
    """Dictionary of left cell -> function that checks the claim in the right cell."""

    def row(self, left: str):
        def add(function):
            assert left not in self, left
            self[left] = function
            return function

        return add
