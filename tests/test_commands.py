"""Both command lines: fast help, complete options, and errors for missing packages."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from keras_involution import _commands
from keras_involution.cli import main as keras_involution
from keras_involution.whale_id.cli import main as whale_id
from tests.marks import one_backend

pytestmark = one_backend

GROUPS = {"keras-involution": keras_involution, "whale-id": whale_id}
MODULES = {
    "keras-involution": "keras_involution.cli",
    "whale-id": "keras_involution.whale_id.cli",
}
HEAVY = {"keras", "pandas", "numpy", "scipy", "sklearn", "matplotlib", "PIL"}


def commands() -> list:
    found = []
    for program, group in GROUPS.items():
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            found.append(pytest.param(command, id=f"{program} {name}"))
    return found


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


ALL_HELP = """
import importlib, sys
import click
sys.argv[0] = {program!r}
group = importlib.import_module({module!r}).main
context = click.Context(group)
for name in group.list_commands(context):
    group.main([name, "--help"], standalone_mode=False)
{further}
print("loaded", *{{name.split(".")[0] for name in sys.modules}})
"""


def loaded_for_help(program: str, further: str = "") -> set[str]:
    """The top-level modules that are loaded after showing all help of a program."""
    module = MODULES[program]
    result = python(
        "-c", ALL_HELP.format(program=program, module=module, further=further)
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Usage: ") >= 7
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("program", GROUPS)
def test_help_loads_neither_keras_nor_pandas(program):
    assert not loaded_for_help(program) & HEAVY


def test_the_help_check_can_fail():
    assert "numpy" in loaded_for_help("whale-id", "import numpy")


@pytest.mark.parametrize("program", GROUPS)
def test_a_program_started_as_a_module_loads_no_keras(program):
    result = python("-X", "importtime", "-m", MODULES[program], "--help")
    assert "Usage: " + program in result.stdout
    group = GROUPS[program]
    for name in group.list_commands(click.Context(group)):
        assert f"\n  {name} " in result.stdout
    assert "keras_involution._commands" in result.stderr
    assert "keras.src" not in result.stderr


@pytest.mark.parametrize("command", commands())
def test_options_are_explained_and_defaults_shown(command):
    assert isinstance(command, _commands.Command)
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    unwrapped = " ".join(text.split())
    for option in command.params:
        if not isinstance(option, click.Option) or option.hidden:
            continue
        assert option.help, option.name
        shown = not option.is_flag and option.show_default is not False
        if shown and isinstance(option.default, (int, float, str)):
            default = f"[default: {option.default}"
            assert default in unwrapped or "default:" in option.help
    if len(command.params) > 10:
        assert text.count("options:") + text.count(":\n") > 1


def test_a_missing_extra_is_named_before_any_work(monkeypatch, tmp_path):
    def version(name: str) -> str:
        if name in ("seaborn", "pyarrow"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    result = CliRunner().invoke(whale_id, ["eda", str(tmp_path)])
    assert result.exit_code == 1
    assert "pyarrow, seaborn must be installed" in result.output
    assert 'pip install "keras-involution[whale-id,plots]"' in result.output
    with pytest.raises(click.ClickException, match=r"pyarrow .*\[serve\]"):
        _commands.require_extras(["serve"])


NO_BACKEND = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
{statement}
"""


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch"])
def test_a_missing_backend_is_named_in_one_sentence(name):
    script = NO_BACKEND.format(name=name, statement="import keras_involution")
    result = python("-c", script, KERAS_BACKEND=name)
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert f'run `pip install "keras-involution[{name}]"`, or set KERAS_BACK' in last
    assert "During handling" not in result.stderr


def test_an_unknown_backend_is_named_in_one_sentence(tmp_path):
    result = python("-c", "import keras_involution", KERAS_BACKEND="tensorfow")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ImportError: Keras has no usable backend: set KERAS_BACK")
    assert last.endswith("Received: KERAS_BACKEND='tensorfow'")
    module = "keras_involution.cli"
    photo = tmp_path / "photo.jpg"
    photo.touch()
    arguments = ("classify", str(photo), "--preset", "rednet_26_tiny_imagenet")
    result = python("-m", module, *arguments, KERAS_BACKEND="tensorfow")
    assert result.stderr.startswith("Error: Keras has no usable backend")


@pytest.mark.parametrize(
    "error", [ValueError("Wrong. Received: x=1"), FileNotFoundError(2, "Gone", "x.csv")]
)
def test_wrong_values_and_missing_files_are_messages(error):
    def fails() -> None:
        with _commands.reported():
            raise error

    result = CliRunner().invoke(_commands.Command("x", callback=fails), [])
    assert (result.exit_code, result.output) == (1, f"Error: {error}\n")


def test_an_interrupted_command_says_how_to_resume():
    def interrupted() -> None:
        raise KeyboardInterrupt

    command = _commands.Command("train", callback=interrupted, resume="Add --resume.")
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 130
    assert result.output.strip() == "Interrupted. Add --resume."
