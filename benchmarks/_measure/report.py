"""A table on the screen, JSON and a plot in a folder."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
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


def command() -> str:
    """The command line of the running program, for the foot of its plots."""
    module = sys.modules["__main__"].__spec__
    name = module.name if module else Path(sys.argv[0]).name
    return f"python -m {shlex.join([name, *sys.argv[1:]])}"


def foot(machine: dict[str, Any], command: str) -> str:
    """Where and how a plot was measured: two lines below it."""
    backend = machine["backend"]
    return (
        f"{backend} {machine[backend]}, Keras {machine['keras']}, "
        f"{machine['device_name']}, {machine['cores']} cores\n"
        + textwrap.fill(command, 110)
    )


def bar_plot(
    path: Path,
    rows: Sequence[Row],
    names: tuple[str, str, str],
    unit: str,
    foot: str,
    log: bool = False,
) -> None:
    """Bars of measured times.

    Args:
        path: Path of the image.
        rows: Sequence of rows.
        names: Tuple of 3 columns: one group of bars for each value of the first, one
            color for each value of the second, the third is the height.
        unit: String, what the heights are.
        foot: String below the plot.
        log: Boolean, whether heights are on a logarithmic axis.
    """
    group, series, value = names
    figure, axes = _figure(unit, foot)
    groups = list(dict.fromkeys(row[group] for row in rows))
    colors = list(dict.fromkeys(row[series] for row in rows))
    for number, name in enumerate(colors):
        places = {row[group]: row.get(value) for row in rows if row[series] == name}
        x = [i + 0.8 * (number + 0.5) / len(colors) - 0.4 for i in range(len(groups))]
        heights = [places.get(g) or 0 for g in groups]
        bars = axes.bar(x, heights, 0.8 / len(colors), label=name)
        labels = [f"{height:.3g}" if height else "" for height in heights]
        axes.bar_label(bars, labels, fontsize="x-small")
    axes.set_xticks(range(len(groups)), groups)
    if log:
        axes.set_yscale("log")
    _finish(figure, axes, path)


def line_plot(
    path: Path, rows: Sequence[Row], names: tuple[str, str, str], unit: str, foot: str
) -> None:
    """Lines through the third column over the first, one for each value of the second.

    Both axes are logarithmic: linear growth is a line of slope one.
    """
    x, series, value = names
    figure, axes = _figure(unit, foot)
    for name in dict.fromkeys(row[series] for row in rows):
        points = [row for row in rows if row[series] == name]
        axes.plot([p[x] for p in points], [p[value] for p in points], "o-", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel(x)
    _finish(figure, axes, path)


def _figure(label: str, foot: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    figure.supxlabel(foot, fontsize="small", color="gray")
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    return figure, axes


def _finish(figure: Any, axes: Any, path: Path) -> None:
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")
