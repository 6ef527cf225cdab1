"""Embeddings in parts are those of one process, in the same files."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pandas as pd
import pytest

from keras_involution.distribution import Hosts
from keras_involution.whale_id import Embeddings, PhotographError
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.embed import embed
from keras_involution.whale_id.parts import (
    build_job,
    devices,
    embed_on_devices,
    join_parts,
    open_folder,
    share_of,
    write_parts,
)
from keras_involution.whale_id.runs import Run, RunFiles
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.settings import one_stage

pytestmark = one_backend
PART = 5  # does not divide the 16 pictures


@pytest.fixture(scope="module")
def network():
    return build_network(one_stage())


@pytest.fixture
def files(tmp_path, network):
    """A head with two centres for each of three animals, and a file for the model."""
    centers = np.random.default_rng(0).normal(size=(network.output_shape[-1], 2, 3))
    np.savez(tmp_path / "head.npz", centers=centers, identities=["A", "B", "C"])
    (tmp_path / "model.keras").write_bytes(b"the weights")
    return RunFiles(tmp_path / "model.keras", 0.0, tmp_path / "head.npz")


@pytest.fixture
def table(tmp_path):
    table = animals(tmp_path)
    table["bbox"] = pd.Series([[1.0, 2.0, 20.0, 20.0]] + [None] * 15, dtype=object)
    # Nothing in the first part, and something that CSV has to quote in the last.
    return table.assign(date=[None] * 14 + ['10\r"th"', "a,b"])


def write(network, files, job, share="0/1", batch_size=3):
    open_folder(job)
    run = Run(network, 0.0, files.head)
    write_parts(run, job, share_of(job, share), batch_size=batch_size)


def same(first: Embeddings, second: Embeddings) -> None:
    for name in ("features", "flipped", "logits"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, atol=1e-6)
    assert first.classes == second.classes
    pd.testing.assert_frame_equal(first.table, second.table, check_dtype=False)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_joined_parts_are_what_one_process_writes(
    tmp_path, network, files, table, suffix
):
    (tmp_path / "1_2.png").write_bytes(b"broken")
    options = {"flip": "keep", "margin": 0.1, "on_error": "skip"}
    once, left_out = embed(network, table, head=files.head, batch_size=4, **options)
    once.save(tmp_path / f"once{suffix}")
    out = tmp_path / f"out{suffix}"
    job = build_job(table, files, out, head=True, part_size=PART, **options)
    write(network, files, job)
    joined = join_parts(job, files.head)
    assert (joined.photographs, joined.left_out) == (15, left_out)
    same(Embeddings.load(tmp_path / f"once{suffix}"), Embeddings.load(out))
    # Written again by the usual way, it is the same file to the byte.
    again = tmp_path / f"again{suffix}"
    if suffix == ".parquet":
        frames = pd.read_parquet(out), pd.read_parquet(tmp_path / f"once{suffix}")
        assert list(frames[0].dtypes) == list(frames[1].dtypes)
        return
    loaded = Embeddings.load(out)
    Embeddings(
        loaded.features, once.table, loaded.flipped, loaded.logits, loaded.classes
    ).save(again)
    assert again.read_bytes() == out.read_bytes()


def test_parts_do_not_depend_on_who_writes_them(tmp_path, network, files, table):
    first = build_job(table, files, tmp_path / "first.npz", part_size=PART)
    write(network, files, first)
    second = build_job(table, files, tmp_path / "second.npz", part_size=PART)
    for share in ("2/3", "0/3", "any:x", "any:y"):
        write(network, files, second, share)
    for number in range(first.count):
        assert first.path(number).read_bytes() == second.path(number).read_bytes()


def test_only_what_is_missing_is_written(tmp_path, network, files, table):
    job = build_job(table, files, tmp_path / "e.npz", part_size=PART)
    write(network, files, job, "1/2")
    assert job.missing() == [0, 2]
    before = {n: job.path(n).stat().st_mtime_ns for n in (1, 3)}
    claims = [share_of(job, "any:run") for _ in (0, 1)]
    assert [next(claims[0]), next(claims[1]), *claims[0], *claims[1]] == [0, 2]
    # The claims of another start of the command count no more.
    write(network, files, job, "any:rerun")
    assert job.missing() == []
    assert before == {n: job.path(n).stat().st_mtime_ns for n in (1, 3)}


def test_parts_in_which_nothing_can_be_used(tmp_path, network, files, table):
    for number in range(8):
        (tmp_path / f"{number // 4}_{number % 4}.png").write_bytes(b"broken")
    job = build_job(
        table, files, tmp_path / "e.csv", part_size=4, flip="keep", on_error="skip"
    )
    write(network, files, job)
    assert join_parts(job).photographs == 8
    assert list(Embeddings.load(tmp_path / "e.csv").table["image_id"]) == list(
        table["image_id"][8:]
    )
    few = build_job(table[:8], files, tmp_path / "f.csv", part_size=4, on_error="skip")
    for share in ("0/2", "1/2"):
        write(network, files, few, share)
    with pytest.raises(PhotographError, match="No picture of the table can be used"):
        join_parts(few)


def test_a_damaged_part_is_named(tmp_path, network, files, table):
    job = build_job(table, files, tmp_path / "e.npz", part_size=PART)
    write(network, files, job, "0/2")
    with pytest.raises(ValueError, match=r"Received: missing=\[1, 3\]"):
        join_parts(job)
    write(network, files, job, "1/2")
    job.path(3).write_bytes(job.path(3).read_bytes()[:100])
    with pytest.raises(ValueError, match=r"damaged.*Received: path='.*000003\.npz'"):
        join_parts(job)
    assert not job.out.exists()


@pytest.mark.parametrize("change", ["table", "model", "flip", "part_size"])
def test_parts_of_something_else_are_refused(tmp_path, files, table, change):
    open_folder(build_job(table, files, tmp_path / "e.npz"))
    options = {"flip": {"flip": "none"}, "part_size": {"part_size": 7}}.get(change, {})
    if change == "table":
        table.loc[3, "path"] = "elsewhere.png"
    elif change == "model":
        files.model.write_bytes(b"other weights")
    other = build_job(table, files, tmp_path / "e.npz", **options)
    with pytest.raises(ValueError, match=rf"another {change}, .*Received: out="):
        open_folder(other)
    (other.root / "notes").mkdir()
    open_folder(other, force=True)
    assert {path.name for path in other.root.iterdir()} == {other.folder.name, "notes"}


def command_for(network, files, job):
    """A worker that says what it sees; its parts are written here."""

    def command(share: str) -> list[str]:
        write(network, files, job, share)
        code = "import os; print('sees', os.environ.get('CUDA_VISIBLE_DEVICES'))"
        return [sys.executable, "-c", code]

    return command


def test_the_first_of_several_hosts_waits_and_joins(
    tmp_path, network, files, table, monkeypatch, capfd
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    job = build_job(table, files, tmp_path / "e.npz", part_size=PART)
    command = command_for(network, files, job)
    first, second = (Hosts(("h:1",), 2, number, number) for number in (0, 1))
    with pytest.raises(TimeoutError, match=r"2 of 4 parts.*Received: missing=\[1, 3\]"):
        embed_on_devices(job, files, command, hosts=first, timeout=0.1)
    late = threading.Timer(0.5, lambda: write(network, files, job, "1/2"))
    late.start()
    joined = embed_on_devices(job, files, command, hosts=first, timeout=60)
    late.join()
    assert joined.photographs == 16 and not job.root.exists()
    assert embed_on_devices(job, files, command, hosts=second, force=True) is None
    assert job.missing() == [0, 2]
    assert capfd.readouterr().err.split("\n")[-2] == "[0] sees 6"


def test_how_many_processes_auto_is(monkeypatch):
    monkeypatch.setattr(devices, "available_cores", lambda: 9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.number_of_processes("auto") == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert devices.number_of_processes("auto") == 3
    with pytest.raises(ValueError, match="Received: devices=0"):
        devices.number_of_processes(0)
