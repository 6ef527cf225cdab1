"""`whale-id embed --devices` with real processes, one of which is killed."""

from __future__ import annotations

import os
import re
import textwrap

import numpy as np
import pytest

from keras_involution.whale_id import Embeddings, write_table
from keras_involution.whale_id.assemble import build_network
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.command import run
from tests.whale_id.pictures import FINS
from tests.whale_id.settings import one_stage

pytestmark = [
    one_backend,
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems"),
]
# Python runs it at the start of the workers. Process 1 kills itself in the middle of
# its second part; process 0 waits for that with its first one, so that every run is
# the same.
KILLED = """
import os, signal, sys, time

number = os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID")
killed = os.path.join(os.path.dirname(__file__), "killed")
real, parts = os.replace, []

def replace(source, target, **options):
    if str(target).endswith(".npz") and not os.path.exists(killed):
        parts.append(target)
        if number == "1" and len(parts) == 2:
            open(killed, "x").close()
            os.kill(os.getpid(), signal.SIGKILL)
        while number == "0" and not os.path.exists(killed):
            time.sleep(0.05)
    real(source, target, **options)

os.replace = replace
"""


@pytest.fixture
def source(tmp_path):
    """Eleven pictures, one of them a photograph and one that is none, and a network."""
    table = animals(tmp_path, identities=3)[:11].copy()
    table.loc[2, "path"] = str(sorted(FINS.rglob("*.jpg"))[0])
    (tmp_path / "1_1.png").write_bytes(b"broken")
    write_table(table, tmp_path / "table.csv")
    build_network(one_stage()).save(tmp_path / "model.keras")
    return tmp_path / "table.csv", tmp_path / "model.keras"


def written(output: str) -> list[str]:
    return re.findall(r"^\[\d\] rows (\d+ to \d+) of 11$", output, re.M)


def test_one_of_two_is_killed_and_the_rest_is_made_up_for(
    source, tmp_path, monkeypatch
):
    out, once = tmp_path / "e.npz", tmp_path / "once.npz"
    skip = ("--on-error", "skip")
    in_parts = (*source, out, "--part-size", 2, *skip, "--devices")

    (tmp_path / "at_start").mkdir()
    (tmp_path / "at_start" / "sitecustomize.py").write_text(textwrap.dedent(KILLED))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "at_start"), prepend=os.pathsep)
    output = run("embed", *in_parts, 2, status=1)
    assert "Error: 5 of 6 parts are written; the same command goes on" in output
    assert "Process 1 of 2 was killed by SIGKILL. Its last lines:" in output
    assert len(written(output)) == 5 and not out.exists()

    wrong = run("embed", *in_parts, 2, "--flip", "none", status=1)
    assert "e.npz.parts holds parts with another flip" in wrong and "[0]" not in wrong
    assert len(list(tmp_path.glob("e.npz.parts/*/0*.npz"))) == 5

    again = run("embed", *in_parts, 2)
    assert len(written(again)) == 1 and not set(written(again)) & set(written(output))
    last = run("embed", *source, once, *skip).splitlines()
    assert again.splitlines()[-2:] == [
        last[-2], last[-1].replace(str(once), str(out))
    ]  # fmt: skip
    assert not (tmp_path / "e.npz.parts").exists()
    first, second = Embeddings.load(out), Embeddings.load(once)
    np.testing.assert_allclose(first.features, second.features, atol=1e-6)
    assert first.table.equals(second.table) and len(first) == 10


def test_arguments_of_devices(source, tmp_path):
    for value, words in (("0", "devices=0"), ("many", "neither a number nor auto")):
        status = 1 if value == "0" else 2
        options = ("--devices", value)
        assert words in run(
            "embed", *source, tmp_path / "e.npz", *options, status=status
        )
    help_text = run("embed", "--help")
    assert "--devices" in help_text and "--share" not in help_text
