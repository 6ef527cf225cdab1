"""The settings of a classifier's training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._settings import Settings, setting

if TYPE_CHECKING:
    from keras_involution.training.augmentation import Augmentation
    from keras_involution.training.recipe import Recipe

# Literals, so that `--help` does not import Keras.
RECIPE_NAMES = ("rednet_few_epochs", "rednet_imagenet", "rednet_modern")
AUGMENTATION_NAMES = ("none", "flip", "light", "strong", "happywhale")
DEPTHS = ("26", "38", "50", "101", "152")


@dataclass(frozen=True)
class ClassifierSettings(Settings):
    """Settings for training a classifier; each is a YAML key and a command option.

    Example:

    >>> from keras_involution.training import ClassifierSettings
    >>> settings = ClassifierSettings(data="photos", optimizer="sgd", batch_size=32)
    >>> settings.training_recipe().optimizer
    'sgd'
    """

    data: str = setting("", "Folder or file of the images.")
    leave_out: list[str] = setting([], "Classes to leave out.")
    split: str | None = setting(
        None, "Split to use (.csv, .npz or .pth); by default, a new random split."
    )
    model: str = setting(
        "rednet", "RedNet, or its ResNet baseline.", choices=("rednet", "resnet")
    )
    depth: str | None = setting(
        None,
        "Depth of the network; by default, that of the preset, or 26.",
        choices=DEPTHS,
    )
    from_preset: str | None = setting(
        None, "Preset to start from: name, folder or hf://user/name."
    )
    probe: bool = setting(False, "Train only the head, on frozen features.")
    image_size: int | None = setting(
        None, "Image side in pixels; by default, that of the preset, or 64."
    )
    on_error: str = setting(
        "skip", "Skip unreadable images, or stop.", choices=("skip", "stop")
    )

    recipe: str = setting(
        "rednet_few_epochs",
        "Recipe with the defaults of the settings below.",
        choices=RECIPE_NAMES,
    )
    epochs: int | None = setting(None, "Number of epochs.")
    minutes: float | None = setting(
        None, "Time limit in minutes; the schedule ends with it."
    )
    batch_size: int = setting(64, "Images per step.")
    optimizer: str | None = setting(
        None, "adamw, sgd, sgd_coupled_decay or any Keras optimizer."
    )
    optimizer_kwargs: dict = setting(
        {}, "Arguments of the optimizer: momentum=0.9,nesterov=true."
    )
    learning_rate: float | None = setting(
        None, "Peak learning rate for the given batch size."
    )
    lr_scheduler: str | None = setting(
        None, "cosine, linear, step, CosineDecay, StepLR, ExponentialLR and others."
    )
    lr_scheduler_kwargs: dict = setting(
        {}, "Arguments of the scheduler: step_size=10,gamma=0.1."
    )
    warm_up_epochs: float | None = setting(None, "Epochs of learning-rate warm-up.")
    weight_decay: float | None = setting(None, "Weight decay.")
    label_smoothing: float | None = setting(None, "Label smoothing.")
    ema_decay: float | None = setting(
        None, "Decay of the moving average of the weights, such as 0.999."
    )
    augmentation: str | None = setting(
        None, "Augmentation to use instead of the recipe's.", choices=AUGMENTATION_NAMES
    )
    early_stop: int | None = setting(
        None, "Stop after this many epochs without improvement."
    )
    evaluations_per_epoch: int = setting(1, "Validations per epoch.")
    dtype_policy: str = setting("float32", "Keras dtype policy, or mixed_bfloat16.")
    seed: int = setting(0, "Random seed.")
    num_threads: int = setting(2, "Threads that prepare images.")
    num_workers: int = setting(0, "Processes that prepare images.")
    log: list[str] = setting([], "Loggers: csv, tensorboard, wandb, trackio.")

    def check(self) -> None:
        if not self.data:
            raise ValueError(
                f"`data` must name the folder of the images. {received(data=self.data)}"
            )
        names = (
            "image_size", "epochs", "batch_size", "early_stop", "num_threads",
            "evaluations_per_epoch",
        )  # fmt: skip
        for name in names:
            value = getattr(self, name)
            if value is not None:
                _arguments.positive_integer(value, name)
        for name in ("seed", "num_workers"):
            _arguments.whole_number(getattr(self, name), name)
        for name in ("learning_rate", "minutes"):
            value = getattr(self, name)
            if value is not None:
                _arguments.positive_number(value, name)
        if self.probe and self.from_preset is None:
            raise ValueError(
                "`probe` trains a head on the features of a preset, so it needs "
                "`from_preset`. " + received(probe=True, from_preset=None)
            )
        if self.from_preset is not None and self.model != "rednet":
            raise ValueError(
                "The preset determines the network, so `model` cannot be chosen. "
                + received(model=self.model, from_preset=self.from_preset)
            )

    def training_recipe(self) -> Recipe:
        """Returns the recipe with the changes of the settings."""
        from keras_involution.training.recipes import RECIPES

        changes = {
            name: getattr(self, name)
            for name in ("epochs", "weight_decay", "label_smoothing", "ema_decay")
        } | {"optimizer": self.optimizer, "warm_up_epochs": self.warm_up_epochs}
        recipe = RECIPES[self.recipe]
        if self.learning_rate is not None:
            changes["learning_rate"] = self.learning_rate
            changes["base_batch_size"] = self.batch_size
        if self.optimizer is not None or self.optimizer_kwargs:
            changes["optimizer_kwargs"] = self.optimizer_kwargs
        if self.lr_scheduler is not None:
            changes["schedule"] = self.lr_scheduler
            changes["schedule_kwargs"] = self.lr_scheduler_kwargs
        elif self.lr_scheduler_kwargs:
            changes["schedule_kwargs"] = self.lr_scheduler_kwargs
        if self.probe:
            # Frozen features are computed as at inference, without stochastic depth.
            changes["drop_path_rate"] = 0.0
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(recipe, **given)

    def training_augmentation(self) -> Augmentation:
        """Returns the augmentation in the settings, or that of the recipe."""
        from keras_involution.training.augmentation import AUGMENTATIONS

        if self.augmentation is not None:
            return AUGMENTATIONS[self.augmentation]
        return self.training_recipe().build_augmentation()
