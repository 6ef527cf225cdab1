"""Embeddings of a table: in order, in batches, without unusable photos."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.data.images import read_image
from keras_involution.whale_id import Embeddings
from keras_involution.whale_id.assemble import build_network
from keras_involution.whale_id.embeddings import embed
from keras_involution.whale_id.pipeline import Photos
from tests.whale_id.animals import animals
from tests.whale_id.settings import one_stage


def test_embeddings_are_in_the_order_of_the_table(tmp_path):
    network, table = build_network(one_stage()), animals(tmp_path)
    embeddings, left_out = embed(network, table, batch_size=5, flip="none")
    images = np.stack([read_image(path, (32, 32)) for path in table["path"]])
    np.testing.assert_allclose(embeddings.features, network.embed(images), atol=1e-5)
    assert list(embeddings.table["image_id"]) == list(table["image_id"])
    assert left_out == {}
    embeddings.save(tmp_path / "e.npz")
    assert len(Embeddings.load(tmp_path / "e.npz")) == 16


def test_mirrored_pictures_are_averaged_or_kept(tmp_path):
    network, table = build_network(one_stage()), animals(tmp_path)
    mean = embed(network, table)[0].features
    both = embed(network, table, flip="keep")[0]
    expected = both.features + both.flipped
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    with pytest.raises(ValueError, match="Received: flip='wild'"):
        embed(network, table, flip="wild")


def test_bad_pictures_are_named_and_left_out(tmp_path):
    network, table = build_network(one_stage()), animals(tmp_path)
    (tmp_path / "1_0.png").write_bytes(b"broken")
    embeddings, left_out = embed(network, table, on_error="skip")
    assert len(embeddings) == 15 and list(left_out) == [table.loc[4, "path"]]
    assert "1_0" not in set(embeddings.table["image_id"])
    with pytest.raises(ValueError, match=r"1_0\.png"):
        embed(network, table)


def test_no_more_than_two_batches_are_read_ahead(tmp_path, monkeypatch):
    """The reader waits for the network, however many photos there are."""
    network, table = build_network(one_stage()), animals(tmp_path, 4, 16)
    read, ahead = [], []
    real_read, real_embed = Photos.read, network.embed

    def counted_read(self, row, scale=1.0):
        read.append(row)
        return real_read(self, row, scale)

    def counted_embed(images, flip):
        ahead.append(len(read) - 4 * len(ahead))
        return real_embed(images, flip)

    monkeypatch.setattr(Photos, "read", counted_read)
    monkeypatch.setattr(type(network), "embed", staticmethod(counted_embed))
    embed(network, table, batch_size=4)
    assert len(ahead) == 16 and max(ahead) <= 4 * 3
