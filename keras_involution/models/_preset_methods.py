"""`from_preset`, `save_to_preset` and `push_to_hub` as methods of the models.

The methods import `keras_involution.hub` when they are called, because
`huggingface_hub` and the file readers would slow down `import keras_involution`.
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
    """Mixin that loads, saves and uploads presets.

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
        """Loads a model from a preset.

        No code in a preset is executed. JSON files are read as plain values and weights
        as plain numbers, and both are checked before any weight is set.

        Args:
            preset: A built-in name, a folder written by `save_to_preset` or by
                keras-hub, a Hub repository as `"hf://user/name"`, or a published
                checkpoint (`.pth`, `.pdparams`, `.safetensors` or `.npz`) as a file or
                an `https://` URL.
            num_classes: Integer, number of classes of a new head, which replaces the
                saved head of a classifier.
            load_weights: Boolean; `False` builds the same architecture with random
                weights.
            revision: Branch, tag or commit of a Hub repository; `None` is `main`.
            token: Hub token; `None` uses `HF_TOKEN` or the saved login, `False` none.
            cache_dir: Folder for downloads; `None` uses the cache of huggingface_hub,
                and for checkpoints `KERAS_INVOLUTION_CACHE` or the cache folder of the
                operating system.
            mirror: URL of a folder with the published checkpoints of built-in names;
                `None` uses `KERAS_INVOLUTION_MIRROR` or the publisher.
            dtype: dtype or `keras.DTypePolicy`; `None` uses the saved one.
            image_shape: Tuple of 3, the shape of an image. If its number of channels
                differs from that of the preset, the first convolution is adapted so
                that gray images give the same outputs.
            **kwargs: Further arguments of the class, which override the saved ones.

        Returns:
            The model.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset is unknown, unreachable, damaged, or of another
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
        """Saves the model as a preset folder in the format of keras-hub.

        An interruption leaves no incomplete preset. An existing preset in the folder is
        replaced; a model card in it is kept.

        Args:
            folder: Path of the folder.
            max_shard_size: Size in GB above which the weights are split into several
                files; `None` for one file of any size.

        Raises:
            ValueError: If `folder` is a file or holds anything other than a preset, or
                a preset cannot describe the model.
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

        The preset is saved and loaded back before the upload. If a push is interrupted,
        the next push uploads only the missing files.

        Args:
            repo_id: String, "user/name"; the repository is created if it does not
                exist.
            private: Boolean, visibility of a newly created repository; `None` uses the
                setting of the account.
            token: Hub token with write access; `None` uses `HF_TOKEN` or the saved
                login.
            commit_message: String; `None` uses a default message.
            create_pr: Boolean, whether to open a pull request instead of committing.
            revision: Branch to commit to, created if it does not exist; `None` is
                `main`.
            tags: Sequence of strings, tags for the model card.
            license: String, id of the license on the Hub, such as "apache-2.0".
            model_card: `keras_involution.hub.CardFacts`, or the whole text of the card;
                `None` generates the card from the model.
            overwrite_card: Boolean, whether to replace an existing model card.
            max_shard_size: Size in GB above which the weights are split into several
                files.

        Returns:
            String, the URL of the commit or pull request.

        Raises:
            TypeError: If an argument is unknown.
            ValueError: If the preset does not load back, or the Hub cannot be reached
                or rejects the request.
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
        """Loads a model from the file of a published checkpoint.

        Args:
            path: Path of a `.pth`, `.pdparams`, `.safetensors` or `.npz` file.
            **kwargs: `num_classes`, `load_weights`, `dtype` and the class's arguments.

        Returns:
            The model.

        Raises:
            ValueError: If the file cannot be read, or belongs to another network.
        """
        from keras_involution.models.rednet_checkpoint import from_checkpoint

        model: Self = from_checkpoint(cls, path, **kwargs)
        return model

    def load_checkpoint(self, path: str | Path) -> None:
        """Loads the weights of a published checkpoint into this model.

        A backbone, or a classifier without head, ignores the head of the checkpoint.
        Load a checkpoint before `quantize` and `enable_lora`.

        Args:
            path: Path of the file.

        Raises:
            ValueError: If the file cannot be read or belongs to another network, or
                this model is quantized or has LoRA matrices.
        """
        from keras_involution.models.rednet_checkpoint import fill_from_checkpoint

        fill_from_checkpoint(self, Path(path))

    def published_state_dict(self) -> dict[str, Any]:
        """Returns the weights with the names and layout of the published checkpoints.

        `torch.save({"state_dict": model.published_state_dict()}, path)` writes a file
        that `from_checkpoint` and the published PyTorch code read. LoRA matrices are
        merged into the kernels.

        Returns:
            Dictionary from names to PyTorch tensors; to arrays on other backends.

        Raises:
            ValueError: If the model is quantized, or has convolutions in place of
                involutions.
        """
        from keras_involution.models.rednet_names import published_arrays

        return published_arrays(self)

    def fuse_for_inference(self) -> keras.Model:
        """Returns an equal model with batch normalization folded into convolutions.

        Returns:
            A plain `keras.Model` that takes prepared tensors. It has a copy of the
            current weights: fuse again after training.
        """
        return fuse_for_inference(self)

    def macs(self, image_shape: Sequence[int]) -> int:
        """Returns the number of multiply-adds for one image, as in `model_cost`."""
        return model_cost(self, image_shape).macs
