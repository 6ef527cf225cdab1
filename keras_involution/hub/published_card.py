"""Writes the model card of a preset with published weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_involution.hub.card import CardFacts, Metric, model_card
from keras_involution.hub.published import PublishedWeights

_LIMITS = """The accuracies were measured by the authors and by PaddleClas, as described
under "Training data". This project has not measured them. To measure them on a copy of
ImageNet, run `python -m benchmarks.imagenet FOLDER --preset {name}`. The model
has the 1,000 classes and the biases of ImageNet."""

_DATASET = "ImageNet-1k, validation"


def published_card(
    model: Any,
    name: str,
    facts: Mapping[str, Any],
    origin: Mapping[str, Any] | None = None,
    repo_id: str = "",
) -> str:
    """Writes the card of a built-in preset with published weights.

    Args:
        model: The classifier.
        name: String, the built-in name.
        facts: Mapping, the contents of its `metadata.json`.
        origin: Mapping with the URL, size and hash of the weights of a converted
            preset; `None` if the weights are not converted yet.
        repo_id: String, "user/name", the repository to publish to; `""` for the card
            in this repository.

    Returns:
        String, Markdown.
    """
    published = PublishedWeights(**facts["published"])
    usage = None
    if not repo_id:
        usage = _usage(type(model).__name__, name, published)
    told = CardFacts(
        usage=usage or "",
        description="\n\n".join([facts["description"], _origin(published, origin)]),
        training_data=(
            "Trained on ImageNet-1k by the authors of the paper. Evaluation: "
            + _evaluation(facts["evaluation"])
        ),
        data_license="https://www.image-net.org/download.php",
        metrics=_metrics(facts, published),
        intended_use=(
            "Classification of images of objects, and fine-tuning on other data."
        ),
        limits=_LIMITS.format(name=name),
    )
    # The license of the weights is a chain, which has no single id on the Hub.
    license_id = "apache-2.0" if repo_id else None
    return model_card(
        model, repo_id or f"keras-involution/{name}", told, license=license_id
    )


def _usage(cls: str, name: str, published: PublishedWeights) -> str:
    megabytes = published.file_bytes[0] / 1e6
    return (
        f"The first call downloads {megabytes:.0f} MB and converts the weights. Later "
        "calls read the result from the cache:\n\n"
        "```python\nimport keras_involution\n\n"
        f'model = keras_involution.{cls}.from_preset("{name}")\n'
        "print(model.classify(images))  # any sizes, values 0 to 255\n```"
    )


def _origin(published: PublishedWeights, origin: Mapping[str, Any] | None) -> str:
    rows = [
        ("Weights", published.url),
        ("Published by", published.source),
        ("License", published.license),
        ("Independent conversion", published.second_url),
    ]
    if origin is None:
        rows.append(("SHA-256", published.sha256 or "not recorded yet"))
    else:
        rows += [
            ("Fetched from", origin.get("url")),
            ("Bytes", origin.get("bytes")),
            ("SHA-256", origin.get("sha256")),
        ]
    lines = [f"| {key} | {value} |" for key, value in rows if value]
    return "\n".join(["|  |  |", "| --- | --- |", *lines])


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    height, width = evaluation["image_size"]
    short = round(height / evaluation["crop_fraction"])
    smooth = "with" if evaluation["antialias"] else "without"
    return (
        f"the shorter side is resized to {short} ({evaluation['interpolation']}, "
        f"{smooth} antialiasing), then the central {height} x {width} pixels are used."
    )


def _metrics(facts: Mapping[str, Any], published: PublishedWeights) -> list[Metric]:
    told = [(facts["accuracy"], str(facts["origin"]))]
    if published.accuracy is not None:
        told.append((published.accuracy, published.source))
    return [
        Metric(f"Top-{k} accuracy (%)", accuracy[f"top_{k}"], _DATASET, source=source)
        for accuracy, source in told
        for k in (1, 5)
    ]
