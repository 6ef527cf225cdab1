"""`from_preset` and `save_to_preset` as methods: the one door from models to `hub`.

`hub` stands above the models. These methods are the only place that reaches up, and
only when they are called, so that `import keras_involution` stays light.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from keras_involution.models.rednet_presets import PresetList


class PresetMethods:
    """Reads and writes preset folders; mixed into the models.

    `presets`, an attribute of the class, maps the name of every built-in preset that
    the class can load to its description, parameters, published accuracy and handle.
    """

    presets = PresetList()

    @classmethod
    def from_preset(
        cls,
        preset: str | Path,
        *,
        num_classes: int | None = None,
        load_weights: bool = True,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Builds the model that a preset describes.

        Nothing that a preset names is executed: its JSON files are read as plain
        values, its weights as plain numbers, and both are checked before a layer gets
        a weight.

        Args:
            preset: A built-in name, a folder written by `save_to_preset` or by
                keras-hub, a Hub repository as `"hf://user/name"`, or the file of a
                published checkpoint: `.pth`, `.pdparams`, `.safetensors` or `.npz`.
            num_classes: Integer, puts a new head of so many classes on the saved
                backbone of a classifier.
            load_weights: Boolean; `False` builds the same architecture with random
                weights.
            revision: Branch, tag or commit of a Hub repository; `None` is `main`.
            token: Hub token; `None` takes `HF_TOKEN` or the saved login, `False` none.
            cache_dir: Folder for downloads; `None` takes that of huggingface_hub.
            dtype: dtype or `keras.DTypePolicy`; `None` takes the saved one.
            **kwargs: Further arguments of the class that replace saved ones, and
                `image_shape`: where it has other channels than the preset, the first
                convolution is adapted so that grey pictures give what they gave.

        Returns:
            The model.

        Raises:
            ValueError: If the preset is unknown, out of reach, damaged, or of another
                architecture.
        """
        return _hub().from_preset(
            cls,
            preset,
            num_classes=num_classes,
            load_weights=load_weights,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            dtype=dtype,
            **kwargs,
        )

    def save_to_preset(
        self, folder: str | Path, max_shard_size: float | None = 5.0
    ) -> None:
        """Writes the model as a preset folder in the format of keras-hub.

        The folder appears complete or not at all; an existing preset is replaced,
        files beside it (a model card, say) are kept.

        Args:
            folder: Path of the folder.
            max_shard_size: Number of GB above which the weights become several files;
                `None` for one file of any size.

        Raises:
            ValueError: If `folder` is a file, or a folder with other contents than a
                preset, or the model holds what a preset cannot describe.
        """
        _hub().save_to_preset(self, folder, max_shard_size)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str | None = None,
        create_pr: bool = False,
        revision: str | None = None,
        tags: Sequence[str] = (),
        licence: str | None = None,
        model_card: Any = None,
        overwrite_card: bool = False,
        max_shard_size: float | None = 5.0,
    ) -> str:
        """Publishes the model as a preset in a Hub repository, in one commit.

        The preset is loaded back before anything is sent. Pushing again after an
        interruption sends only what is not there yet.

        Args:
            repo_id: String, "user/name"; the repository is made if there is none.
            private: Boolean, for a repository that is made now; `None` is the
                account's setting.
            token: Hub token that may write; `None` takes `HF_TOKEN` or the saved
                login.
            commit_message: String; `None` says what is uploaded.
            create_pr: Boolean, opens a pull request instead of committing.
            revision: Branch to commit to, made if there is none; `None` is `main`.
            tags: Sequence of strings for the card.
            licence: String, the licence's id on the Hub, as "apache-2.0".
            model_card: `keras_involution.hub.CardFacts` to write the card from, or
                its whole text; `None` writes what the model itself shows.
            overwrite_card: Boolean; `False` leaves a card that is there as it is.
            max_shard_size: Number of GB above which the weights become several files.

        Returns:
            String, the address of the commit or pull request.

        Raises:
            ValueError: If the preset would not load back, or the Hub cannot be reached
                or refuses.
        """
        return _hub().push_to_hub(
            self,
            repo_id,
            private=private,
            token=token,
            commit_message=commit_message,
            create_pr=create_pr,
            revision=revision,
            tags=tags,
            licence=licence,
            model_card=model_card,
            overwrite_card=overwrite_card,
            max_shard_size=max_shard_size,
        )


def _hub() -> ModuleType:
    return importlib.import_module("keras_involution.hub")
