"""Damaged files raise only the documented error of each reader.

`python -m benchmarks.fuzz` runs 10,000 copies per reader.
"""

from __future__ import annotations

import warnings

import pytest

from tests.marks import one_backend
from tests.mutations import run
from tests.whale_id.readers import readers

pytestmark = one_backend

ROUNDS = 200


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return {r.name: r for r in readers(tmp_path_factory.mktemp("good"))}


NAMES = (
    "table", "coco", "boxes", "embeddings", "calibration", "head",
    "heat maps", "decisions", "history", "settings", "image", "training checkpoint",
    "stored split", "split",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(known, name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Readers may warn about damage.
        broken = list(run(known[name], ROUNDS, 0, tmp_path))
    assert not broken, broken[0]


def test_no_reader_is_left_out(known):
    assert set(known) == set(NAMES)
