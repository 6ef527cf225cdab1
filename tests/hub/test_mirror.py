"""Mirrors of the published presets, the comparison of two sources, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from keras_involution import RedNet26
from keras_involution._builtin import PRESETS
from keras_involution.cli import main
from keras_involution.hub import PresetError, mirror, published
from tests import published_weights
from tests.hub import checkpoints
from tests.hub.file_host import FileHost
from tests.marks import old_content, one_backend, slow

pytestmark = [one_backend, slow]
NAME = "rednet_26_imagenet"
FILE = "RedNet26_pretrained.pdparams"
SECOND = Path(PRESETS[NAME]["published"]["second_url"]).name + ".pdparams"


@pytest.fixture
def host(tmp_path, monkeypatch):
    path = checkpoints.save_paddle(tmp_path / FILE, published_weights.network(26, 3))
    with FileHost() as host:
        host.files[f"/{FILE}"] = host.files[f"/{SECOND}"] = path.read_bytes()
        monkeypatch.setenv(published.MIRROR, host.address)
        monkeypatch.setenv("KERAS_INVOLUTION_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield host


def run(*arguments, status=0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_a_dry_run_writes_a_folder_with_a_complete_card(host, tmp_path):
    folder = tmp_path / "mirror"
    output = run("mirror", NAME, "--to", "user", "--dry-run", "--folder", folder)
    assert str(folder / NAME) in output
    card = (folder / NAME / "README.md").read_text("utf-8")
    origin = json.loads((folder / NAME / "metadata.json").read_text("utf-8"))
    origin = origin["weights_origin"]
    for words in (
        PRESETS[NAME]["published"]["url"],
        origin["sha256"],
        "Apache-2.0",
        "under MIT",
        "resized to 256 (bilinear, without antialiasing)",
        "75.96",
        "75.95",
        "This project has not measured them",
        "hf://user/rednet_26_imagenet",
    ):
        assert words in card, words
    model = RedNet26.from_preset(folder / NAME)
    assert model.preprocessor.crop_fraction == 0.875
    assert model.class_names[404] == "airliner"


@old_content
def test_to_a_repository_of_the_hub(host, hub, tmp_path):
    """Pushes the card and all files. A second push adds no commit."""
    repo = f"owner/{NAME}"
    command = ("mirror", NAME, "--to", "owner", "--folder", tmp_path / "mirror")
    assert f"{hub.endpoint}/{repo}" in run(*command)
    written = {p.name: p.read_bytes() for p in (tmp_path / "mirror" / NAME).iterdir()}
    published_files = hub.files(repo)
    del published_files[".gitattributes"]
    assert published_files == written
    assert f"hf://{repo}" in published_files["README.md"].decode()
    assert not hub.repositories[repo].private and not hub.leaks
    commits = list(hub.repositories[repo].branches["main"])
    assert f"/commit/{commits[-1].sha}" in run(*command)
    assert hub.repositories[repo].branches["main"] == commits and len(commits) == 2
    assert len(host.log) == 1
    model = RedNet26.from_preset(f"hf://{repo}")
    assert model.preprocessor.crop_fraction == 0.875
    assert model.class_names[404] == "airliner"
    bias = published_weights.network(26, 3)["head.fc.bias"]
    np.testing.assert_array_equal(model.get_weights()[-1], bias)


def test_another_user_s_repository_is_refused(host, hub, tmp_path):
    folder = tmp_path / "mirror"
    output = run("mirror", NAME, "--to", "other", "--folder", folder, status=1)
    assert "other/" in output and not hub.repositories


def test_other_names_are_refused_before_any_work(host):
    for name in ("rednet_26_tiny_imagenet", "rednet_27_imagenet"):
        output = run("mirror", NAME, name, "--to", "user", status=1)
        assert "rednet_152_imagenet" in output and f"preset='{name}'" in output
    assert host.log == []


def test_two_sources(host, tmp_path):
    differences = mirror.cross_check(NAME)
    assert len(differences) == 211 and set(differences.values()) == {0.0}
    arrays = published_weights.network(26, 3)
    arrays["backbone.stem.2.bias"][3] += 0.25
    changed = checkpoints.save_paddle(tmp_path / "x.pdparams", arrays).read_bytes()
    cached = tmp_path / "cache" / "checkpoints" / f"{NAME}.second" / SECOND
    cached.write_bytes(changed)
    differences = mirror.cross_check(NAME)
    assert max(differences, key=differences.get) == "stem.2.bias"
    np.testing.assert_allclose(differences["stem.2.bias"], 0.25, rtol=1e-5)
    output = run("convert", NAME, tmp_path / "p", "--cross-check", status=1)
    assert "stem.2.bias" in output and not (tmp_path / "p").exists()
    arrays["backbone.stem.2.bias"] = np.zeros(3, "float32")
    checkpoints.save_paddle(cached, arrays)
    with pytest.raises(PresetError, match=r"other|differ in 2 names or shapes"):
        mirror.cross_check(NAME)
