"""The card of a preset whose weights somebody else publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_involution.hub.card import CardFacts, Metric, model_card
from keras_involution.hub.published import PublishedWeights

_LIMITS = """The accuracies are those of the authors and of PaddleClas, measured as the
section on the training data says; this project has not measured them.
`python -m benchmarks.imagenet FOLDER --preset {name}` measures them on
a copy of ImageNet. The 1,000 classes are those of ImageNet, and so are their biases."""

_DATASET = "ImageNet-1k, validation"


def published_card(
    model: Any,
    name: str,
    facts: Mapping[str, Any],
    origin: Mapping[str, Any] | None = None,
    repo_id: str = "",
) -> str:
    """The card of a built-in preset with published weights.

    Args:
        model: The classifier.
        name: String, the built-in name.
        facts: What its `metadata.json` says.
        origin: Where the weights of a converted preset came from, with their hash.
        repo_id: String, "user/name", where the preset is published anew.

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
            "ImageNet-1k, by the authors of the paper. Evaluation: "
            + _evaluation(facts["evaluation"])
        ),
        data_license="https://www.image-net.org/download.php",
        metrics=_metrics(facts, published),
        intended_use="Classifying images of objects; a start for other data.",
        limits=_LIMITS.format(name=name),
    )
    # The license of the weights is a chain, which no single id of the Hub names.
    license_id = "apache-2.0" if repo_id else None
    return model_card(
        model, repo_id or f"keras-involution/{name}", told, license=license_id
    )


def _usage(cls: str, name: str, published: PublishedWeights) -> str:
    megabytes = published.file_bytes[0] / 1e6
    return (
        f"The first call downloads {megabytes:.0f} MB and converts them; later calls "
        "read the result from the cache:\n\n"
        "```python\nimport keras_involution\n\n"
        f'model = keras_involution.{cls}.from_preset("{name}")\n'
        "print(model.classify(images))  # any sizes, values 0 to 255\n```"
    )


def _origin(published: PublishedWeights, origin: Mapping[str, Any] | None) -> str:
    rows = [
        ("Weights", published.url),
        ("Published by", published.source),
        ("License", published.license),
        ("Second conversion, by other people", published.second_url),
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
        f"the shorter side resized to {short} ({evaluation['interpolation']}, {smooth} "
        f"antialiasing), of which the central {height} x {width} pixels."
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
