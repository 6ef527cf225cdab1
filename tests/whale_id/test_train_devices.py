"""`whale-id train --devices`: several processes train, and one process resumes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np

from keras_involution.whale_id import write_table
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.command import run
from tests.whale_id.settings import one_stage


def losses(folder) -> np.ndarray:
    with (folder / "steps.csv").open(newline="") as file:
        return np.array([float(row["loss"]) for row in csv.DictReader(file)])


@one_backend
def test_two_processes_begin_a_run_that_one_goes_on_with(tmp_path):
    """The results equal those of one process, except for rounding.

    The first step shows that gradients, statistics and losses are those of the whole
    batch: half of the batch would give another loss. Batches have 16 images, since the
    normalization of the neck amplifies rounding differences in smaller batches.
    """
    write_table(animals(tmp_path, each=13), tmp_path / "table.csv")
    one_stage(checkpoint_every=2, batch_size=16).save(tmp_path / "settings.yaml")
    given = ["train", tmp_path / "table.csv"]
    config = ["--config", tmp_path / "settings.yaml"]
    run(*given, tmp_path / "one", *config)
    command = [sys.executable, "-m", "keras_involution.whale_id.cli"]
    command += [*given, tmp_path / "two", *config, "--devices=2", "--minutes=1e-6"]
    # torchrun leaves a folder for its logs in the temporary folder.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    begun = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert begun.returncode == 0, begun.stderr[-2000:]
    assert "Running on 2 CPUs in 2 processes (torch)" in begun.stdout
    first = losses(tmp_path / "two")
    np.testing.assert_allclose(first, losses(tmp_path / "one")[:1], rtol=1e-4)
    run(*given, tmp_path / "two", *config, "--resume", "--minutes=100")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(two) == len(one) == 9
    np.testing.assert_allclose(two, one, rtol=1e-4)
