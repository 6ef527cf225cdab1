"""Training: from a table and settings to a folder with a network in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import pandas as pd

from keras_involution.distribution import Distribution
from keras_involution.training import Budget, Progress
from keras_involution.training.logs import open_logs
from keras_involution.whale_id.assemble import training_rows
from keras_involution.whale_id.config import TrainConfig
from keras_involution.whale_id.embeddings import Embeddings
from keras_involution.whale_id.model import EmbeddingNetwork, VectorNetwork
from keras_involution.whale_id.run_folder import (
    CONFIG,
    MODEL,
    prepare,
    replaced_run,
)
from keras_involution.whale_id.train.inputs import (
    Inputs,
    PhotoInputs,
    VectorInputs,
)
from keras_involution.whale_id.train.run import TrainingRun


def train(
    table: pd.DataFrame,
    config: TrainConfig,
    folder: str | Path,
    *,
    vectors: Embeddings | None = None,
    resume: bool = False,
    force: bool = False,
    log: Sequence[str] = (),
    distribution: Distribution | None = None,
    on_start: Callable[[Budget, float], None] | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> EmbeddingNetwork | VectorNetwork:
    """Trains a network on the photos of a table, or on stored vectors of them.

    The folder then holds `model.keras`, the network; `config.yaml`, all settings;
    `classes.json`, the identities; `head.npz`, the centers of the head; `steps.csv` and
    `epochs.csv`, losses and metrics; and `checkpoint.npz` with its parts, from which an
    interrupted run is resumed with the losses that it would have had.

    Args:
        table: DataFrame with `path` and `identity`; `bbox`, `species` and `split`
            where known. Rows of the split "val" are what `early_stop` looks at, and
            those that the column `held_out` of the settings keeps out of the training.
        config: `TrainConfig`.
        folder: Path of the folder.
        vectors: `Embeddings` of the photos by a network that stays as it is: a
            projection of them is trained, and no photo is read. `None` trains
            the network on the photos.
        resume: Boolean, whether the run in the folder is continued, if there is one.
        force: Boolean, whether the run in the folder is replaced.
        log: Sequence of `"csv"`, `"tensorboard"`, `"wandb"` and `"trackio"`; CSV is
            always written, TensorBoard wherever it is installed.
        distribution: What `distribute` returns, for several devices. The batch of the
            settings is that of all of them. With several processes all call this, the
            first writes, and all see the folder; every one validates by itself.
        on_start: Function that is called before the first step with the budget and an
            estimate of the seconds that the run takes.
        on_step: Function that is called with the progress after every step.

    Returns:
        `EmbeddingNetwork` as saved, or the `VectorNetwork` of stored vectors.

    Raises:
        ValueError: If the folder holds a run and neither `resume` nor `force` is set,
            a setting does not fit, the table has nothing to train on, a row of it
            has no vector, or it is not the one that a resumed run began with.
        ImageError: If an image cannot be used and `on_error` is `"stop"`.
    """
    folder = Path(folder)
    inputs: Inputs
    if vectors is None:
        inputs = PhotoInputs(config)
    else:
        inputs = of_vectors = VectorInputs(vectors, config)
        table = of_vectors.usable(table)
    rows = training_rows(table, config.held_out)
    is_main = distribution is None or distribution.is_main_process
    with contextlib.ExitStack() as stack:
        if force and not resume and is_main:
            stack.enter_context(replaced_run(folder))
        if distribution is not None:
            distribution.global_batch_size(config.batch_size, "global")
            stack.enter_context(distribution)
        if is_main:
            prepare(folder, resume=resume, force=force)
        if distribution is not None:
            distribution.barrier()
        run = TrainingRun(rows, table, config, folder, inputs, distribution)
        trainer = run.trainer
        if is_main:
            config.save(folder / CONFIG)
            trainer.logs = open_logs(
                folder, trainer.progress.step, config.to_dict(), log, "whale-id"
            )
        if on_start is not None and is_main:
            on_start(trainer.budget, run.estimated_seconds())
        trainer.run(on_step if is_main else None)
        if distribution is not None:
            distribution.barrier()
        return keras.saving.load_model(folder / MODEL)
