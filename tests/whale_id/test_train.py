"""Training: resumed after a kill, repeatable, stopped, refused."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id.train import train
from tests.whale_id.animals import animals
from tests.whale_id.settings import small

# Trains in a process of its own, and dies in the middle when it is told to.
PROGRAM = """
import os, signal, sys
import pandas as pd
from keras_involution.whale_id.train import train
from tests.whale_id.settings import small

table, folder, last = sys.argv[1], sys.argv[2], int(sys.argv[3])

def on_progress(progress, total, epoch):
    if progress.step == last:
        os.kill(os.getpid(), signal.SIGKILL)

settings = small(checkpoint_every=2, average_momentum=0.9, dropout=0.2,
                 augmentation="light", sampling="balanced")
train(pd.read_pickle(table), settings, folder, resume=True, on_progress=on_progress)
"""


def losses(folder, kind="steps") -> list[tuple[str, ...]]:
    with (folder / f"{kind}.csv").open(newline="") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


def in_its_own_process(table, folder, last: int) -> int:
    environment = {
        **os.environ, "KERAS_BACKEND": keras.config.backend(), "OMP_NUM_THREADS": "1"
    }  # fmt: skip
    command = [sys.executable, "-c", PROGRAM, str(table), str(folder), str(last)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, -signal.SIGKILL), result.stderr[-2000:]
    return result.returncode


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path):
    table = tmp_path / "table.pkl"
    animals(tmp_path).to_pickle(table)
    assert in_its_own_process(table, tmp_path / "unbroken", 0) == 0
    broken = tmp_path / "broken"
    # The third step is after the checkpoint of the second, in the middle of an epoch,
    # so that the run has to forget a step that it has written down.
    assert in_its_own_process(table, broken, 5) == -signal.SIGKILL
    assert len(losses(broken)) == 5
    assert in_its_own_process(table, broken, 0) == 0
    assert len(losses(broken)) == 9
    for kind in ("steps", "epochs"):
        assert losses(broken, kind) == losses(tmp_path / "unbroken", kind)
