"""Trains a network from a table and settings, and writes it to a folder."""

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
    """Trains a network on the photos of a table, or on their stored vectors.

    The folder then contains `model.keras`, the network; `config.yaml`, all settings;
    `classes.json`, the identities; `head.npz`, the centers of the head; `steps.csv` and
    `epochs.csv`, losses and metrics; and `checkpoint.npz` with its parts, from which an
    interrupted run is resumed with the same losses as without the interruption.

    Args:
        table: DataFrame with `path` and `identity`, and optionally `bbox`, `species`
            and `split`. `early_stop` monitors rows of the split "val", and rows that
            the setting `held_out` keeps out of training.
        config: `TrainConfig`.
        folder: Path of the folder.
        vectors: `Embeddings` of the photos by a fixed network. A projection of them is
            trained, and no photo is read. `None` trains the network on the photos.
        resume: Boolean, whether to continue the run in the folder, if there is one.
        force: Boolean, whether to replace the run in the folder.
        log: Sequence of `"csv"`, `"tensorboard"`, `"wandb"` and `"trackio"`. CSV is
            always written, TensorBoard if it is installed.
        distribution: The result of `distribute`, for several devices. The batch size in
            the settings is the total of all devices. With several processes, all of
            them call this function and need access to the folder; the first one writes,
            and each one validates separately.
        on_start: Function that is called before the first step with the budget and the
            estimated seconds of the run.
        on_step: Function that is called with the progress after every step.

    Returns:
        `EmbeddingNetwork` as saved, or the `VectorNetwork` of stored vectors.

    Raises:
        ValueError: If the folder contains a run and neither `resume` nor `force` is
            set, a setting is invalid, the table has no training rows, a row has no
            vector, or the table differs from that of the resumed run.
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
