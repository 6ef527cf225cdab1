"""Settings: unknown names are rejected, defaults are saved, types are checked."""

from __future__ import annotations

import pytest

from benchmarks._measure import whale_arms
from keras_involution.whale_id.config import TrainConfig, load_config
from tests.marks import one_backend

pytestmark = one_backend


def test_all_settings_are_recorded(tmp_path):
    config = TrainConfig(epochs=7, stackwise_num_filters=[16, 32])
    config.save(tmp_path / "config.yaml")
    text = (tmp_path / "config.yaml").read_text()
    assert "batch_size: 16" in text and "epochs: 7" in text
    assert load_config(tmp_path / "config.yaml") == config


def test_changes_replace_what_a_file_says(tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: 7\nlearning_rate: 1e-4\n")
    config = load_config(tmp_path / "config.yaml", epochs=9)
    assert (config.epochs, config.learning_rate) == (9, 1e-4)


@pytest.mark.parametrize(
    "text, reason",
    (
        ("epoch: 3", "did you mean `epochs`.*Received: epoch=3"),
        ("epochs: many", "type int. Received: epochs='many'"),
        ("epochs: 2.5", "Received: epochs=2.5"),
        ("epochs: true", "Received: epochs=True"),
        ("epochs: 0", "positive integer. Received: epochs=0"),
        ("warm_up: 3", "Received: warm_up=3"),
        ("head: wild", "Received: head='wild'"),
        ("stackwise_num_filters: 16", "Received: stackwise_num_filters=16"),
        ("- 3", "name: value"),
        ("a: [", "cannot be read"),
    ),
)
def test_what_does_not_fit_is_named(tmp_path, text, reason):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=reason):
        load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("arm", ("involution", "baseline"))
def test_the_recipe_of_the_benchmark_is_one(arm):
    settings = whale_arms.arm_settings(arm, whale_arms.RECIPE)
    expected = "involution" if arm == "involution" else "convolution"
    assert TrainConfig(**settings).spatial_operator == expected
