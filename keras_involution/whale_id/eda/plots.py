"""Plots as SVG images inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT = "#1d2730", "#5b6873", "#d9dfe4", "#14566b"
_WIDTH = 5.6


@dataclass(frozen=True)
class Plot:
    """A plot of a page.

    Args:
        heading: String.
        note: String, a sentence below the heading, or an empty string.
        uri: String, data URI of the SVG image.
        alt: String, what the plot shows.
    """

    heading: str
    note: str
    uri: str
    alt: str


def bars(heading: str, names: list[str], values: list[int], note: str = "") -> Plot:
    """Horizontal bars with their values, the first one on top."""
    figure, axes = _axes(0.5 + 0.27 * len(names))
    places = np.arange(len(names))[::-1]
    axes.barh(places, values, height=0.72, color=ACCENT)
    axes.set_yticks(places, [_short(name) for name in names])
    axes.tick_params(axis="y", length=0)
    most = max(values, default=1) or 1
    for place, value in zip(places, values):
        end = value + most / 90
        axes.text(end, place, f"{value:,}", va="center", fontsize=9.5, color=SOFT)
    axes.set_xlim(0, most * 1.16)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return Plot(heading, note, _uri(figure), f"{heading}: " + _described(names, values))


def photos_per_animal(heading: str, counts: pd.DataFrame, note: str = "") -> Plot:
    """Number of animals by their number of photos; both axes are logarithmic."""
    figure, axes = _axes(2.9)
    photos = counts["photos"].to_numpy()
    animals = counts["animals"].to_numpy()
    edges = _whole_edges(int(photos.max()))
    heights, _ = np.histogram(photos, edges, weights=animals)
    spans = np.diff(edges)
    axes.bar(edges[:-1], heights, spans, align="edge", color=ACCENT, edgecolor="white")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, max(heights.max() * 1.5, 2))
    ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n < edges[-1]]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("photos of an animal")
    axes.set_ylabel("animals")
    axes.grid(axis="y", color=LINE)
    alt = "Number of animals by their number of photos"
    return Plot(heading, note, _uri(figure), alt)


def sizes(
    heading: str, widths: np.ndarray, heights: np.ndarray, note: str = ""
) -> Plot:
    """Width against height."""
    figure, axes = _axes(3.4)
    axes.scatter(widths, heights, s=12, color=ACCENT, alpha=0.35, lw=0, rasterized=True)
    axes.set_xlim(0, max(widths) * 1.08)
    axes.set_ylim(0, max(heights) * 1.12)
    axes.set_xlabel("width in pixels")
    axes.set_ylabel("height in pixels")
    axes.grid(color=LINE)
    alt = "Width against height of the photos"
    return Plot(heading, note, _uri(figure), alt)


def _axes(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, max(height, 0.9)), layout="constrained")
    axes = figure.subplots()
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=INK, labelsize=10, color=LINE)
    axes.xaxis.label.set(color=SOFT, size=10)
    axes.yaxis.label.set(color=SOFT, size=10)
    return figure, axes


def _uri(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=150, metadata={"Date": None})
    text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/svg+xml;base64,{text}"


def _whole_edges(most: int) -> np.ndarray:
    """Bin edges between whole numbers: width 1 up to 8, then increasingly wide."""
    edges = [0.5 + n for n in range(min(most, 8) + 1)]
    while edges[-1] < most:
        edges.append(np.floor(edges[-1] * 1.35) + 0.5)
    return np.array(edges)


def _described(names: list[str], values: list[int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values))


def _short(name: str) -> str:
    # matplotlib reads a dollar sign as the beginning of a formula.
    text = name if len(name) <= 32 else f"{name[:31]}\u2026"
    return text.replace("$", r"\$")
