"""The fine-tuning script on twelve generated photos."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from examples import finetune_happywhale
from keras_involution import RedNetBackbone
from keras_involution.whale_id import EmbeddingNetwork
from tests.whale_id.animals import animals


def test_the_script_takes_a_preset_to_a_preset(tmp_path):
    (tmp_path / "train_images").mkdir()
    table = animals(tmp_path / "train_images", identities=3, each=4)
    names = table["path"].map(lambda path: Path(path).name)
    frame = {"image": names, "species": "beluga", "individual_id": table["identity"]}
    pd.DataFrame(frame).to_csv(tmp_path / "train.csv", index=False)
    RedNetBackbone(
        stackwise_num_filters=(16, 16),
        stackwise_num_blocks=(1, 1),
        stackwise_strides=(1, 2),
        kernel_size=3,
        group_channels=8,
        image_shape=(32, 32, 3),
    ).save_to_preset(tmp_path / "start")
    arguments = [str(tmp_path), "--preset", str(tmp_path / "start"), "--side", "32"]
    arguments += ["--epochs", "1", "--batch-size", "3"]
    arguments += ["--output", str(tmp_path / "whales")]
    outcome = CliRunner().invoke(finetune_happywhale.main, arguments)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    assert re.search(r"MAP@5 on 2 photos: [01]\.\d+", outcome.output)
    network = EmbeddingNetwork.from_preset(tmp_path / "whales")
    assert network.image_size == (32, 32)


def test_the_script_is_short_and_uses_the_public_api():
    text = Path(finetune_happywhale.__file__).read_text("utf-8")
    assert len(text.splitlines()) < 150
    assert not re.search(r"(import|from) .*\b_\w", text.replace("__future__", ""))
