"""Sharded checkpoints: no shard is too large or lost after an interruption."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_involution.training import load_checkpoint, save_checkpoint
from keras_involution.training.shards import find_shards
from tests.marks import one_backend

PART = 4096
SHAPES = ((30, 50), (50,)) * 2
ROOT = Path(__file__).parents[2]


@functools.cache
def network() -> keras.Model:
    """A network with an array that is larger than a shard."""
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(50)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def values(step: int) -> list[np.ndarray]:
    """The weights and momenta at a step."""
    random = np.random.default_rng(step)
    return [random.standard_normal(shape).astype("float32") for shape in SHAPES]


def variables() -> list:
    return [*network().variables, *network().optimizer.variables[2:]]


def place(step: int) -> keras.Model:
    for variable, value in zip(variables(), values(step), strict=True):
        variable.assign(value)
    return network()


def save(path: Path, step: int, shard_bytes: int | None = PART) -> None:
    save_checkpoint(path, place(step), {"step": step}, shard_bytes=shard_bytes)


def check_loads(path: Path, *steps: int) -> int:
    """Checks that progress, weights and momenta belong to one of these steps."""
    progress = load_checkpoint(path, place(99))
    assert progress["step"] in steps
    for variable, value in zip(variables(), values(progress["step"]), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    return progress["step"]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_file_is_larger_than_asked_for_and_all_together_are_one(tmp_path):
    path = tmp_path / "a" / "checkpoint.npz"
    save(path, 3)
    parts = find_shards(path)
    assert len(parts) == 4 and files(path.parent) == sorted(
        [path.name, *(part.name for part in parts)]
    )
    sizes = [part.stat().st_size for part in parts]
    assert sizes[:-1] == [PART] * 3 and 0 < sizes[-1] <= PART
    assert path.stat().st_size <= PART
    check_loads(path, 3)
    whole = tmp_path / "whole.npz"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    check_loads(whole, 3)


def test_only_what_belongs_to_the_last_checkpoint_stays(tmp_path):
    path = tmp_path / "checkpoint.npz"
    others = ["checkpoint.npz.txt", "checkpoint.npz.0123abcd.txt", "notes.001"]
    others += ["other.npz.0123abcd.001"]
    for name in others:
        (tmp_path / name).write_text("mine")
    for step in (1, 2):
        save(path, step)
        assert len(files(tmp_path)) == len(others) + 1 + 4
    check_loads(path, 2)
    save(path, 3, None)
    assert files(tmp_path) == sorted([*others, path.name])
    check_loads(path, 3)


@one_backend
def test_parts_that_are_missing_damaged_or_of_another_checkpoint(tmp_path):
    path, other = tmp_path / "checkpoint.npz", tmp_path / "other" / "checkpoint.npz"
    save(path, 1)
    save(other, 2)
    second, foreign = find_shards(path)[1], find_shards(other)[1]
    kept = second.read_bytes()
    for data in (foreign.read_bytes(), kept[:-1], b"", kept + b"0"):
        second.write_bytes(data)
        with pytest.raises(
            ValueError, match=r"its shard checkpoint\.npz\.\w+\.002 has a wrong"
        ):
            load_checkpoint(path, network())
    second.unlink()
    wanted = (
        r"cannot be read: its shard .*\.002 is missing\. Received: path='.*checkpoint"
    )
    with pytest.raises(ValueError, match=wanted):
        load_checkpoint(path, network())
    # Shards of another checkpoint do not fill the gap.
    foreign.rename(path.with_name(foreign.name))
    with pytest.raises(ValueError, match="is missing"):
        load_checkpoint(path, network())
    second.write_bytes(kept)
    check_loads(path, 1)


@one_backend
@pytest.mark.parametrize("shard_bytes", (0, -1, 2.5, True))
def test_a_size_that_is_none_is_refused(tmp_path, shard_bytes):
    with pytest.raises(ValueError, match="`shard_bytes` must be a positive integer"):
        save(tmp_path / "a.npz", 1, shard_bytes)


@one_backend
def test_parts_so_small_that_their_index_is_larger_are_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save(path, 1)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=r"The index of .* Received: shard_bytes=200"):
        save(path, 2, 200)
    assert files(tmp_path) == before
    check_loads(path, 1)


@one_backend
def test_an_error_leaves_the_old_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    path, calls, synchronize = tmp_path / "checkpoint.npz", [], os.fsync
    save(path, 1)
    before = files(tmp_path)

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError("No space left on device")
        synchronize(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, 2)
    assert files(tmp_path) == before
    check_loads(path, 1)


@one_backend
def test_interrupted_after_the_exchange_the_new_checkpoint_counts(
    tmp_path, monkeypatch
):
    path, replace = tmp_path / "checkpoint.npz", os.replace
    save(path, 1)

    def interrupted(*places):
        replace(*places)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(path, 2)
    check_loads(path, 2)
    monkeypatch.undo()
    save(path, 3)
    assert len(files(tmp_path)) == 1 + 4


# Saves in forked processes that kill themselves at later and later points: at the end
# of a shard, before and after the replacement, after the removal of some old shards.
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training.test_shards import save

moments = 0

def counted(name, holder):
    plain = getattr(holder, name)
    def call(*arguments, **options):
        global moments
        for act in (lambda: None, lambda: plain(*arguments, **options)):
            found = act()
            if moments == last:
                os.kill(os.getpid(), signal.SIGKILL)
            moments += 1
        return found
    setattr(holder, name, call)

for name, holder in (("fsync", os), ("replace", os), ("unlink", Path)):
    counted(name, holder)
folder = Path(sys.argv[1])
for number in range(100):
    path = folder / f"{number:02d}" / "checkpoint.npz"
    last = -1
    save(path, 1)
    moments, last = 0, number
    child = os.fork()
    if not child:
        save(path, 2)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(os.WTERMSIG(status), flush=True)
    if not status:
        break
"""


@one_backend
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
def test_killed_at_any_moment_the_old_or_the_new_one_is_whole(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    # Before and after: 4 shards and the index written, its replacement, 4 removals.
    signals = [int(number) for number in process.stdout.split()]
    assert signals == [signal.SIGKILL] * 20 + [0]
    steps = []
    for folder in sorted(tmp_path.iterdir()):
        path = folder / "checkpoint.npz"
        steps.append(check_loads(path, 1, 2))
        save(path, 3)
        drafts = [name for name in files(folder) if name.startswith(".")]
        assert len(files(folder)) - len(drafts) == 1 + 4 and len(drafts) <= 1
        check_loads(path, 3)
    assert steps == [1] * 11 + [2] * 10
