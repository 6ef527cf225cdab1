"""`from_preset`, `save_to_preset` and `push_to_hub` as methods of the models.

The hub is imported when a method is called, since `huggingface_hub` and the readers of
files are heavy, and `import keras_involution` is to stay light.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import keras

from keras_involution._strict import strict_keywords
from keras_involution.models.cost import model_cost
from keras_involution.models.fused_inference import fuse_for_inference
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
        mirror: str | None = None,
        dtype: Any = None,
        image_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Builds the model that a preset describes.

        Nothing that a preset names is executed: its JSON files are read as plain
        values, its weights as plain numbers, and both are checked before a layer gets
        a weight.

        Args:
            preset: A built-in name, a folder written by `save_to_preset` or by
                keras-hub, a Hub repository as `"hf://user/name"`, or a published
                checkpoint, a file or its `https://` address: `.pth`, `.pdparams`,
                `.safetensors` or `.npz`.
            num_classes: Integer, puts a new head of so many classes on the saved
                backbone of a classifier.
            load_weights: Boolean; `False` builds the same architecture with random
                weights.
            revision: Branch, tag or commit of a Hub repository; `None` is `main`.
            token: Hub token; `None` takes `HF_TOKEN` or the saved login, `False` none.
            cache_dir: Folder for downloads; `None` takes that of huggingface_hub, and
                for checkpoints that of `KERAS_INVOLUTION_CACHE` or of the system.
            mirror: Address of a folder with the published checkpoints of built-in
                names; `None` takes `KERAS_INVOLUTION_MIRROR` or the publisher.
            dtype: dtype or `keras.DTypePolicy`; `None` takes the saved one.
            image_shape: Tuple of 3, the shape of an image. Where it has other channels
                than the preset, the first convolution is adapted so that gray images
                give the same outputs.
            **kwargs: Further arguments of the class that replace saved ones.

        Returns:
            The model.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset is unknown, out of reach, damaged, or of another
                architecture.
        """
        from keras_involution import hub

        model: Self = hub.from_preset(
            cls,
            preset,
            num_classes=num_classes,
            load_weights=load_weights,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            mirror=mirror,
            dtype=dtype,
            image_shape=image_shape,
            **kwargs,
        )
        return model

    @strict_keywords
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
        from keras_involution import hub

        hub.save_to_preset(self, folder, max_shard_size)

    @strict_keywords
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
        license: str | None = None,
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
            license: String, the license's id on the Hub, as "apache-2.0".
            model_card: `keras_involution.hub.CardFacts` to write the card from, or
                its whole text; `None` writes what the model itself shows.
            overwrite_card: Boolean; `False` leaves a card that is there as it is.
            max_shard_size: Number of GB above which the weights become several files.

        Returns:
            String, the address of the commit or pull request.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset would not load back, or the Hub cannot be reached
                or refuses.
        """
        from keras_involution import hub

        return hub.push_to_hub(
            self,
            repo_id,
            private=private,
            token=token,
            commit_message=commit_message,
            create_pr=create_pr,
            revision=revision,
            tags=tags,
            license=license,
            model_card=model_card,
            overwrite_card=overwrite_card,
            max_shard_size=max_shard_size,
        )

    @classmethod
    def from_checkpoint(cls, path: str | Path, **kwargs: Any) -> Self:
        """`from_preset` of the file of a published checkpoint.

        Args:
            path: Path of a `.pth`, `.pdparams`, `.safetensors` or `.npz` file.
            **kwargs: `num_classes`, `load_weights`, `dtype` and the class's arguments.

        Returns:
            The model.

        Raises:
            ValueError: If the file cannot be read, or is of another network.
        """
        from keras_involution.models.rednet_checkpoint import from_checkpoint

        model: Self = from_checkpoint(cls, path, **kwargs)
        return model

    def load_checkpoint(self, path: str | Path) -> None:
        """Gives a classifier the weights of a published checkpoint of its architecture.

        Args:
            path: Path of the file.

        Raises:
            ValueError: If the file cannot be read, or is of another network.
        """
        from keras_involution.models.rednet_checkpoint import fill_from_checkpoint

        fill_from_checkpoint(self, Path(path))

    def published_state_dict(self) -> dict[str, Any]:
        """The weights under the names and in the layout of the published checkpoints.

        `torch.save({"state_dict": model.published_state_dict()}, path)` writes a file
        that `from_checkpoint` and the published PyTorch code read.

        Returns:
            Dictionary of name -> tensor of PyTorch, on the other backends array.
        """
        from keras_involution.models.rednet_names import published_arrays

        return published_arrays(self)

    def fuse_for_inference(self) -> keras.Model:
        """An equal model whose convolutions include their batch normalization.

        Returns:
            A plain `keras.Model` of prepared tensors, with a copy of the weights as
            they are now: fuse again after training.
        """
        return fuse_for_inference(self)

    def macs(self, image_shape: Sequence[int]) -> int:
        """The multiply-adds for one image of a shape, as `model_cost` counts them."""
        return model_cost(self, image_shape).macs
