"""A table on the screen, JSON and a plot in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def print_head(machine: dict[str, Any]) -> None:
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """GitHub's table of these columns; numbers with three digits that count."""
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    lines = [list(columns), ["---"] * len(columns), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "| " + " | ".join(word.ljust(w) for word, w in zip(line, widths)) + " |"
        for line in lines
    )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return f"{value:.{digits}f}"
    return str(value)


def write_json(path: Path, machine: dict[str, Any], rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "rows": list(rows)}, indent=1))
    print(f"wrote {path}")


def bar_plot(
    path: Path, rows: Sequence[Row], group: str, series: str, value: str, unit: str
) -> None:
    """One group of bars a value of `group`, one color a value of `series`."""
    figure, axes = _figure(f"{value}, {unit}")
    groups = list(dict.fromkeys(row[group] for row in rows))
    names = list(dict.fromkeys(row[series] for row in rows))
    for number, name in enumerate(names):
        places = {row[group]: row.get(value) for row in rows if row[series] == name}
        x = [i + 0.8 * (number + 0.5) / len(names) - 0.4 for i in range(len(groups))]
        heights = [places.get(g) or 0 for g in groups]
        axes.bar(x, heights, 0.8 / len(names), label=name)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_yscale("log")
    _finish(figure, axes, path)


def line_plot(
    path: Path, rows: Sequence[Row], x: str, series: str, value: str, unit: str
) -> None:
    """Both axes logarithmic, so that what grows linearly is a line of slope one."""
    figure, axes = _figure(f"{value}, {unit}")
    for name in dict.fromkeys(row[series] for row in rows):
        points = [row for row in rows if row[series] == name]
        axes.plot([p[x] for p in points], [p[value] for p in points], "o-", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel(x)
    _finish(figure, axes, path)


def _figure(label: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    return figure, axes


def _finish(figure: Any, axes: Any, path: Path) -> None:
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")
