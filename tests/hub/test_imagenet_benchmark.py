"""`benchmarks/imagenet.py`: labels from folders, a table that is continued."""

from __future__ import annotations

import numpy as np
from click.testing import CliRunner
from PIL import Image

from benchmarks import imagenet
from benchmarks._cards.imagenet import imagenet_classes
from tests.hub.networks import with_drawn_weights
from tests.marks import one_backend

pytestmark = one_backend


def test_classes():
    classes = imagenet_classes()
    assert len(classes) == 1000 and list(classes) == sorted(classes)
    assert list(classes.values())[288] == "leopard"
    assert classes["n02690373"] == "airliner"


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    for number, wnid in enumerate(("n01440764", "n02690373", "n00000001")):
        (tmp_path / "val" / wnid).mkdir(parents=True)
        pixels = np.full((30, 40, 3), 60 * number, "uint8")
        for name in ("a.JPEG", "b.jpg", "notes.txt"):
            path = tmp_path / "val" / wnid / name
            Image.fromarray(pixels).save(path, "jpeg")
    images = imagenet.labeled_images(tmp_path / "val")
    assert images == [
        ("n01440764/a.JPEG", 0), ("n01440764/b.jpg", 0),
        ("n02690373/a.JPEG", 404), ("n02690373/b.jpg", 404),
    ]  # fmt: skip
    small(monkeypatch)
    output = tmp_path / "answers.csv"
    run = [str(tmp_path / "val"), "--output", str(output), "--batch-size", "3"]
    first = CliRunner().invoke(imagenet.main, run)
    assert first.exit_code == 0, first.output
    whole = imagenet.answers(output, "rednet_50_imagenet")
    assert set(whole) == {path for path, _ in images}
    text = output.read_text()
    output.write_text(text[: text.rindex("n02690373/b.jpg") + 20])  # Cut within a line.
    again = CliRunner().invoke(imagenet.main, run)
    assert "4 images, 3 already predicted" in again.output
    assert imagenet.answers(output, "rednet_50_imagenet") == whole
    found = {path: [label, 1, 2, 3, 4] for path, label in images}
    found["n01440764/b.jpg"] = [9, 8, 7, 0, 5]
    found["n02690373/b.jpg"] = [9, 8, 7, 6, 5]
    assert imagenet.accuracy(images, found) == {"top_1": 50.0, "top_5": 75.0}


def small(monkeypatch) -> None:
    """Replaces RedNet-50, whose weights are a download, by a network of one block."""
    from keras_involution import RedNetBackbone, RedNetImageClassifier

    backbone = RedNetBackbone(
        stackwise_num_filters=[32], stackwise_num_blocks=[1], stackwise_strides=[1],
        kernel_size=3, data_format="channels_last",
    )  # fmt: skip
    model = with_drawn_weights(RedNetImageClassifier(backbone, 1000))
    load = classmethod(lambda cls, preset, mirror=None: model)
    monkeypatch.setattr(RedNetImageClassifier, "from_preset", load)
