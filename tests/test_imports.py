"""Imports go in one direction, and importing the package is fast."""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_involution

PACKAGE = Path(keras_involution.__file__).parent
FLOORS = [
    {"_typing", "_version", "_arguments", "_strict", "_backend", "_keras_private"},
    {"_builtin", "_commands", "_files", "_settings"},
    {"data"},
    {"ops"},
    {"layers"},
    {"hub"},
    {"models"},
    {"visualization", "export", "integrations", "distribution", "training"},
    {"_measure"},
    {"whale_id"},
    {"cli"},
]
BACKENDS = ("tensorflow", "jax", "torch")
HEAVY = ("huggingface_hub", "keras_hub", "pandas", "matplotlib", "PIL", "triton")


def upward_imports(source: str, module: str) -> list[str]:
    """Names that `source`, the text of `module`, imports from a higher layer."""
    here = floor_of(module)
    names = [name for name in imported_names(source) if floor_of(name) > here]
    return sorted(names)


def imported_names(source: str) -> list[str]:
    """Every module of the package that is imported, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif is_import_call(node):
            names.append(node.args[0].value)
    return [name for name in names if name.startswith("keras_involution.")]


def is_import_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "import_module"
        and isinstance(node.args[0], ast.Constant)
    )


def floor_of(module: str) -> int:
    room = module.split(".")[1] if "." in module else ""
    return next((i for i, floor in enumerate(FLOORS) if room in floor), -1)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_imports_go_one_way(path):
    name = module_name(path)
    if name == "keras_involution":
        return
    assert floor_of(name) >= 0, f"{name} stands in no room of tests/test_imports.py"
    assert upward_imports(path.read_text("utf-8"), name) == []


def test_the_one_way_rule_can_fail():
    lazy = "def f():\n    from keras_involution.models import RedNet50\n"
    for source in ("import keras_involution.hub", lazy):
        assert upward_imports(source, "keras_involution.layers._base")
    called = 'import importlib\nimportlib.import_module("keras_involution.training")'
    assert upward_imports(called, "keras_involution.models.rednet_blocks")


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that form an import cycle, including late imports; empty if none do."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def imported_modules(names: set[str]) -> dict[str, set[str]]:
    """Each module -> the modules of the package that it imports."""
    found = {}
    for path in modules():
        here, found_here = module_name(path), set()
        for name in imported_names(path.read_text("utf-8")):
            while name not in names:  # A name inside a module.
                name = name.rpartition(".")[0]
            found_here.add(name)
        found[here] = found_here - {here}
    return found


def test_no_modules_import_each_other_in_a_circle():
    assert circle(imported_modules(set(map(module_name, modules())))) == []


def test_the_rule_of_circles_can_fail():
    names = set(map(module_name, modules()))
    imports = imported_modules(names)
    imports["keras_involution.ops.involution"].add("keras_involution.models")
    assert "keras_involution.models" in circle(imports)


def test_backend_folders_never_import_each_other():
    for backend in BACKENDS:
        others = {f"keras_involution.ops.{b}" for b in BACKENDS} - {
            f"keras_involution.ops.{backend}"
        }
        for path in (PACKAGE / "ops" / backend).glob("*.py"):
            names = imported_names(path.read_text("utf-8"))
            assert not [n for n in names if n.startswith(tuple(others))]


SPY = """
import builtins, sys
real, asked = builtins.__import__, set()

def spy(name, globals=None, *rest, **named):
    importer = (globals or {{}}).get("__name__", "")
    if importer.startswith("keras_involution"):
        asked.add(name.split(".")[0])
    return real(name, globals, *rest, **named)

builtins.__import__ = spy
{statement}
print(*sorted(asked))
"""


def imported_by_the_package(statement: str) -> set[str]:
    """Top-level names that code of the package imports while `statement` runs.

    The import statement is monitored, since Keras itself loads all installed backends.
    """
    result = subprocess.run(
        [sys.executable, "-c", SPY.format(statement=statement)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KERAS_BACKEND": keras.config.backend()},
    )
    return set(result.stdout.split())


def test_importing_the_package_is_light():
    asked = imported_by_the_package("import keras_involution")
    assert {"keras", "keras_involution"} <= asked
    others = {b for b in BACKENDS if b != keras.config.backend()}
    assert not asked & {*HEAVY, *others}


def test_the_light_import_rule_can_fail():
    heavy = "exec('import pandas', {'__name__': 'keras_involution.heavy'})"
    assert imported_by_the_package(heavy) == {"pandas"}
