"""The demo: its parts, and the whole program with a tiny network."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from examples import demo
from examples._demo import photos, ranking, report, training
from keras_involution import RedNet26, RedNetBackbone, RedNetImageConverter
from keras_involution.whale_id.local import Keypoints


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


def fin(image_id: str, identity: str = photos.UNKNOWN) -> photos.Fin:
    image = np.full((4, 6, 3), 128, "uint8")
    return photos.Fin(image_id, identity, "left", "somebody, a license", image)


class Page(HTMLParser):
    """Collects the images and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data):
        self.words.append(data)


def decoded(image: dict[str, str | None]) -> np.ndarray:
    kind, data = image["src"].split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize(("split", "each"), [("train", 40), ("test", 20)])
def test_photos(split, each):
    images, labels = photos.load_photos(split)
    assert images.shape == (10 * each, 96, 96, 3)
    assert images.dtype == "uint8"
    np.testing.assert_array_equal(np.bincount(labels), [each] * 10)


def test_photos_are_cut_where_the_tiles_are():
    sheet = Image.open(photos.DATA / "caltech101-mini" / "test.jpg")
    images, _ = photos.load_photos("test")
    box = (3 * 96, 2 * 96, 4 * 96, 3 * 96)
    np.testing.assert_array_equal(images[2 * 20 + 3], np.asarray(sheet.crop(box)))


def test_classes_stand_in_the_order_of_the_table():
    table = (photos.DATA / "caltech101-mini" / "sources.csv").read_text("utf-8")
    names = [line.split(",")[1] for line in table.splitlines()[1:]]
    assert tuple(dict.fromkeys(names)) == photos.CLASS_NAMES


def test_fins():
    fins = photos.load_fins(longest_side=100)
    assert len(fins) == len({f.image_id for f in fins}) == 10
    assert sum(f.identity == photos.UNKNOWN for f in fins) == 2
    assert all(max(f.image.shape) == 100 and f.image.dtype == "uint8" for f in fins)


def test_every_photo_has_its_licence_beside_it():
    for path in (photos.DATA / "dolphin_fins").rglob("*.jpg"):
        assert (path.parent / "LICENSE").is_file()


def test_ranking():
    fins = [fin("a1", "a"), fin("b1", "b"), fin("x"), fin("a2", "a"), fin("y")]
    rankings = ranking.rank(fins, keypoints([0, 11, 2, 5, 3]))
    order = {
        entry.query.image_id: [c.fin.image_id for c in entry.candidates]
        for entry in rankings
    }
    assert order == {
        "a1": ["a2", "b1"],
        "b1": ["a2", "a1"],
        "x": ["a1", "a2", "b1"],
        "a2": ["a1", "b1"],
        "y": ["a2", "a1", "b1"],
    }
    best = rankings[0].candidates[0]
    assert len(best.match) == 15 and not best.mirrored
    assert rankings[0].conclusion.startswith(
        "a is clearly first (15 matched points with a2)"
    )
    assert rankings[3].conclusion.startswith("Undecided: a is first (15 matched points")
    assert [entry.answer for entry in rankings] == ["a", "a", "a", "a", "a"]
    # b1 is the only photo of its animal; x and y are unknown: no answer can be right.
    assert [entry.answerable for entry in rankings] == [True, False, False, True, False]
    assert ranking.count_right(rankings) == (2, 2)


def keypoints(starts: list[int]) -> list[tuple[Keypoints, Keypoints]]:
    """Twenty keypoints for each fin, some of which are shared."""
    points = np.random.default_rng(0).uniform(0, 99, (40, 2)).astype("float32")
    found = []
    for start in starts:
        part = slice(start, start + 20)
        found.append(Keypoints(points[part], np.eye(40)[part], (100, 100)))
    nothing = Keypoints(np.zeros((0, 2)), np.zeros((0, 40)), (100, 100))
    return [(one, nothing) for one in found]


def test_five_of_the_eight_dolphins_are_named():
    """With settings for flat objects; guessing would find about two."""
    fins = photos.load_fins()
    rankings = ranking.rank(fins, ranking.find_keypoints(fins))
    right, possible = ranking.count_right(rankings)
    assert possible == 8 and right >= 5


def results(fins: list[photos.Fin]) -> report.Results:
    maps = report.HeatMaps("layer<1>", (7, 7), 8, (8, 8), [f.image for f in fins])
    return report.Results(
        class_names=("cat & dog", "<b>"),
        class_accuracies=[0.5, 1.0],
        from_scratch=[0.25, 0.5],
        held_out=40,
        preset="tiny<preset>",
        setting="1 epoch",
        seconds=90,
        rankings=ranking.rank(fins, keypoints(list(range(len(fins))))),
        heatmaps=maps,
    )


def test_the_report_holds_every_photo(tmp_path):
    fins = photos.load_fins(longest_side=60)
    report.write_report(results(fins), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    alternatives = [image["alt"] for image in page.images]
    for f in fins:
        assert alternatives.count(f"Fin {f.image_id}") == 1
        assert alternatives.count(f"Heat map over fin {f.image_id}") == 1
    assert sum("Matched points" in (alt or "") for alt in alternatives) == 10
    assert len(page.images) == 10 * (3 + report.SHOWN)
    assert decoded(page.images[0]).shape == fins[0].image.shape
    for expected in ("75.0%", "37.5%", "+37.5 points", "1.5 min", "CC BY 4.0"):
        assert expected in " ".join(page.words)


def test_the_report_escapes_names_and_needs_no_network(tmp_path):
    name = "<script>alert('x')</script>\" onerror=\""
    fins = [fin(f"{name}{i}", name) for i in range(4)]
    report.write_report(results(fins), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert (
        "Content-Security-Policy\" content=\"default-src 'none'; img-src data:" in text
    )
    assert "<b>" not in text
    page = Page(text)
    assert all(set(image) == {"src", "alt"} for image in page.images)
    assert f"Fin {name}0" in {image["alt"] for image in page.images}
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "$" not in text


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow",
    reason="`make demo` runs on JAX; PyTorch shows that it needs no backend of its own",
)
def test_the_whole_program(tmp_path, monkeypatch):
    """With a network that is too small to learn, the program says so and reports."""
    monkeypatch.setattr(training, "build_model", tiny_model)
    tiny_model(tuple("abc"), 32).save_to_preset(tmp_path / "start")
    arguments = ["--output", str(tmp_path), "--epochs", "1", "--image-size", "32"]
    arguments += ["--preset", str(tmp_path / "start")]
    outcome = CliRunner().invoke(demo.main, arguments)
    assert outcome.exit_code == 1, outcome.output
    assert re.search(r"Held-out accuracy 0\.\d+ < 0\.75", outcome.output)
    assert "Ten fins are too few" in re.sub(r"\s+", " ", outcome.output)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert len(page.images) == 10 * (3 + report.SHOWN)
    loaded = RedNet26.from_preset(tmp_path / "preset")
    assert loaded.class_names == list(photos.CLASS_NAMES)
