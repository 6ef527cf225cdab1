"""Settings of the documentation: `make docs`."""

from __future__ import annotations

import inspect
import re
from typing import Any

from keras_involution._version import __version__

project = "keras_involution"
author = "The keras_involution authors"
copyright = author
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = f"keras_involution {release}"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
# Else the types stand once more below the call arguments.
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
    "Reference",
]
exclude_patterns = ["_build"]

_ROW = re.compile(r"\| (.*) \|$")


def markdown_lines(lines: list[str]) -> list[str]:
    """The reStructuredText of a docstring, which is Markdown as in Keras.

    Code in backticks, fenced blocks and tables are what the docstrings use.
    """
    text: list[str] = []
    plain: list[str] = []
    fence = None
    for line in [*lines, None]:
        stripped = "" if line is None else line.strip()
        start = "" if line is None else line[: len(line) - len(line.lstrip())]
        row = _ROW.match(stripped)
        if line is None or fence is not None or row or stripped.startswith("```"):
            text += _inline("\n".join(plain)).split("\n") if plain else []
            plain = []
        if line is None:
            break
        if stripped.startswith("```"):
            fence = start if fence is None else None
            language = stripped.strip("`")
            text += [f"{start}.. code-block:: {language}", ""] if language else [""]
        elif fence is not None:
            text.append(f"    {line}" if stripped else "")
        elif row:
            text += _table_row(row[1], start, is_first=not _is_row(text))
        else:
            plain.append(line)
    return text


def _is_row(text: list[str]) -> bool:
    return bool(text) and text[-1].lstrip().startswith(("- ", "* - "))


def _table_row(row: str, start: str, is_first: bool) -> list[str]:
    cells = row.split(" | ")
    if set("".join(cells)) <= {"-", " "}:
        return []
    head = [f"{start}.. list-table::", f"{start}    :header-rows: 1", ""]
    marks = ["* -", *["  -"] * (len(cells) - 1)]
    body = [f"{start}    {m} {_inline(cell)}" for m, cell in zip(marks, cells)]
    return [*(head if is_first else []), *body]


def _inline(text: str) -> str:
    return re.sub(r"``[^`]+``|`([^`]+)`(\w?)", _literal, text)


def _literal(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    # The plural of a name, `Layer`s, needs a mark where the code ends.
    return f"``{match[1]}``" + (f"\\ {match[2]}" if match[2] else "")


def convert_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = markdown_lines(lines)


def class_signature(
    app: Any, what: str, name: str, thing: Any, options: Any, *given: str | None
) -> tuple[str, None] | None:
    """That of `__init__`: Sphinx takes `__new__`, which Keras wraps in every layer."""
    if what != "class" or given[0] != "(*args, **kwargs)":
        return None
    empty = inspect.Parameter.empty
    _, *parameters = inspect.signature(thing.__init__).parameters.values()
    plain = [parameter.replace(annotation=empty) for parameter in parameters]
    return str(inspect.Signature(plain)), None


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", class_signature)
    # Before napoleon, which reads the sections.
    app.connect("autodoc-process-docstring", convert_docstring, priority=100)
