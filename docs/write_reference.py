"""Writes the pages that follow from the code: public names, reference, command lines.

    KERAS_BACKEND=torch python docs/write_reference.py

A test fails when a page is not what this writes.
"""

from __future__ import annotations

import importlib
import inspect
import types
from pathlib import Path

import click
from click.testing import CliRunner

from keras_involution.cli import main as keras_involution
from keras_involution.whale_id.cli import main as whale_id

DOCS = Path(__file__).parent
MODULES = (
    "keras_involution",
    "keras_involution.layers",
    "keras_involution.models",
    "keras_involution.ops",
    "keras_involution.hub",
    "keras_involution.data",
    "keras_involution.training",
    "keras_involution.distribution",
    "keras_involution.export",
    "keras_involution.visualization",
    # First, so that the links of its source pages lead where its functions stand.
    "keras_involution.whale_id.metrics",
    "keras_involution.whale_id",
)
MADE = "<!-- Written by docs/write_reference.py. -->\n\n"


def public_objects(name: str) -> dict[str, object]:
    """The public names of a module that are no modules."""
    module = importlib.import_module(name)
    found = {n: getattr(module, n) for n in dir(module) if not n.startswith("_")}
    return {n: v for n, v in found.items() if not isinstance(v, types.ModuleType)}


def summary(thing: object) -> str:
    """The first line of a docstring, or the keys of a dictionary."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        assert isinstance(thing, dict), thing
        return f"Dictionary by name: {', '.join(f'`{name}`' for name in thing)}."
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")


def api_page() -> str:
    lines = [MADE + "# Public API\n\nEvery public name, by module."]
    for module in MODULES:
        lines.append(f"\n## {module}\n\n| name | description |\n| --- | --- |")
        for name, thing in sorted(public_objects(module).items()):
            text = summary(thing).replace("|", "\\|")
            lines.append(f"| `{name}` | {text} |")
    return "\n".join(lines) + "\n"


def reference_page() -> str:
    """Every callable by module; Sphinx indexes an object where it stands first."""
    lines = [MADE + "# Reference\n"]
    seen: list[object] = []
    for module in MODULES:
        lines.append(f"## {module}\n\n```{{eval-rst}}\n.. currentmodule:: {module}\n")
        for name, thing in sorted(public_objects(module).items()):
            kind = "class" if inspect.isclass(thing) else "function"
            if not callable(thing):
                continue
            lines.append(f".. auto{kind}:: {name}")
            if any(thing is other for other in seen):
                lines.append("   :no-index:")
            seen.append(thing)
        lines.append("```\n")
    return "\n".join(lines)


def commands_page() -> str:
    runner = CliRunner()
    programs = {"keras-involution": keras_involution, "whale-id": whale_id}
    lines = [MADE + "# Command lines\n"]
    for program, group in programs.items():
        names = [[], *([name] for name in group.list_commands(click.Context(group)))]
        for name in names:
            answer = runner.invoke(
                group, [*name, "--help"], prog_name=program, terminal_width=80
            )
            title = " ".join([program, *name])
            level = "###" if name else "##"
            lines.append(f"{level} {title}\n\n```text\n{answer.output}```\n")
    return "\n".join(lines)


PAGES = {
    "api.md": api_page,
    "reference.md": reference_page,
    "commands.md": commands_page,
}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (DOCS / name).write_text(write(), "utf-8")
