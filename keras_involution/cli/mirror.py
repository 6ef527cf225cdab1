"""`keras-involution mirror`: publishes built-in presets with weights on the Hub."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported


@cloup.command(
    cls=Command, resume="Run it again: finished downloads and repositories are kept."
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--to", "user", required=True, help="User or organization on the Hub.")
@click.option(
    "--dry-run", is_flag=True, help="Write the folders but do not publish them."
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    default="mirror",
    help="Folder to write the preset folders to.",
)
@click.option(
    "--mirror", help="URL to download checkpoints from, instead of the publisher's."
)
@click.option("--private", is_flag=True, help="Create private repositories.")
@click.option("--overwrite-card", is_flag=True, help="Replace existing model cards.")
def command(
    names: tuple[str, ...],
    user: str,
    dry_run: bool,
    folder: str,
    mirror: str | None,
    private: bool,
    overwrite_card: bool,
) -> None:
    """Publish the built-in presets NAME... with their weights, one repository each.

    The weights are downloaded from their publisher, checked and converted. Each model
    card states the URL and hash of the file, its license, and the source of the
    accuracy. The token comes from HF_TOKEN or from `hf auth login`.
    """
    with reported():
        from keras_involution.hub import push_folder
        from keras_involution.hub.mirror import checked_name, write_mirror

        for name in names:
            checked_name(name)
        for name in names:
            repo_id, place = f"{user}/{name}", Path(folder) / name
            write_mirror(name, repo_id, place, mirror=mirror)
            click.echo(str(place))
            if not dry_run:
                address = push_folder(
                    place,
                    repo_id,
                    private=private or None,
                    overwrite_card=overwrite_card,
                )
                click.echo(address)
