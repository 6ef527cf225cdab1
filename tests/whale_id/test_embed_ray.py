"""`whale-id embed --ray` on a local cluster of two nodes, with a killed worker."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest

from keras_involution.whale_id.embeddings import embed
from keras_involution.whale_id.embeddings.embedders import Source
from keras_involution.whale_id.embeddings.job import Job
from keras_involution.whale_id.embeddings.table import embed_table
from tests.marks import one_backend
from tests.whale_id.animals import animals
from tests.whale_id.test_embedders import onnx_file

pytestmark = one_backend


class Killed(Source):
    """The first worker that loads it is killed; Ray starts another."""

    def load(self):
        mark = Path(self.path).with_suffix(".killed")
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return super().load()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    here = str(Path(__file__).parents[2])
    # The workers must be able to import these tests.
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()
    shutil.rmtree(Path(tempfile.gettempdir(), "ray"), ignore_errors=True)


@pytest.mark.filterwarnings("ignore")  # Of Ray.
def test_two_nodes_embed_what_one_process_does(tmp_path, cluster):
    table = animals(tmp_path, identities=3)[:11]
    source = Killed(str(onnx_file(tmp_path / "x.onnx")), 8)
    job = Job(table, source, tmp_path / "e.npz", shard_size=2)
    told = []
    found, left_out = embed_table(
        job, devices=2, ray_address=cluster.address, on_rows=lambda *n: told.append(n)
    )
    assert (tmp_path / "x.killed").exists() and left_out == {}
    assert told[-1] == (11, 11) and len(told) == 6
    once, _ = embed(Source(source.path, 8).load(), table)
    np.testing.assert_allclose(found.features, once.features, atol=1e-6)
    assert list(found.table["image_id"]) == list(once.table["image_id"])
