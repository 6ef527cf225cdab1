"""A projection trained on stored vectors, and its commands."""

from __future__ import annotations

import numpy as np
import pytest

from keras_involution.whale_id import Embeddings, load_config, map_at_5
from keras_involution.whale_id.embeddings.features import read_features
from keras_involution.whale_id.embeddings.projected import projected
from keras_involution.whale_id.retrieve import identify
from keras_involution.whale_id.runs import load_run, load_vector_network
from keras_involution.whale_id.tables import write_table
from keras_involution.whale_id.train import train
from tests.marks import one_backend
from tests.whale_id.command import run
from tests.whale_id.image_files import listed
from tests.whale_id.keypoints import with_random_keypoints

ANIMALS, TRAIN, EACH, SIGNAL, NOISE, LOUD = 10, 8, 12, 4, 4, 3.5


def vectors(flipped: bool = False) -> Embeddings:
    """Vectors with four small values that distinguish animals, and larger random ones.

    The photos do not exist. Each animal has one validation and three test photos.
    """
    random = np.random.default_rng(0)
    names = {f"animal_{n}": EACH for n in range(ANIMALS)}
    splits = ["train"] * TRAIN + ["val", "test", "test", "test"]
    table = listed(names, split=splits * ANIMALS)
    marks = np.repeat(random.normal(size=(ANIMALS, SIGNAL)), EACH, axis=0)
    turn = np.linalg.qr(random.normal(size=(SIGNAL + NOISE, SIGNAL + NOISE)))[0]

    def seen() -> np.ndarray:
        close = marks + random.normal(0, 0.15, marks.shape)
        loud = random.normal(0, LOUD, (len(table), NOISE))
        mixed = np.concatenate([close, loud], axis=1)
        return mixed @ turn

    return Embeddings(seen(), table, seen() if flipped else None)


def settings(**changes):
    small = {"embedding_size": 8, "epochs": 16, "learning_rate": 0.03}
    return load_config(**{**small, **changes})


def score(embeddings: Embeddings) -> float:
    """MAP@5 of the test photos."""
    test = embeddings.rows(embeddings.table["split"] == "test")
    known = embeddings.rows(embeddings.table["split"] == "train")
    found = identify(test, known, top=5)
    return map_at_5(test.table["identity"].to_list(), found.labels.tolist())


def test_a_projection_finds_what_tells_animals_apart(tmp_path):
    stored = vectors()
    # Vectors are matched to the rows of a table by name, in any order.
    table = stored.table.sample(frac=1, random_state=0)
    network = train(table, settings(), tmp_path / "run", vectors=stored)
    found = projected(stored, str(tmp_path / "run"), head=True)
    assert found.features.shape == (ANIMALS * EACH, 8)
    np.testing.assert_allclose(
        found.features, network.embed(stored.features), atol=1e-5
    )
    assert found.logits.shape == (ANIMALS * EACH, ANIMALS)
    assert score(found) > score(stored) + 0.15
    log = (tmp_path / "run" / "epochs.csv").read_text()
    assert "map_at_5" in log.splitlines()[0] and len(log.splitlines()) == 17


@one_backend
def test_a_hidden_layer_and_two_views(tmp_path):
    stored = vectors(flipped=True)
    changes = settings(hidden_size=64, dropout=0.1, epochs=1, head="softmax")
    network = train(stored.table, changes, tmp_path / "run", vectors=stored)
    assert network.hidden_size == 64
    found = projected(stored, str(tmp_path / "run"))
    assert found.flipped.shape == found.features.shape == (ANIMALS * EACH, 8)


@one_backend
def test_what_makes_no_sense_is_refused(tmp_path):
    stored, folder = vectors(), tmp_path / "run"
    table = stored.table

    def refused(message, rows=table, given=stored, **changes):
        with pytest.raises(ValueError, match=message):
            train(rows, settings(epochs=1, **changes), folder, vectors=given)

    refused("Received: rows=0", table.assign(split="test"))
    refused(r"needs a vector.*Received: without=2", given=stored.rows(range(2, 120)))
    zeros = Embeddings(stored.features * (np.arange(120) != 3)[:, None], table)
    refused(r"needs a vector.*without=1, first=\['animal_0_3", given=zeros)
    refused("settings are for photos. Received: levels=1", levels=1)
    assert not folder.exists() or not any(folder.iterdir())
    with pytest.raises(ValueError, match=r"for stored vectors. .*hidden_size=2"):
        train(table, load_config(hidden_size=2), folder)
    train(table, settings(epochs=1, on_error="skip"), folder, vectors=zeros)
    with pytest.raises(ValueError, match="same photos and animals"):
        other = Embeddings(stored.features[::-1], table)
        again = settings(epochs=1, on_error="skip")
        train(table, again, folder, vectors=other, resume=True)
    with pytest.raises(ValueError, match=r"--features FILE`. Received: path="):
        load_run(folder)
    with pytest.raises(ValueError, match=r"\(N, 8\).*Received: vectors=\(120, 4\)"):
        load_vector_network(folder).embed(np.zeros((120, 4)))


@one_backend
def test_the_commands(tmp_path):
    stored = vectors()
    with_random_keypoints(stored).save(tmp_path / "raw.npz")
    write_table(stored.table, tmp_path / "t.csv")
    np.save(tmp_path / "v.npy", stored.features)
    (tmp_path / "ids.txt").write_text("\n".join(stored.table["image_id"]))
    options = ("--epochs", 3, "--embedding-size", 8)
    run("train", tmp_path / "t.csv", tmp_path / "run", *options,
        "--embeddings", tmp_path / "v.npy", "--ids", tmp_path / "ids.txt")  # fmt: skip
    raw, out = tmp_path / "raw.npz", tmp_path / "out.npz"
    run("embed", tmp_path / "t.csv", tmp_path / "run", out, "--features", raw)
    found = Embeddings.load(out)
    assert found.features.shape == (120, 8)
    assert sorted(found.extras) == ["local_descriptors", "local_points", "local_sizes"]
    assert "MAP@5" in run("evaluate", out, "--no-baselines", "--validation", "none")
    answers = run("identify", out, "--database", out, "--database-rows", "split=train")
    assert "animal_" in answers
    assert "--features FILE" in run(
        "embed", tmp_path / "t.csv", tmp_path / "run", tmp_path / "x.npz", status=1
    )


@one_backend
def test_vectors_of_this_package_keep_their_keypoints(tmp_path):
    stored = with_random_keypoints(vectors())
    stored.save(tmp_path / "raw.npz")
    found = read_features(tmp_path / "raw.npz", stored.table.iloc[::-1])
    np.testing.assert_array_equal(found.features, stored.features[::-1])
    points = stored.extras["local_points"]
    np.testing.assert_array_equal(found.extras["local_points"][0], points[119])
