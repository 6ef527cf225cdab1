"""Reports of benchmarks: tables, JSON files and plots."""

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
    """Formats rows as a Markdown table; floats have about three digits."""
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
    """Returns the command line of the running program, for captions of plots."""
    module = sys.modules["__main__"].__spec__
    name = module.name if module else Path(sys.argv[0]).name
    return f"python -m {shlex.join([name, *sys.argv[1:]])}"


def foot(machine: dict[str, Any], command: str) -> str:
    """Returns a caption for a plot: machine, versions and command."""
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
    """Draws a bar plot.

    Args:
        path: Path of the image.
        rows: Sequence of rows.
        names: Tuple of 3 column names. Each value of the first column is a group of
            bars, each value of the second a color. The third column has the heights.
        unit: String, label of the vertical axis.
        foot: String, caption of the plot.
        log: Boolean, whether the vertical axis is logarithmic.
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
    """Draws a line plot with logarithmic axes, where linear growth has slope one.

    Args:
        path: Path of the image.
        rows: Sequence of rows.
        names: Tuple of 3 column names. The first column is the horizontal axis, each
            value of the second is a line, and the third column is the vertical axis.
        unit: String, label of the vertical axis.
        foot: String, caption of the plot.
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
