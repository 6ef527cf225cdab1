"""Recipes by name: published, modern, short, and with distillation."""

from __future__ import annotations

from dataclasses import replace

from keras_involution.training.recipe import Recipe

# A network does not overfit in a few epochs, so there is little regularization.
_FEW_EPOCHS = Recipe(
    optimizer="adamw",
    learning_rate=2e-3,
    base_batch_size=128,
    scaling="square_root",
    epochs=6,
    weight_decay=0.05,
    schedule_kwargs={"final_fraction": 0.0},
    warm_up_epochs=0.25,
    clip_norm=1.0,
    crop_area=(0.35, 1.0),
    sizes=((0.0, 0.5), (0.3, 0.75), (0.9, 1.0)),
)

RECIPES: dict[str, Recipe] = {
    # cls/configs/_base_/schedules/imagenet_bs2048_coslr_130e.py of the published code.
    "rednet_imagenet": Recipe(
        optimizer="sgd_coupled_decay",
        learning_rate=0.8,
        base_batch_size=2048,
        epochs=130,
        weight_decay=1e-4,
        schedule="epoch_cosine",
        warm_up_epochs=5,
    ),
    "rednet_modern": Recipe(
        optimizer="adamw",
        learning_rate=2e-3,
        base_batch_size=1024,
        scaling="square_root",
        epochs=100,
        weight_decay=0.05,
        warm_up_epochs=5,
        schedule_kwargs={"final_fraction": 0.001},
        clip_norm=1.0,
        sizes=((0.0, 0.5), (0.35, 0.75), (0.7, 1.0)),
        rand_augment=0.3,
        mix_up=0.2,
        cut_mix=1.0,
        ema_decay=0.9998,
        drop_path_rate=0.05,
    ),
    "rednet_few_epochs": _FEW_EPOCHS,
    # Continues from trained weights with stored logits. The logits are those of whole
    # images, so crops are large. In the second half of the run, image sizes alternate.
    "rednet_distilled": replace(
        _FEW_EPOCHS,
        learning_rate=1e-3,
        epochs=12,
        label_smoothing=0.0,
        crop_area=(0.6, 1.0),
        sizes=(
            (0.0, 0.75),
            *(
                (0.5 + (4 * cycle + place) / 64, size)
                for cycle in range(8)
                for place, size in enumerate((1.0, 1.5, 0.75, 1.0))
            ),
        ),
    ),
}
