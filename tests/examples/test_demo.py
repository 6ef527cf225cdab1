"""The demonstration: its parts, and the whole with a tiny network."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from examples import demo
from examples._demo import photographs, ranking, report, training
from keras_involution import RedNet26, RedNetBackbone, RedNetImageConverter


def tiny_model(class_names: tuple[str, ...], image_size: int) -> RedNet26:
    """A RedNet-26 with narrow stages and small windows, which compiles in seconds."""
    size = (image_size, image_size)
    backbone = RedNetBackbone(
        stackwise_num_filters=(4, 4, 8, 8),
        stackwise_num_blocks=(1, 2, 4, 1),
        kernel_size=3,
        group_channels=2,
        image_shape=(*size, 3),
        data_format="channels_last",
    )
    converter = RedNetImageConverter(
        size, crop_to_aspect_ratio=False, data_format="channels_last"
    )
    return RedNet26(
        num_classes=len(class_names),
        class_names=class_names,
        backbone=backbone,
        preprocessor=converter,
    )


def classifier_of_size(side: int) -> SimpleNamespace:
    """What the data pipeline asks of a model, without the network."""
    converter = RedNetImageConverter((side, side), data_format="channels_last")
    return SimpleNamespace(num_classes=10, preprocessor=converter)


def fin(image_id: str, identity: str = photographs.UNKNOWN) -> photographs.Fin:
    image = np.full((4, 6, 3), 128, "uint8")
    return photographs.Fin(image_id, identity, "left", "somebody, a licence", image)


class Page(HTMLParser):
    """The pictures of a page, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.pictures.append(dict(attributes))

    def handle_data(self, data):
        self.words.append(data)


def decoded(picture: dict[str, str | None]) -> np.ndarray:
    kind, data = picture["src"].split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize(("split", "each"), [("train", 40), ("test", 20)])
def test_photographs(split, each):
    images, labels = photographs.load_photographs(split)
    assert images.shape == (10 * each, 96, 96, 3)
    assert images.dtype == "uint8"
    np.testing.assert_array_equal(np.bincount(labels), [each] * 10)


def test_photographs_are_cut_where_the_tiles_are():
    sheet = Image.open(photographs.DATA / "caltech101-mini" / "test.jpg")
    images, _ = photographs.load_photographs("test")
    box = (3 * 96, 2 * 96, 4 * 96, 3 * 96)
    np.testing.assert_array_equal(images[2 * 20 + 3], np.asarray(sheet.crop(box)))


def test_classes_stand_in_the_order_of_the_table():
    table = (photographs.DATA / "caltech101-mini" / "sources.csv").read_text("utf-8")
    names = [line.split(",")[1] for line in table.splitlines()[1:]]
    assert tuple(dict.fromkeys(names)) == photographs.CLASS_NAMES


def test_fins():
    fins = photographs.load_fins(longest_side=100)
    assert len(fins) == len({f.image_id for f in fins}) == 10
    assert sum(f.identity == photographs.UNKNOWN for f in fins) == 2
    assert all(max(f.image.shape) == 100 and f.image.dtype == "uint8" for f in fins)


def test_every_photograph_has_its_licence_beside_it():
    for path in (photographs.DATA / "dolphin_fins").rglob("*.jpg"):
        assert (path.parent / "LICENSE").is_file()


def test_augmented_photographs_are_prepared_like_others():
    model = classifier_of_size(32)
    grey = np.full((400, 96, 96, 3), 100, "uint8")
    labels = np.arange(10).repeat(40)
    batches = training.AugmentedPhotographs(model, grey, labels, seed=0)
    assert len(batches) == 400 // training.BATCH_SIZE
    images, targets = batches[0]
    assert images.shape == (training.BATCH_SIZE, 32, 32, 3)
    assert images.dtype == targets.dtype == "float32"
    plain = keras.ops.convert_to_numpy(model.preprocessor(grey[:1]))
    assert abs(images.mean() - plain.mean()) < 0.3


def test_an_epoch_holds_every_photograph_once_in_a_new_order():
    model = classifier_of_size(32)
    images, labels = photographs.load_photographs("train")
    batches = training.AugmentedPhotographs(model, images, labels, seed=0)
    first = batches.order
    batches.on_epoch_end()
    assert not np.array_equal(first, batches.order)
    np.testing.assert_array_equal(np.sort(batches.order), np.arange(400))
    views = [batches._random_view(images[0]) for _ in range(2)]
    assert not np.array_equal(*views)


def test_ranking():
    fins = [fin("a1", "a"), fin("b1", "b"), fin("x"), fin("a2", "a"), fin("y")]
    angles = np.deg2rad([0, 50, 6, 20, 7])
    lengths = np.array([[1.0], [9.0], [2.0], [3.0], [4.0]])
    embeddings = lengths * np.stack([np.cos(angles), np.sin(angles)], 1)
    rankings = ranking.rank(fins, embeddings)
    order = {
        entry.query.image_id: [c.fin.image_id for c in entry.candidates]
        for entry in rankings
    }
    assert order == {
        "a1": ["a2", "b1"],
        "b1": ["a2", "a1"],
        "x": ["a1", "a2", "b1"],
        "a2": ["a1", "b1"],
        "y": ["a1", "a2", "b1"],
    }
    assert rankings[0].candidates[0].similarity == pytest.approx(np.cos(angles[3]))
    assert [entry.answer for entry in rankings] == ["a", "a", "a", "a", "a"]
    # b1 is alone, and of x and y nobody knows the animal: no answer could be right.
    assert [entry.answerable for entry in rankings] == [True, False, False, True, False]
    assert ranking.count_right(rankings) == (2, 2)


def results(fins: list[photographs.Fin]) -> report.Results:
    embeddings = np.random.default_rng(0).uniform(0, 1, (len(fins), 5))
    maps = report.HeatMaps("layer<1>", (7, 7), 8, (8, 8), [f.image for f in fins])
    return report.Results(
        class_names=("cat & dog", "<b>"),
        class_accuracies=[0.5, 1.0],
        from_nothing=[0.25, 0.5],
        held_out=40,
        preset="tiny<preset>",
        setting="1 epoch",
        seconds=90,
        rankings=ranking.rank(fins, embeddings),
        heatmaps=maps,
    )


def test_the_report_holds_every_photograph(tmp_path):
    fins = photographs.load_fins(longest_side=60)
    report.write_report(results(fins), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    alternatives = [picture["alt"] for picture in page.pictures]
    for f in fins:
        assert alternatives.count(f"Fin {f.image_id}") == 1
        assert alternatives.count(f"Heat map over fin {f.image_id}") == 1
    assert len(page.pictures) == 10 * (2 + report.SHOWN)
    assert decoded(page.pictures[0]).shape == fins[0].image.shape
    for expected in ("75.0%", "37.5%", "+37.5 points", "1.5 min", "CC BY 4.0"):
        assert expected in " ".join(page.words)


def test_the_report_escapes_names_and_needs_no_network(tmp_path):
    name = "<script>alert('x')</script>\" onerror=\""
    fins = [fin(f"{name}{i}", name) for i in range(4)]
    report.write_report(results(fins), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert "<b>" not in text
    page = Page(text)
    assert all(set(picture) == {"src", "alt"} for picture in page.pictures)
    assert f"Fin {name}0" in {picture["alt"] for picture in page.pictures}
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "$" not in text


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow",
    reason="`make demo` runs on JAX; PyTorch shows that it needs no backend of its own",
)
def test_the_whole_program(tmp_path, monkeypatch):
    """With a network too small to learn: it must say so, and still report."""
    monkeypatch.setattr(training, "build_model", tiny_model)
    tiny_model(tuple("abc"), 32).save_to_preset(tmp_path / "start")
    arguments = ["--output", str(tmp_path), "--epochs", "1", "--image-size", "32"]
    arguments += ["--preset", str(tmp_path / "start")]
    outcome = CliRunner().invoke(demo.main, arguments)
    assert outcome.exit_code == 1, outcome.output
    assert re.search(r"Held-out accuracy 0\.\d+ < 0\.75", outcome.output)
    assert "Ten fins are no measurement" in re.sub(r"\s+", " ", outcome.output)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert len(page.pictures) == 10 * (2 + report.SHOWN)
    loaded = RedNet26.from_preset(tmp_path / "preset")
    assert loaded.class_names == list(photographs.CLASS_NAMES)
