"""`whale-id embed` in shards: interrupted, in several processes, and with more rows."""

from __future__ import annotations

import os
import re
import textwrap

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id import Embeddings, write_table
from keras_involution.whale_id.assemble import build_network
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.command import run
from tests.whale_id.image_files import FINS
from tests.whale_id.settings import one_stage

pytestmark = [
    one_backend,
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems"),
]
# Python runs this at the start of the workers. The worker that writes the third shard
# kills itself before the shard is complete; the others continue.
KILLED = """
import os, signal, sys, time

killed = os.path.join(os.path.dirname(__file__), "killed")
real = os.replace

def replace(source, target, **options):
    if str(target).endswith("000002.npz") and not os.path.exists(killed):
        open(killed, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target, **options)

os.replace = replace
"""


@pytest.fixture
def source(tmp_path):
    """Eleven files, including one photo and one that is not an image, and a network."""
    table = animals(tmp_path, identities=3)[:11].copy()
    table.loc[2, "path"] = str(sorted(FINS.rglob("*.jpg"))[0])
    (tmp_path / "1_1.png").write_bytes(b"broken")
    write_table(table, tmp_path / "table.csv")
    build_network(one_stage()).save(tmp_path / "model.keras")
    return tmp_path / "table.csv", tmp_path / "model.keras"


def finished(output: str) -> list[int]:
    return [int(n) for n in re.findall(r"^(\d+) of \d+ photos$", output, re.M)]


def same(one: Embeddings, other: Embeddings) -> None:
    np.testing.assert_allclose(one.features, other.features, atol=1e-6)
    pd.testing.assert_frame_equal(one.table, other.table, check_dtype=False)


def test_a_killed_worker_loses_its_shard_alone(source, tmp_path, monkeypatch):
    out, once = tmp_path / "e.npz", tmp_path / "once.npz"
    skip = ("--on-error", "skip")
    sharded = (*source, out, "--shard-size", 2, *skip, "--devices")

    (tmp_path / "at_start").mkdir()
    (tmp_path / "at_start" / "sitecustomize.py").write_text(textwrap.dedent(KILLED))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "at_start"), prepend=os.pathsep)
    output = run("embed", *sharded, 2, status=1)
    assert "Error: 9 of 11 photos are embedded; the same command" in output
    assert "was killed by SIGKILL. Received: out=" in output
    shards = sorted(path.name for path in (tmp_path / "e.npz.shards").glob("0*.npz"))
    assert shards == [f"{n:06}.npz" for n in (0, 1, 3, 4, 5)] and not out.exists()

    wrong = run("embed", *sharded, 2, "--flip", "none", status=1)
    assert "has embeddings with another flip" in wrong and not finished(wrong)

    again = run("embed", *sharded, 2)
    assert finished(again) == [2]
    last = run("embed", *source, once, *skip).splitlines()
    assert again.splitlines()[-2:] == [
        last[-2], last[-1].replace(str(once), str(out))
    ]  # fmt: skip
    assert not (tmp_path / "e.npz.shards").exists()
    same(Embeddings.load(out), Embeddings.load(once))


def test_only_new_rows_are_embedded(source, tmp_path):
    """Writes to an `.npz` file and to a folder; then uses another network."""
    table, model = source
    skip = ("--on-error", "skip")
    few = pd.read_csv(table)[:3]
    few.to_csv(tmp_path / "few.csv", index=False)
    run("embed", table, model, tmp_path / "once.npz", *skip)
    whole = Embeddings.load(tmp_path / "once.npz")
    for name in ("e.npz", "folder"):
        out = tmp_path / name
        assert finished(run("embed", tmp_path / "few.csv", model, out, *skip)) == [3]
        added = run("embed", table, model, out, *skip, "--append")
        assert finished(added) == [8], name
        same(Embeddings.load(out), whole)
    refused = run("embed", table, model, tmp_path / "e.npz", status=1)
    assert "exists; `force` (`--force`) replaces it" in refused
    other = run(
        "embed", table, model, tmp_path / "e.npz", "--append", "--flip=none", status=1
    )
    assert "written by another network or with other options" in other


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (("--devices", "0"), "devices=0", 1),
        (("--devices", "many"), "neither a number nor auto", 2),
        (("--shard-size", "0"), "shard_size=0", 1),
        (("--mean", "1,2"), "not one number or three", 2),
    ],
)
def test_options_that_make_no_sense(source, tmp_path, options, words, status):
    out = tmp_path / "e.npz"
    assert words in run("embed", *source, out, *options, status=status)
    assert "--worker" not in run("embed", "--help")
