"""`keras-involution presets`: the built-in presets."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """List the built-in presets."""
    from rich.console import Console
    from rich.table import Table

    from keras_involution.models.rednet_presets import PRESETS

    table = Table(caption="Accuracies as their sources published them.")
    for column in ("name", "parameters", "top-1 %", "weights"):
        table.add_column(column, no_wrap=True)
    for name, preset in PRESETS.items():
        metadata = preset["metadata"]
        table.add_row(
            name,
            f"{metadata['parameters']:,}",
            f"{metadata['accuracy']['top_1']}",
            preset["handle"] or "published nowhere",
        )
    Console().print(table)
