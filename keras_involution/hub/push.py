"""Checks presets and publishes them on the Hugging Face Hub in one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_involution._arguments import received
from keras_involution.hub import _format, card
from keras_involution.hub._errors import hub_errors, refuse
from keras_involution.hub._format import CARD_FILE, is_preset_file
from keras_involution.hub._locate import checked_repo_id
from keras_involution.hub._registry import backbone_class, classifier_class
from keras_involution.hub._source import PresetError
from keras_involution.hub.client import Client, Unreachable
from keras_involution.hub.save import MAX_SHARD_SIZE


def push_to_hub(
    model: Any,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    revision: str | None = None,
    tags: Sequence[str] = (),
    license: str | None = None,
    model_card: str | card.CardFacts | None = None,
    overwrite_card: bool = False,
    max_shard_size: float | None = MAX_SHARD_SIZE,
) -> str:
    """Publishes a model as a preset in a Hub repository, in one commit.

    The preset is written to a temporary folder and loaded back before the upload. If a
    push is interrupted, the next push uploads only the missing files.

    Args:
        model: A model with `save_to_preset` and `from_preset`.
        repo_id: String, "user/name"; the repository is created if it does not exist.
        **kwargs: Further arguments, as in `RedNetImageClassifier.push_to_hub`.

    Returns:
        String, the URL of the commit or pull request.

    Raises:
        ValueError: If the preset does not load back, or the Hub cannot be reached or
            rejects the request.
    """
    checked = checked_repo_id(repo_id.removeprefix("hf://"))
    with tempfile.TemporaryDirectory(prefix="keras_involution_") as place:
        folder = Path(place) / "preset"
        model.save_to_preset(folder, max_shard_size=max_shard_size)
        _check_loads_back(model, folder)
        text = _card_text(model, checked, model_card, tags, license)
        (folder / CARD_FILE).write_text(text, "utf-8")
        message = commit_message or f"Upload {type(model).__name__}"
        client = Client(checked, token)
        return _publish(
            folder, client, private, message, create_pr, revision, overwrite_card
        )


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    revision: str | None = None,
    overwrite_card: bool = False,
    load: Callable[[Path], Any] | None = None,
    model_card: Callable[[Any, str], str] | None = None,
) -> str:
    """Publishes a preset folder, including its model card, in one commit.

    Only the files of a preset and `README.md` are uploaded.

    Args:
        folder: Path of a preset folder.
        repo_id: String, "user/name"; the repository is created if it does not exist.
        private, token, commit_message, create_pr, revision, overwrite_card: As in
            `RedNetImageClassifier.push_to_hub`.
        load: Function from the folder to its model, for models other than classifiers
            and backbones.
        model_card: Function from this model and `repo_id` to the text of a card, for a
            folder without a card.

    Returns:
        String, the URL of the commit or pull request.

    Raises:
        ValueError: If the folder does not load, or the Hub cannot be reached or rejects
            the request.
    """
    checked = checked_repo_id(repo_id.removeprefix("hf://"))
    folder = Path(folder)
    model = (load or _load)(folder)
    with tempfile.TemporaryDirectory(prefix="keras_involution_") as place:
        if not (folder / CARD_FILE).is_file():
            text = (model_card or card.model_card)(model, checked)
            (Path(place) / CARD_FILE).write_text(text, "utf-8")
        message = commit_message or f"Upload {type(model).__name__}"
        return _publish(
            folder,
            Client(checked, token),
            private,
            message,
            create_pr,
            revision,
            overwrite_card,
            Path(place),
        )


def _load(folder: Path) -> Any:
    is_task = (folder / _format.TASK_FILE).is_file()
    cls = classifier_class() if is_task else backbone_class()
    return cls.from_preset(folder)


def _card_text(
    model: Any,
    repo_id: str,
    given: str | card.CardFacts | None,
    tags: Sequence[str],
    license: str | None,
) -> str:
    if isinstance(given, str):
        return given
    return card.model_card(model, repo_id, given, tags, license)


def _check_loads_back(model: Any, folder: Path) -> None:
    loaded = type(model).from_preset(folder)
    for weight, saved in zip(model.weights, loaded.weights, strict=True):
        values, expected = (np.asarray(_numpy(w)) for w in (saved, weight))
        if not np.array_equal(values, expected, equal_nan=True):
            raise PresetError(
                f"The saved preset loads back with other values in {weight.path}; "
                f"nothing is uploaded. {received(model=model.name)}"
            )


def _numpy(weight: Any) -> Any:
    import keras

    return keras.ops.convert_to_numpy(weight).astype("float64")


def _publish(
    folder: Path,
    client: Client,
    private: bool | None,
    message: str,
    create_pr: bool,
    revision: str | None,
    overwrite_card: bool,
    extra: Path | None = None,
) -> str:
    handle = f"hf://{client.repo_id}"
    try:
        with hub_errors(handle, revision):
            _prepare_repository(client, private, create_pr, revision)
            files = _files_of(folder) | (_files_of(extra) if extra else {})
            return _commit(client, files, message, create_pr, revision, overwrite_card)
    except Unreachable as error:
        raise refuse(
            f"{error} Nothing was published. The next push sends only what is not "
            "there yet",
            handle,
            revision,
        ) from error


def _prepare_repository(
    client: Client, private: bool | None, create_pr: bool, revision: str | None
) -> None:
    if create_pr:
        return
    client.api.create_repo(client.repo_id, private=private, exist_ok=True)
    if revision is not None:
        client.api.create_branch(client.repo_id, branch=revision, exist_ok=True)


def _files_of(folder: Path) -> dict[str, Path]:
    """The files to upload: those of the preset, and its card."""
    return {
        path.name: path
        for path in folder.iterdir()
        if path.is_file() and is_preset_file(path.name)
    }


def _commit(
    client: Client,
    files: dict[str, Path],
    message: str,
    create_pr: bool,
    revision: str | None,
    overwrite_card: bool,
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    info = client.api.model_info(client.repo_id, revision=revision)
    there = {sibling.rfilename for sibling in info.siblings or []}
    if CARD_FILE in there and not overwrite_card:
        files = {name: path for name, path in files.items() if name != CARD_FILE}
    gone = sorted(filter(is_preset_file, there - files.keys() - {CARD_FILE}))
    commit = client.api.create_commit(
        client.repo_id,
        operations=[
            *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
            *(CommitOperationDelete(name) for name in gone),
        ],
        commit_message=message,
        revision=revision,
        create_pr=create_pr,
        # Without it, two concurrent pushes could leave a mixture of both.
        parent_commit=None if create_pr else info.sha,
    )
    return str(commit.pr_url or commit.commit_url)
