"""Model cards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_involution.hub._registry import is_backbone as _is_backbone

_UNKNOWN = "Not stated by the author of this model."
_CITATION = """```bibtex
@inproceedings{li2021involution,
  title = {Involution: Inverting the Inherence of Convolution for Visual Recognition},
  author = {Li, Duo and Hu, Jie and Wang, Changhu and Li, Xiangtai and She, Qi and
            Zhu, Lei and Zhang, Tong and Chen, Qifeng},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2021}
}
```"""


@dataclass(frozen=True)
class Metric:
    """A result, with its dataset and its origin.

    Args:
        name: String, such as "accuracy".
        value: Float.
        dataset: String, the name of the dataset.
        command: String, the command that measured the value; `""` for published values.
        source: String, the publisher of a value that you did not measure.
        dataset_id: String, id of the dataset on the Hub, if it has one.
    """

    name: str
    value: float
    dataset: str
    command: str = ""
    source: str = ""
    dataset_id: str = ""


@dataclass(frozen=True)
class CardFacts:
    """Facts for a model card that the model itself does not contain.

    Args:
        description: String, one or two sentences about the model.
        training_data: String, description of the training data.
        data_license: String, license of the training data.
        datasets: Sequence of strings, ids of the datasets on the Hub.
        metrics: Sequence of `Metric`, the results.
        intended_use: String, the uses that the model is made for.
        limits: String, limitations.
        usage: String, Markdown that replaces the example of loading the model.
    """

    description: str = ""
    training_data: str = ""
    data_license: str = ""
    datasets: Sequence[str] = ()
    metrics: Sequence[Metric] = ()
    intended_use: str = ""
    limits: str = ""
    usage: str = ""


def model_card(
    model: Any,
    repo_id: str,
    facts: CardFacts | None = None,
    tags: Sequence[str] = (),
    license: str | None = None,
) -> str:
    """Writes a model card: Markdown with the front matter for the Hub.

    Args:
        model: `RedNetImageClassifier` or `RedNetBackbone`.
        repo_id: String, "user/name".
        facts: `CardFacts`; missing facts appear as "not stated" in the card.
        tags: Sequence of strings, in addition to "involution" and "rednet".
        license: String, id of the license on the Hub, such as "apache-2.0".

    Returns:
        String, the text of the card.

    Example:

    >>> from keras_involution import RedNet26
    >>> from keras_involution.hub import model_card
    >>> card = model_card(RedNet26(num_classes=2), "user/whales", license="mit")
    >>> "import keras_involution" in card
    True
    """
    facts = facts or CardFacts()
    sections = [
        f"---\n{_front_matter(model, repo_id, facts, tags, license)}\n---",
        f"# {repo_id.split('/')[-1]}",
        facts.description or _description(model),
        "## Use\n\n" + (facts.usage or _code(model, repo_id)),
        "## Architecture\n\n" + _architecture(model),
        "## Training data\n\n" + _training_data(facts),
        "## Results\n\n" + _results(facts.metrics),
        "## Intended use\n\n" + (facts.intended_use or _UNKNOWN),
        "## Limits\n\n" + (facts.limits or _UNKNOWN),
        "## Citation\n\n" + _CITATION,
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(
    model: Any,
    repo_id: str,
    facts: CardFacts,
    tags: Sequence[str],
    license: str | None,
) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=_task(model),
            dataset_type=metric.dataset_id,
            dataset_name=metric.dataset,
            metric_type=_metric_id(metric),
            metric_name=metric.name,
            metric_value=metric.value,
        )
        for metric in facts.metrics
        if metric.dataset_id and not metric.source
    ]
    data = ModelCardData(
        library_name="keras-hub",
        pipeline_tag=_task(model),
        license=license,
        datasets=list(facts.datasets) or None,
        metrics=sorted(set(map(_metric_id, facts.metrics))) or None,
        tags=["keras", "involution", "rednet", *tags],
        model_name=repo_id.split("/")[-1] if results else None,
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _metric_id(metric: Metric) -> str:
    """The id of a metric on the Hub."""
    name = metric.name.lower()
    return "accuracy" if "accuracy" in name else re.sub(r"\W+", "_", name).strip("_")


def _task(model: Any) -> str:
    is_backbone = _is_backbone(model)
    return "image-feature-extraction" if is_backbone else "image-classification"


def _backbone(model: Any) -> Any:
    return getattr(model, "backbone", model)


def _family(backbone: Any) -> str:
    name = "RedNet" if backbone.spatial_operator == "involution" else "ResNet"
    return name if backbone.depth is None else f"{name}-{backbone.depth}"


def _description(model: Any) -> str:
    backbone = _backbone(model)
    if model is backbone:
        return f"A {_family(backbone)} feature extractor for Keras 3."
    return (
        f"A {_family(backbone)} image classifier of {model.num_classes} classes for "
        "Keras 3 (TensorFlow, JAX, PyTorch)."
    )


def _code(model: Any, repo_id: str) -> str:
    handle = f'"hf://{repo_id}"'
    if _is_backbone(model):
        cls = "RedNetBackbone"
        use = "maps = model(images)  # prepared images (B, H, W, 3)"
    else:
        cls = "RedNetImageClassifier"
        use = "print(model.classify(images))  # any sizes, values 0 to 255"
    return (
        "```python\nimport keras_involution\n\n"
        f"model = keras_involution.{cls}.from_preset({handle})\n{use}\n```\n\n"
        "Install it with `pip install keras-involution`. keras-hub loads the same "
        "files after `keras_involution` is imported:\n\n"
        "```python\nimport keras_involution\nimport keras_hub\n\n"
        f"model = keras_hub.models.{_hub_class(model)}.from_preset({handle})\n```"
    )


def _hub_class(model: Any) -> str:
    return "Backbone" if _is_backbone(model) else "ImageClassifier"


def _architecture(model: Any) -> str:
    backbone = _backbone(model)
    shape = tuple(side or 224 for side in backbone.image_shape)
    size = shape[1:] if backbone.data_format == "channels_first" else shape[:2]
    rows = [
        ("Network", _family(backbone)),
        ("Operator", backbone.spatial_operator),
        ("Blocks per stage", ", ".join(map(str, backbone.stackwise_num_blocks))),
        ("Parameters", f"{model.count_params():,} (including batch-norm statistics)"),
        (
            f"Multiply-adds at {size[0]} x {size[1]}",
            f"{model.macs(shape):,}",
        ),
    ]
    if names := getattr(model, "class_names", None):
        shown = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
        rows.append((f"Classes ({len(names)})", shown))
    return _table(("", ""), rows)


def _training_data(facts: CardFacts) -> str:
    if not facts.training_data:
        return _UNKNOWN
    license = facts.data_license or "not stated"
    return f"{facts.training_data}\n\nLicense of the data: {license}."


def _results(metrics: Sequence[Metric]) -> str:
    if not metrics:
        return "None measured."
    rows = [
        (
            metric.name,
            f"{metric.value:g}",
            metric.dataset,
            f"`{metric.command}`" if metric.command else f"published: {metric.source}",
        )
        for metric in metrics
    ]
    return _table(("Metric", "Value", "Data", "Measured with"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """`text` escaped for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
