"""`keras-involution push`: publishes a preset folder on the Hub."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import click
import cloup

from keras_involution._commands import Command, reported


@cloup.command(cls=Command, resume="Nothing is published; run it again.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.argument("repository")
@click.option(
    "--private/--public", default=None, help="Visibility of a newly created repository."
)
@click.option("--message", help="Commit message.")
@click.option("--revision", help="Branch to commit to.")
@click.option(
    "--create-pr", is_flag=True, help="Open a pull request instead of committing."
)
@click.option("--overwrite-card", is_flag=True, help="Replace an existing model card.")
def command(
    folder: str,
    repository: str,
    private: bool | None,
    message: str | None,
    revision: str | None,
    create_pr: bool,
    overwrite_card: bool,
) -> None:
    """Publish the preset in FOLDER as REPOSITORY (user/name) in one commit.

    The token comes from HF_TOKEN or from `hf auth login`. There is no option for it,
    because the shell history would keep it.
    """
    with reported():
        address = _push_folder_of(folder)(
            folder,
            repository,
            private=private,
            commit_message=message,
            revision=revision,
            create_pr=create_pr,
            overwrite_card=overwrite_card,
        )
    click.echo(address)


def _push_folder_of(folder: str) -> Callable[..., str]:
    """Returns the upload function for the kind of preset in a folder."""
    from keras_involution import hub
    from keras_involution.hub._format import EMBEDDING_FILE

    if not (Path(folder) / EMBEDDING_FILE).is_file():
        return hub.push_folder
    # `keras_involution.whale_id` needs optional dependencies, so import it only here.
    from keras_involution.whale_id.model import EmbeddingNetwork
    from keras_involution.whale_id.model.preset import card_of

    load = EmbeddingNetwork.from_preset
    return functools.partial(hub.push_folder, load=load, model_card=card_of)
