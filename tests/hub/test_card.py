"""The model card states the known facts, and its front matter is valid."""

from __future__ import annotations

import re

import pytest

from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import CardFacts, Metric, model_card
from keras_involution.models import model_cost
from tests.hub.networks import TINY
from tests.marks import old_content

FACTS = CardFacts(
    training_data="Ten images of fins.",
    data_license="CC BY 4.0",
    datasets=["owner/fins"],
    metrics=[
        Metric(
            "Accuracy", 0.69, "fins", "python examples/fins.py", dataset_id="owner/fins"
        ),
        Metric("Top-1 accuracy (%)", 78.35, "ImageNet", source="the authors"),
    ],
    intended_use="Telling fins apart.",
    limits="Ten images are few.",
)


def front_matter(card: str):
    from huggingface_hub import ModelCard

    return ModelCard(card).data


def test_front_matter(classifier):
    card = model_card(classifier, "owner/fins", FACTS, ["whales"], "mit")
    data = front_matter(card)
    assert data.library_name == "keras-hub"
    assert data.pipeline_tag == "image-classification"
    assert data.license == "mit"
    assert data.datasets == ["owner/fins"]
    assert data.metrics == ["accuracy"]
    assert data.tags == ["keras", "involution", "rednet", "whales"]
    (result,) = data.eval_results  # only what was measured, not what others published
    assert (result.metric_value, result.dataset_type) == (0.69, "owner/fins")


def test_sections(classifier):
    card = model_card(classifier, "owner/fins", FACTS)
    for words in (
        "dolphin, porpoise, whale",
        f"{classifier.count_params():,}",
        "Ten images of fins.",
        "CC BY 4.0",
        "`python examples/fins.py`",
        "published: the authors",
        "Telling fins apart.",
        "Ten images are few.",
        "@inproceedings{li2021involution",
    ):
        assert words in card, words


def test_what_is_not_known_is_called_so(classifier):
    card = model_card(classifier, "owner/fins")
    assert card.count("Not stated by the author of this model.") == 3
    assert "None measured." in card
    assert front_matter(card).eval_results is None


def test_names_of_classes_do_not_leave_their_cell(classifier, monkeypatch):
    names = ["a|b", "first\n| second |", "<script>x</script>"]
    monkeypatch.setattr(classifier, "class_names", names)
    card = model_card(classifier, "owner/fins")
    row = next(line for line in card.splitlines() if "Classes (3)" in line)
    assert row.endswith("| a\\|b, first \\| second \\|, &lt;script>x&lt;/script> |")
    assert "<script" not in card


def test_backbone(classifier):
    card = model_card(classifier.backbone, "owner/fins")
    assert front_matter(card).pipeline_tag == "image-feature-extraction"
    assert "RedNetBackbone.from_preset" in card


@old_content
def test_the_first_code_block_runs(hub, classifier, capsys):
    from tests.hub.networks import raw_images

    classifier.push_to_hub("owner/fins")
    card = hub.files("owner/fins")["README.md"].decode()
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    assert "import keras_involution" in code
    exec(code, {"images": raw_images()})
    assert "whale" in capsys.readouterr().out


@pytest.mark.parametrize("image_shape", [(33, 41, 3), (None, None, 3), (3, 33, 41)])
def test_macs_are_those_of_the_size_that_is_named(image_shape):
    first = image_shape[0] == 3
    backbone = RedNetBackbone(
        **{**TINY, "spatial_operator": "convolution"},
        image_shape=image_shape,
        data_format="channels_first" if first else "channels_last",
    )
    sides = (33, 41) if 33 in image_shape else (224, 224)
    shape = (3, *sides) if first else (*sides, 3)
    counted = model_cost(backbone, shape).macs
    row = f"| Multiply-adds at {sides[0]} x {sides[1]} | {counted:,} |"
    assert row in model_card(backbone, "a/b", FACTS)
    model = RedNetImageClassifier(backbone, 5)
    features = model.layers[-1].kernel.shape[0]
    assert f"| {counted + 5 * features:,} |" in model_card(model, "a/b", FACTS)
