"""`keras-involution presets`: the built-in presets."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """List the built-in presets."""
    from rich.console import Console
    from rich.table import Table

    from keras_involution.hub._builtin import folder_of, has_weights
    from keras_involution.models.rednet_presets import PRESETS

    table = Table(caption="Top-1 on the classes that each was trained for.")
    for column in ("name", "parameters", "top-1 %", "weights"):
        table.add_column(column, no_wrap=True)
    for name, preset in PRESETS.items():
        metadata, folder = preset["metadata"], folder_of(name)
        shipped = folder is not None and has_weights(folder)
        table.add_row(
            name,
            f"{metadata['parameters']:,}",
            f"{metadata['accuracy']['top_1']}",
            "in the package" if shipped else preset["handle"] or "published nowhere",
        )
    Console().print(table)
