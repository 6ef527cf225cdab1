"""External embedders and vectors: ONNX files, arrays, tables, wildlife-tools."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from keras_involution.whale_id.embeddings import embed
from keras_involution.whale_id.embeddings.embedders import OnnxEmbedder
from keras_involution.whale_id.embeddings.features import read_features
from tests.marks import one_backend
from tests.whale_id.animals import animals

pytestmark = one_backend
VECTORS = np.arange(12, dtype="float32").reshape(4, 3)


def onnx_file(path, *, first=True, batch=None, side=8):
    """Writes a network that sums the left and right half of every channel, (B, 6)."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    h = onnx.helper
    shape = [batch, 3, side, side] if first else [batch, side, side, 3]
    width, axes = (3, [2, 3]) if first else (2, [1, 2])
    nodes = [
        h.make_node("Split", ["x"], ["left", "right"], axis=width, num_outputs=2),
        h.make_node("ReduceSum", ["left", "axes"], ["a"], keepdims=0),
        h.make_node("ReduceSum", ["right", "axes"], ["b"], keepdims=0),
        h.make_node("Concat", ["a", "b"], ["y"], axis=1),
    ]
    graph = h.make_graph(
        nodes,
        "sums",
        [h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [h.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [batch, 6])],
        [h.make_tensor("axes", onnx.TensorProto.INT64, [2], axes)],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [None, 1, 2])
@pytest.mark.parametrize("first", [True, False])
def test_an_onnx_file_embeds(tmp_path, first, batch):
    path = onnx_file(tmp_path / "x.onnx", first=first, batch=batch)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    embedder = OnnxEmbedder(path, 8, mean, std)
    assert embedder.image_size == (8, 8) and embedder.size == 6
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), "uint8")
    x = (images / 255 - mean) / std
    sums = np.concatenate([x[:, :, :4].sum((1, 2)), x[:, :, 4:].sum((1, 2))], 1)
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.embed(images), expected, atol=1e-5)
    mirrored = np.roll(expected, 3, axis=1)
    np.testing.assert_allclose(embedder.embed(images, "mirrored"), mirrored, atol=1e-5)
    table = animals(tmp_path, identities=2, each=2)
    found, _ = embed(embedder, table, batch_size=3)
    assert found.features.shape == (4, 6)


def test_onnx_files_that_do_not_fit(tmp_path):
    path = onnx_file(tmp_path / "x.onnx")
    with pytest.raises(ValueError, match=r"takes images of \(8, 8\).*image_size=9"):
        OnnxEmbedder(path, 9)
    with pytest.raises(ValueError, match=r"`std` not zero.*Received: mean="):
        OnnxEmbedder(path, std=(0, 1, 1))
    (tmp_path / "y.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"The ONNX file cannot be read.*y\.onnx"):
        OnnxEmbedder(tmp_path / "y.onnx")


def table(names="abcd"):
    rows = {"image_id": list(names), "identity": "A", "path": list(names)}
    return pd.DataFrame(rows)


def save(path, ids):
    """Saves the vectors in one of the formats, with ids if the format has them."""
    columns = pd.DataFrame(VECTORS, columns=["f_0", "f_1", "f_2"]).assign(image_id=ids)
    lists = pd.DataFrame({"image_id": ids, "embedding": list(VECTORS)})
    if path.suffix == ".npy":
        np.save(path, VECTORS)
    elif path.suffix == ".npz":
        np.savez(path, embeddings=VECTORS, ids=np.array(ids))
    elif path.suffix == ".csv":
        columns.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        lists.to_parquet(path)
    else:
        # As written by pandas 2; Arrow strings are rejected.
        names = pd.Index(["image_id", "identity"], dtype=object)
        metadata = pd.DataFrame(
            [[name, "A"] for name in ids], columns=names, dtype=object
        )
        found = {"features": VECTORS, "metadata": metadata, "col_label": "identity"}
        path.write_bytes(pickle.dumps(found))


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet", ".pkl", ".npy"])
def test_vectors_of_others(tmp_path, suffix):
    path = tmp_path / f"vectors{suffix}"
    save(path, list("dcba"))
    (tmp_path / "ids.txt").write_text("d\nc\nb\na\n")
    ids = tmp_path / "ids.txt" if suffix == ".npy" else None
    found = read_features(path, table("abxd"[:2] + "cd"), ids)
    np.testing.assert_array_equal(found.features, VECTORS[::-1])
    with pytest.raises(ValueError, match=r"occur once.*unknown=\['a'\]"):
        read_features(path, table("bcde"), ids)
    with pytest.raises(ValueError, match=r"an id for every vector.*ids=3"):
        read_features(path, table(), list("abc"))


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", b"\x93NUMPY"),
        ("x.npz", b"PK"),
        ("x.pkl", pickle.dumps({"features": Harm()})),
        ("x.pkl", pickle.dumps([1])),
        ("x.csv", b"a,b\n1,2\n"),
        ("x.parquet", b""),
    ],
)
def test_damaged_and_hostile_files(tmp_path, name, content, capsys):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        ValueError, match=r"The vectors cannot be read.*Received: path="
    ):
        read_features(tmp_path / name, table())
    assert "harm" not in capsys.readouterr().out
