"""`keras-involution presets`: lists the built-in presets."""

from __future__ import annotations

import cloup

from keras_involution._commands import Command


@cloup.command(cls=Command, backend=False)
def command() -> None:
    """List the built-in presets."""
    from rich.console import Console
    from rich.table import Table

    from keras_involution._builtin import PRESETS, preset_facts

    table = Table(caption=_CAPTION)
    table.add_column("preset", no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    for name in PRESETS:
        facts = preset_facts(name)
        table.add_row(name, *(facts[column] for column in _COLUMNS))
    Console().print(table)


_COLUMNS = ("parameters", "top-1", "weights", "download")
_CAPTION = """Top-1 accuracy on the classes of each preset. Downloads are converted on
first use; a preset that was converted earlier is read from the cache."""
