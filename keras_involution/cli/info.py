"""`keras-involution info`: describes a preset without loading its weights."""

from __future__ import annotations

import click
import cloup

from keras_involution._commands import Command, reported


@cloup.command(cls=Command, backend=False)
@click.argument("preset")
@click.option("--revision", help="Branch, tag or commit of a Hub repository.")
@click.option("--cache-dir", help="Folder for downloads.")
def command(preset: str, revision: str | None, cache_dir: str | None) -> None:
    """Describe PRESET (a built-in name, a folder or hf://user/name)."""
    with reported():
        from keras_involution.hub.describe import describe

        facts = describe(preset, revision=revision, cache_dir=cache_dir)
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")
