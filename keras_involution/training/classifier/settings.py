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

# Written out, so that the help of the command line needs no import of Keras.
RECIPE_NAMES = ("rednet_few_epochs", "rednet_imagenet", "rednet_modern")
AUGMENTATION_NAMES = ("none", "flip", "light", "strong", "happywhale")
DEPTHS = ("26", "38", "50", "101", "152")


@dataclass(frozen=True)
class ClassifierSettings(Settings):
    """Settings of `train_classifier`; each is a line of a YAML file and an option.

    Example:

    >>> from keras_involution.training import ClassifierSettings
    >>> settings = ClassifierSettings(data="photos", optimizer="sgd", batch_size=32)
    >>> settings.training_recipe().optimizer
    'sgd'
    """

    data: str = setting("", "Folder or file of the images.")
    leave_out: list[str] = setting([], "Classes to leave out.")
    split: str | None = setting(None, "Split as CSV, .npz or .pth; else a new one.")
    model: str = setting(
        "rednet", "rednet, or its ResNet baseline.", choices=("rednet", "resnet")
    )
    depth: str | None = setting(
        None, "Depth; that of the preset, or 26.", choices=DEPTHS
    )
    from_preset: str | None = setting(
        None, "Weights to begin with: name, folder or hf://user/name."
    )
    probe: bool = setting(False, "Train only the head, on frozen features.")
    image_size: int | None = setting(None, "Side in pixels; the preset's, or 64.")
    on_error: str = setting(
        "skip", "What to do about an unreadable image.", choices=("skip", "stop")
    )

    recipe: str = setting(
        "rednet_few_epochs", "Where all settings below begin.", choices=RECIPE_NAMES
    )
    epochs: int | None = setting(None, "Passes over the images; the recipe's.")
    minutes: float | None = setting(None, "Ends the schedule at this wall time.")
    batch_size: int = setting(64, "Images per step.")
    optimizer: str | None = setting(
        None, "adamw, sgd or any optimizer of Keras, or sgd_coupled_decay."
    )
    optimizer_kwargs: dict = setting({}, "Its arguments: momentum=0.9,nesterov=true.")
    learning_rate: float | None = setting(None, "Highest rate, at this batch size.")
    lr_scheduler: str | None = setting(
        None, "cosine, linear, step, CosineDecay, StepLR, ExponentialLR and others."
    )
    lr_scheduler_kwargs: dict = setting({}, "Its arguments: step_size=10,gamma=0.1.")
    warm_up_epochs: float | None = setting(None, "Epochs over which the rate rises.")
    weight_decay: float | None = setting(None, "Decay of the weights.")
    label_smoothing: float | None = setting(None, "Smoothing of the labels.")
    ema_decay: float | None = setting(None, "Moving averages of weights, as 0.999.")
    augmentation: str | None = setting(
        None, "Instead of the recipe's.", choices=AUGMENTATION_NAMES
    )
    early_stop: int | None = setting(None, "Stops after so many epochs without gain.")
    evaluations_per_epoch: int = setting(1, "Validations within an epoch.")
    dtype_policy: str = setting("float32", "mixed_bfloat16 and so on.")
    seed: int = setting(0, "Seed of everything random.")
    num_threads: int = setting(2, "Threads that prepare images.")
    num_workers: int = setting(0, "Processes that prepare images.")
    log: list[str] = setting([], "csv, tensorboard, wandb, trackio.")

    def check(self) -> None:
        if not self.data:
            raise ValueError(f"Say where the images are. {received(data=self.data)}")
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
                "`probe` trains a head on the features of a preset, which "
                "`from_preset` names. " + received(probe=True)
            )
        if self.from_preset is not None and self.model != "rednet":
            raise ValueError(
                "The preset determines the network, so `model` cannot be chosen. "
                + received(model=self.model, from_preset=self.from_preset)
            )

    def training_recipe(self) -> Recipe:
        """The recipe with all changes to it."""
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
            # Frozen features are computed as at inference: nothing is dropped.
            changes["drop_path_rate"] = 0.0
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(recipe, **given)

    def training_augmentation(self) -> Augmentation:
        """The augmentation of that name, or that of the recipe."""
        from keras_involution.training.augmentation import AUGMENTATIONS

        if self.augmentation is not None:
            return AUGMENTATIONS[self.augmentation]
        return self.training_recipe().build_augmentation()
