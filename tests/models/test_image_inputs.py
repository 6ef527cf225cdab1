"""Raw images in `fit`, `predict` and `evaluate`; files and arrays in `classify`."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from PIL import Image

from keras_involution import RedNetBackbone, RedNetImageClassifier, RedNetImageConverter
from keras_involution.models import _prepared_data
from tests.marks import one_backend

SIZE = (8, 8)


def raw(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 12, 16, 3), "uint8")


def labels(count: int = 6) -> np.ndarray:
    return np.arange(count) % 3


def network(**kwargs) -> RedNetImageClassifier:
    backbone = RedNetBackbone(
        [16], [1], [2], kernel_size=3, group_channels=8, data_format="channels_last"
    )
    converter = RedNetImageConverter(SIZE, data_format="channels_last")
    model = RedNetImageClassifier(backbone, 3, **{"preprocessor": converter, **kwargs})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def model() -> RedNetImageClassifier:
    return network()


def prepared(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model.preprocessor(x))


def numpy_of(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


class Batches(keras.utils.PyDataset):
    def __init__(self, *data):
        super().__init__()
        self.data = data

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return tuple(part[rows] for part in self.data)


def generator(*data):
    for start in (0, 4):
        yield tuple(part[start : start + 4] for part in data)


def dataset(*data):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(data).batch(4)


def loader(*data):
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(part) for part in data]
    rows = torch.utils.data.TensorDataset(*tensors)
    return torch.utils.data.DataLoader(rows, batch_size=4)


def grain_dataset(*data):
    grain = pytest.importorskip("grain")
    rows = range(len(data[0]))
    source = grain.MapDataset.source([tuple(p[i] for p in data) for i in rows])
    return source.to_iter_dataset().batch(4)


KINDS = {
    "arrays": lambda *data: data,
    "PyDataset": Batches,
    "tf.data": dataset,
    "DataLoader": loader,
    "grain": grain_dataset,
    "generator": generator,
}


def of(kind: str, *data) -> tuple:
    made = KINDS[kind](*data)
    return made if kind == "arrays" else (made,)


@pytest.mark.parametrize("dtype", ("uint8", "float32", "int64"))
@pytest.mark.parametrize("kind", KINDS)
def test_predict_prepares_raw_images_once(model, kind, dtype):
    """Raw images, prepared tensors and the plain network agree."""
    if dtype == "int64" and kind != "arrays":
        pytest.skip("the dtype is looked at in one place for all but tf.data")
    images = raw().astype(dtype)
    expected = numpy_of(model, prepared(model, images))
    steps = 2 if kind in ("generator", "grain") else None
    found = model.predict(*of(kind, images), steps=steps, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    again = model.predict(*of(kind, prepared(model, images)), steps=steps, verbose=0)
    np.testing.assert_allclose(again, expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_and_fit_prepare_raw_images(kind):
    images, y = raw(), labels()
    start = network().get_weights()
    results = []
    for x, kwargs in ((images, {}), (None, {"preprocessor": None})):
        model = network(**kwargs)
        model.set_weights(start)
        x = prepared(network(), images) if x is None else x
        counted = kind in ("generator", "grain")
        loss = model.evaluate(*of(kind, x, y), steps=2 if counted else None, verbose=0)
        plain = {"epochs": 1 if counted else 2, "verbose": 0}
        batch = {"batch_size": 4} if kind == "arrays" else {}
        plain |= {"steps_per_epoch": 2} if counted else {}
        history = model.fit(
            *of(kind, x, y),
            **batch,
            **plain,
            shuffle=False,
            validation_data=KINDS["tf.data" if kind == "tf.data" else "arrays"](x, y),
        ).history
        results.append((loss, history["loss"], history["val_loss"]))
    for found, expected in zip(*results):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_single_batches():
    images, y = raw(4), labels(4)
    one, other = network(), network(preprocessor=None)
    other.set_weights(one.get_weights())
    x = prepared(one, images)
    for name in ("test_on_batch", "train_on_batch", "predict_on_batch"):
        targets = () if name.startswith("predict") else (y,)
        found = getattr(one, name)(images, *targets)
        expected = getattr(other, name)(x, *targets)
        np.testing.assert_allclose(
            np.asarray(keras.tree.map_structure(keras.ops.convert_to_numpy, found)),
            np.asarray(keras.tree.map_structure(keras.ops.convert_to_numpy, expected)),
            atol=1e-5,
        )


@one_backend
def test_a_part_of_raw_arrays_validates():
    model = network()
    history = model.fit(raw(), labels(), validation_split=0.34, verbose=0).history
    expected = model.evaluate(raw()[3:], labels()[3:], verbose=0)[0]
    np.testing.assert_allclose(history["val_loss"][0], expected, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"training and validation.*validation_split=0.99"
    ):
        model.fit(raw(), labels(), validation_split=0.99, verbose=0)


@one_backend
def test_arrays_come_in_another_order_every_epoch():
    data = _prepared_data.PreparedArrays(raw(), labels(), None, 6, True, lambda x: x)
    first = data[0][1].tolist()
    data.on_epoch_end()
    assert sorted(first) == sorted(data[0][1].tolist()) == [0, 0, 1, 1, 2, 2]
    orders = [data.order.tolist() for _ in range(3) if data.on_epoch_end() is None]
    assert len({tuple(order) for order in orders}) > 1


@one_backend
def test_unknown_arguments_of_fit():
    model = network()
    for name, advice in (("epoch", "`epochs`"), ("n_epochs", "use `epochs`")):
        with pytest.raises(TypeError, match=f"fit` has no.*{advice}.*Received"):
            model.fit(raw(), labels(), **{name: 3})
    with pytest.raises(TypeError, match=r"evaluate` has no.*`batch_size`"):
        model.evaluate(raw(), labels(), batchsize=3)
    with pytest.raises(TypeError, match=r"classify` has no.*use `top`"):
        model.classify(raw(), top_k=3)


@one_backend
def test_the_plain_network_is_saved_as_such(tmp_path):
    model = network(preprocessor=None)
    again = RedNetImageClassifier.from_config(model.get_config())
    model.save_to_preset(tmp_path / "p")
    loaded = RedNetImageClassifier.from_preset(tmp_path / "p")
    assert again.preprocessor is loaded.preprocessor is None
    with pytest.raises(ValueError, match=r"no preprocessor.*Received"):
        loaded.classify(raw())
    assert network(preprocessor="auto").preprocessor.image_size == (224, 224)
    with pytest.raises(ValueError, match=r"one of.*Received: preprocessor='crop'"):
        network(preprocessor="crop")


# === classify ===


@pytest.fixture(scope="module")
def named() -> RedNetImageClassifier:
    return network(class_names=["dolphin", "porpoise", "whale"])


def probabilities(answers) -> list[float]:
    return sorted(p for _, p in answers)


@one_backend
def test_one_image_in_many_forms(named, tmp_path):
    image = raw(1)[0]
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    forms = (
        image,
        [image],
        image[None],
        image.astype("int64"),
        keras.ops.convert_to_tensor(image),
        str(path),
        path,
        Image.fromarray(image),
        np.dstack([image, np.full(image.shape[:2], 255, "uint8")]),
    )
    expected = named.predict(image[None], verbose=0)[0]
    expected = np.exp(expected) / np.exp(expected).sum()
    for form in forms:
        [found] = named.classify(form)
        np.testing.assert_allclose(probabilities(found), sorted(expected), atol=1e-5)
    # Floating-point numbers are resized without rounding.
    [found] = named.classify(image.astype("float32"))
    np.testing.assert_allclose(probabilities(found), sorted(expected), atol=1e-3)


@one_backend
def test_gray_images_and_mixed_sizes(named, tmp_path):
    gray = raw(1)[0][..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    [expected] = named.classify(np.repeat(gray[..., None], 3, -1))
    mixed = [gray, gray[..., None], tmp_path / "gray.png", raw(1)[0][:5], gray]
    found = named.classify(mixed, top=3)
    assert len(found) == 5
    for row in (found[0], found[1], found[2], found[4]):
        np.testing.assert_allclose(
            probabilities(row), probabilities(expected), atol=1e-6
        )
    assert named.classify([]) == []


@one_backend
@pytest.mark.parametrize(
    "image, words",
    [
        (raw(1)[0] / 255.0, "from 0 to 1.*multiply it by 255"),
        (raw(1)[0] - 128.0, "negative values.*`predict`"),
        (raw(1)[0].astype("uint16") * 200, "above 255"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        (np.zeros((4, 0, 3), "uint8"), "empty"),
        (np.zeros((4, 4, 3), bool), "numbers from 0 to 255"),
        (np.zeros((4, 4, 5), "uint8"), "3 channels"),
        (np.zeros((4,), "uint8"), "one image"),
        (["missing.png"], "missing.png"),
        ([[1, 2, 3]], "a path, a PIL image or an array"),
    ],
)
def test_what_is_no_image(named, image, words):
    with pytest.raises(ValueError, match=f"{words}"):
        named.classify(image)


@one_backend
def test_formats_that_other_programs_would_read(named, tmp_path):
    """Pillow passes PostScript to Ghostscript, so the format is not accepted."""
    path = tmp_path / "x.eps"
    Image.fromarray(raw(1)[0]).save(path)
    with pytest.raises(ValueError, match=r"x\.eps"):
        named.classify(path)


@one_backend
def test_predictions_print_and_become_a_table(named, tmp_path):
    Image.fromarray(raw(1)[0]).save(tmp_path / "a.png")
    found = named.classify([tmp_path / "a.png", raw(1)[0]], top=2)
    assert found[0][0].name in named.class_names
    text = str(found)
    assert text.startswith(f"{tmp_path / 'a.png'}\n  ") and " %  " in text
    table = found.to_dataframe()
    assert list(table.columns) == ["image", "rank", "name", "probability"]
    assert table["rank"].tolist() == [1, 2, 1, 2]
    assert table["image"].tolist()[2:] == [1, 1]
    assert table["probability"].tolist() == [p.probability for r in found for p in r]
