"""The rows of the tables in `docs/coming-from/`."""

from __future__ import annotations

from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"


def rows(page: str) -> dict[str, str]:
    """Left cell -> right cell, of all tables of a page."""
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
    """The names that the Python block of a page defines, on the running backend."""
    text = (PAGES / page).read_text("utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    namespace: dict[str, object] = {}
    lines = [line for line in code.splitlines() if "os.environ" not in line]
    exec("\n".join(lines), namespace)
    return namespace


class Checks(dict):
    """Left cell -> function that shows what the right cell says."""

    def row(self, left: str):
        def add(function):
            assert left not in self, left
            self[left] = function
            return function

        return add
