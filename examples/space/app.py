"""A Space that classifies photos, shows heat maps, and matches keypoints.

What it does: classifies a photo with a RedNet and shows the sums of its involution
kernels as heat maps, one per stage. It also compares two photos of animals by
keypoints.

How long it takes: seconds per photo on two cores.

What to expect: a page with two tabs on http://127.0.0.1:7860.

Command, from the root of the repository (`pip install ".[space,jax]"`):

    KERAS_BACKEND=jax python examples/space/app.py

Set `REDNET_PRESET` to use another preset, such as rednet_50_imagenet.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import numpy as np
from PIL import Image

from keras_involution import RedNetImageClassifier, visualization
from keras_involution.whale_id.local import LocalMatcher, XFeatExtractor, draw_matches

PRESET = os.environ.get("REDNET_PRESET", "rednet_26_tiny_imagenet")
HERE = Path(__file__).parent
# In a Space, copy `examples/data/dolphin_fins` next to this file.
FINS = [folder / "dolphin_fins" for folder in (HERE, HERE.parent / "data")]
EXAMPLE_PAIRS = (("17541.jpg", "23441.jpg"), ("17541.jpg", "27516.jpg"))
LONGEST_SIDE = 1024
INTRODUCTION = """
# Involution

A network of [involutions](https://arxiv.org/abs/2103.06255) generates a kernel for
each position of an image. The heat maps show the sum of each kernel. Dark is the lowest
sum, light the highest.
[Package and documentation](https://github.com/keras-involution/keras-involution).
"""
COMPARISON = """
Upload two photos of animals with individual markings, such as the dorsal fins of
dolphins. Lines connect similar points that fit one rotation, scale and shift. The score
increases with their similarity and with the area that they cover. It is not a
probability: compare the two photos by eye.
"""


def shrink(photo: np.ndarray) -> np.ndarray:
    """Resizes a photo so that no side is longer than `LONGEST_SIDE` pixels."""
    image = Image.fromarray(photo)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(image)


class Classifier:
    """Computes the classes and the heat maps of a photo."""

    def __init__(self, preset: str = PRESET) -> None:
        self.model = RedNetImageClassifier.from_preset(preset)

    def __call__(
        self, photo: np.ndarray | None
    ) -> tuple[dict[str, float], list[tuple[np.ndarray, str]]]:
        if photo is None:
            raise gr.Error("Choose a photo first.")
        photo = shrink(photo)
        [best] = self.model.classify(photo, top=5)
        maps = visualization.image_heatmaps(self.model, photo, aggregate="mean")
        views = [
            (visualization.overlay(photo, heatmap), f"stage {number}")
            for number, heatmap in enumerate(maps.values(), start=1)
        ]
        return {p.name: p.probability for p in best}, views


class Comparison:
    """Matches the keypoints of two photos."""

    def __init__(self) -> None:
        self.find = XFeatExtractor(region="whole")
        self.matcher = LocalMatcher()

    def __call__(
        self, one: np.ndarray | None, other: np.ndarray | None
    ) -> tuple[np.ndarray, str]:
        if one is None or other is None:
            raise gr.Error("Choose two photos first.")
        one, other = shrink(one), shrink(other)
        match = self.matcher.match(self.find(one), self.find(other))
        text = f"{len(match)} matched points, score {match.score:.1f}"
        return draw_matches(one, other, match), text


def example_pairs() -> list[list[str]]:
    """Returns example pairs of fins, or `[]` if the photos are missing."""
    folder = next((folder for folder in FINS if folder.is_dir()), None)
    if folder is None:
        return []
    return [[str(folder / "apache2" / n) for n in pair] for pair in EXAMPLE_PAIRS]


def build_app() -> gr.Blocks:
    with gr.Blocks(title="Involution", analytics_enabled=False) as app:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Classify"):
            with gr.Row():
                photo = gr.Image(label="Photo", elem_id="photo", height=320)
                classes = gr.Label(label="Classes", elem_id="classes")
            run = gr.Button("Classify", variant="primary", elem_id="classify")
            maps = gr.Gallery(
                label="Heat maps of the kernels",
                elem_id="maps",
                columns=4,
                object_fit="contain",
            )
            run.click(Classifier(), photo, [classes, maps], api_name="classify")
        with gr.Tab("Compare two animals", elem_id="compare_tab"):
            gr.Markdown(COMPARISON)
            with gr.Row():
                one = gr.Image(label="First photo", elem_id="one", height=260)
                other = gr.Image(label="Second photo", elem_id="other", height=260)
            compare = gr.Button("Compare", variant="primary", elem_id="compare")
            count = gr.Textbox(label="Result", elem_id="count")
            points = gr.Image(label="Matched points", elem_id="points")
            compare.click(
                Comparison(), [one, other], [points, count], api_name="compare"
            )
            if pairs := example_pairs():
                gr.Examples(pairs, [one, other], label="Dolphin fins")
    return app


if __name__ == "__main__":
    # Use system fonts, so that the page loads nothing from other servers.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    build_app().launch(theme=theme)
