"""The model card says what is known, and the Hub can read its front matter."""

from __future__ import annotations

import math
import re

import keras
import pytest

from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import CardFacts, Metric, model_card
from keras_involution.hub._cost import multiply_adds
from tests.hub.networks import TINY
from tests.marks import old_content, one_backend

FACTS = CardFacts(
    training_data="Ten photographs of fins.",
    data_licence="CC BY 4.0",
    datasets=["owner/fins"],
    metrics=[
        Metric(
            "Accuracy", 0.69, "fins", "python examples/fins.py", dataset_id="owner/fins"
        ),
        Metric("Top-1 accuracy (%)", 78.35, "ImageNet", source="the authors"),
    ],
    intended_use="Telling fins apart.",
    limits="Ten photographs are few.",
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
        "Ten photographs of fins.",
        "CC BY 4.0",
        "`python examples/fins.py`",
        "published: the authors",
        "Telling fins apart.",
        "Ten photographs are few.",
        "@inproceedings{li2021involution",
    ):
        assert words in card, words


def test_what_is_not_known_is_called_so(classifier):
    card = model_card(classifier, "owner/fins")
    assert card.count("Not stated by the author of this model.") == 3
    assert "None measured." in card
    assert front_matter(card).eval_results is None


def test_backbone(classifier):
    card = model_card(classifier.backbone, "owner/fins")
    assert front_matter(card).pipeline_tag == "image-feature-extraction"
    assert "RedNetBackbone.from_preset" in card


@old_content
def test_the_first_code_block_runs(hub, classifier, capsys):
    from tests.hub.networks import photographs

    classifier.push_to_hub("owner/fins")
    card = hub.files("owner/fins")["README.md"].decode()
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    assert "import keras_involution" in code
    exec(code, {"photographs": photographs()})
    assert "whale" in capsys.readouterr().out


@one_backend
@pytest.mark.parametrize(
    ("depth", "giga"),
    [(26, 1.685), (38, 2.167), (50, 2.649), (101, 4.659), (152, 6.679)],
)
def test_multiply_adds_are_the_published_ones(depth, giga):
    class Plan:
        def __init__(self, depth):
            from keras_involution.models.rednet_presets import STACKWISE_NUM_BLOCKS

            self.stackwise_num_blocks = STACKWISE_NUM_BLOCKS[depth]

        stackwise_num_filters = (64, 128, 256, 512)
        stackwise_strides = (1, 2, 2, 2)
        stem_kernel_size, kernel_size = 3, 7
        group_channels, reduction_ratio = 16, 4
        spatial_operator, data_format = "involution", "channels_last"
        image_shape = (None, None, 3)

    assert round(multiply_adds(Plan(depth), 1000) / 1e9, 3) == giga


def test_multiply_adds_of_convolutions_are_those_of_the_layers():
    backbone = RedNetBackbone(
        **{**TINY, "spatial_operator": "convolution"},
        image_shape=(33, 41, 3),
        data_format="channels_last",
    )
    counted = sum(
        math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Conv2D)
    )
    assert multiply_adds(backbone, size=(33, 41)) == counted
    model = RedNetImageClassifier(backbone, 5)
    features = model.layers[-1].kernel.shape[0]
    assert multiply_adds(backbone, 5, (33, 41)) == counted + 5 * features
