"""Pieces of HTML; every text goes through `escape`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.whale_id._pages.pictures import data_uri

SUFFIXES = (".html", ".htm")
_STYLE = Path(__file__).with_name("page.css")


def fill(template: Path, **parts: Any) -> str:
    """A page from a template in which `$style` is the shared style."""
    style = _STYLE.read_text("utf-8") + parts.pop("style", "")
    return Template(template.read_text("utf-8")).substitute(style=style, **parts)


def image(picture: np.ndarray | None, alt: str) -> str:
    """A photograph, or the words that there is none."""
    if picture is None:
        return f'<div class="missing">{escape(alt)}: not readable</div>'
    height, width = picture.shape[:2]
    return (
        f'<img src="{data_uri(picture)}" alt="{escape(alt)}" width="{width}" '
        f'height="{height}" loading="lazy">'
    )


def numbers(facts: Mapping[str, Any]) -> str:
    """Figures with their names, as a list of definitions."""
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in facts.items()
    )


def require_plots() -> None:
    """Raises `ValueError` where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError(
            'The plots need matplotlib: pip install "keras-involution[plots]". '
            f"{received(matplotlib=None)}"
        )
