"""The command `keras-involution`.

Every command is a file of this folder with one click command named `command`; the
folder is the list. Heavy imports stand inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import importlib
import os
import pkgutil

import click


class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        names = [module.name for module in pkgutil.iter_modules(__path__)]
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        return importlib.import_module(f"{__name__}.{name}").command


@click.group(cls=_Commands)
def main() -> None:
    """Involution networks: presets, the Hugging Face Hub and more."""
    # The framework's own start-up messages would hide the answer.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
