"""`keras-involution pull`: downloads a preset from the Hub to a folder."""

from __future__ import annotations

import click
import cloup

from keras_involution._commands import Command, reported


@cloup.command(cls=Command, resume="The same command continues the download.")
@click.argument("preset")
@click.argument("folder", type=click.Path())
@click.option("--revision", help="Branch, tag or commit.")
@click.option("--cache-dir", help="Folder for downloads.")
def command(
    preset: str, folder: str, revision: str | None, cache_dir: str | None
) -> None:
    """Download PRESET (hf://user/name), check it, and write it to FOLDER."""
    with reported():
        from keras_involution.hub import pull_folder

        pull_folder(preset, folder, revision=revision, cache_dir=cache_dir)
    click.echo(folder)
