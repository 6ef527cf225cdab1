"""The tables of presets in README.md and docs/presets.md.

Every number comes from `presets/*/metadata.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keras_involution._builtin import PRESETS, preset_facts

ROOT = Path(__file__).parents[2]
MARK = "<!-- Written by `python -m benchmarks.write_presets`. -->"


def readme_table() -> str:
    """Returns the table of all presets: sizes, accuracy and weights."""
    head = ["preset", "input", "parameters", "MACs", "top-1", "weights", "download"]
    rows = [
        [f"`{name}`", *(preset_facts(name)[key] for key in head[1:])]
        for name in PRESETS
    ]
    return _table(head, rows)


def presets_table() -> str:
    """Returns the table of presets with published weights: download, accuracies."""
    names = [name for name, entry in PRESETS.items() if entry["published"]]
    rows = []
    for name in names:
        entry, facts = PRESETS[name], preset_facts(name)
        ours, theirs = entry["metadata"]["accuracy"], entry["published"]["accuracy"]
        measured = f"{theirs['top_1']:.2f} / {theirs['top_5']:.2f}"
        accuracies = [f"{ours['top_1']:.2f}", f"{ours['top_5']:.2f}", measured]
        rows.append([f"`{name}`", facts["download"], *accuracies])
    sources = {preset_facts(name)["weights"] for name in names}
    by = f"measured by {', '.join(sorted(sources))}, top-1 / top-5"
    return _table(["preset", "download", "top-1", "top-5", by], rows)


TABLES: dict[str, Callable[[], str]] = {
    "README.md": readme_table,
    "docs/presets.md": presets_table,
}


def page_with_table(page: str, root: Path = ROOT) -> str:
    """Returns the text of a page with an up-to-date table."""
    before, mark, after = (root / page).read_text("utf-8").partition(f"{MARK}\n\n")
    if not mark:
        raise ValueError(f"The page has no table to write. Received: page={page!r}")
    return before + mark + TABLES[page]() + after[after.index("\n\n") :]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "|" + "|".join(f" {c} " if c else " " for c in line) + "|" for line in lines
    )
