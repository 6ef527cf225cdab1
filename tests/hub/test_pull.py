"""Pulls presets from a double of the Hub, over real HTTP with the real client."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from pathlib import Path

import pytest

from keras_involution import RedNet50, RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import PresetError
from tests.hub.hub_double import Fault
from tests.hub.networks import CLASS_NAMES, assert_same_weights
from tests.marks import one_backend

WEIGHTS = "/_objects/"


def pull(preset="hf://owner/tiny", **kwargs):
    return RedNetImageClassifier.from_preset(preset, **kwargs)


def cached_files(environment) -> set[str]:
    snapshots = Path(environment["HF_HUB_CACHE"]).glob("models--*/snapshots/*/*")
    return {path.name for path in snapshots}


def test_classifier_comes_back(published, classifier):
    model = pull(published)
    assert_same_weights(model, classifier)
    assert model.class_names == CLASS_NAMES


def test_one_listing_and_only_the_files_needed(hub, published, environment, classifier):
    hub.repositories["owner/tiny"].head("main").files["big.bin"] = next(
        iter(hub.repositories["owner/tiny"].head("main").files.values())
    )
    assert_same_weights(RedNetBackbone.from_preset(published), classifier.backbone)
    assert cached_files(environment) == {"config.json", "model.weights.h5"}
    assert len(hub.requests("GET", "/api/models")) == 1
    pull(published)
    assert cached_files(environment) == {
        *("config.json", "model.weights.h5", "task.json", "task.weights.h5"),
        "metadata.json",
    }


def test_the_second_time_only_the_listing(hub, published):
    pull(published)
    hub.log.clear()
    pull(published)
    assert hub.log == [("GET", "/api/models/owner/tiny", 200)]


def test_no_weights_are_fetched_without_load_weights(hub, published, environment):
    model = pull(published, load_weights=False)
    assert model.class_names == CLASS_NAMES
    assert not any(name.endswith(".h5") for name in cached_files(environment))
    assert not hub.requests("GET", WEIGHTS)


def test_a_new_head_does_not_fetch_the_old(published, environment):
    assert pull(published, num_classes=5).output_shape == (None, 5)
    assert "task.weights.h5" not in cached_files(environment)


def test_shards(hub, classifier, tmp_path, environment):
    classifier.save_to_preset(tmp_path / "s", max_shard_size=100_000 / 2**30)
    files = {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()}
    hub.add("owner/shards", files)
    assert_same_weights(pull("hf://owner/shards"), classifier)
    assert "model_00001.weights.h5" in cached_files(environment)


def test_revisions(hub, published, saved, tmp_path):
    first = hub.repositories["owner/tiny"].head("main").sha
    (tmp_path / "b").mkdir()
    other = RedNetBackbone.from_preset(saved, load_weights=False)
    other.save_to_preset(tmp_path / "b")
    hub.add("owner/tiny", {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()})
    hub.repositories["owner/tiny"].branch_from("dev")
    for revision in (None, "main", "dev"):
        loaded = RedNetBackbone.from_preset(published, revision=revision)
        assert_same_weights(loaded, other)
    old = RedNetBackbone.from_preset(published, revision=first)
    assert_same_weights(old, RedNetBackbone.from_preset(saved))


def test_cache_dir(published, environment, tmp_path):
    pull(published, cache_dir=tmp_path / "mine")
    assert list((tmp_path / "mine").glob("models--owner--tiny"))
    assert cached_files(environment) == set()


@contextlib.contextmanager
def warning(words: str):
    # `pytest.warns` would raise other warnings, of torch and NumPy.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert any(words in str(entry.message) for entry in caught)


@one_backend
class TestOffline:
    def test_from_the_cache(self, hub, published, classifier, monkeypatch):
        pull(published)
        hub.log.clear()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert_same_weights(pull(published), classifier)
        commit = hub.repositories["owner/tiny"].head("main").sha
        assert_same_weights(pull(published, revision=commit), classifier)
        assert hub.log == []

    def test_nothing_in_the_cache(self, published, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(PresetError, match=r"HF_HUB_OFFLINE.*Received: preset="):
            pull(published)

    def test_only_half_in_the_cache(self, published, monkeypatch):
        pull(published, load_weights=False)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(
            PresetError, match=r"weights.h5.*missing.*Received: preset="
        ):
            pull(published)

    def test_a_file_damaged_in_the_cache(
        self, hub, published, classifier, monkeypatch, environment
    ):
        pull(published)
        damage_cache(environment)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(
            PresetError, match=r"damaged in the cache.*Received: preset="
        ):
            pull(published)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        assert_same_weights(pull(published), classifier)

    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_the_cache_stands_in_for_a_hub_that_fails(
        self, hub, published, classifier, status
    ):
        pull(published)
        hub.faults.add(Fault("GET", "/api/models", status=status))
        hub.faults.add(Fault("HEAD", "resolve", status=status))
        with warning("in the cache is used"):
            model = pull(published)
        assert_same_weights(model, classifier)

    def test_no_connection(self, hub, published, classifier, monkeypatch):
        pull(published)
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        with warning("cannot be reached"):
            model = pull(published)
        assert_same_weights(model, classifier)
        with pytest.raises(PresetError, match=r"cannot be reached.*Received: preset="):
            pull("hf://owner/other")


def damage_cache(environment) -> None:
    (path,) = Path(environment["HF_HUB_CACHE"]).glob("*/snapshots/*/model.weights.h5")
    blob = Path(os.path.realpath(path))
    data = bytearray(blob.read_bytes())
    data[-10] ^= 1
    blob.write_bytes(data)


def test_a_file_damaged_in_the_cache_is_fetched_again(
    hub, published, classifier, environment
):
    pull(published)
    damage_cache(environment)
    hub.log.clear()
    assert_same_weights(pull(published), classifier)
    assert len(hub.requests("GET", WEIGHTS)) == 1


@one_backend
class TestRefusals:
    def refused(self, match, preset="hf://owner/tiny", **kwargs):
        with pytest.raises(PresetError) as caught:
            pull(preset, **kwargs)
        assert match in str(caught.value)
        assert f"Received: preset='{preset}'" in str(caught.value)
        chain, text = caught.value, ""
        while chain is not None:
            text, chain = text + str(chain), chain.__cause__ or chain.__context__
        assert "hf_owner" not in text and "hf_wrong" not in text

    def test_missing_repository(self, hub):
        self.refused("has no such repository", "hf://owner/nothing")

    def test_missing_revision(self, published):
        self.refused("no such revision", revision="v9")

    def test_missing_config(self, hub):
        hub.add("owner/other", {"README.md": b"hello"})
        self.refused("has no config.json", "hf://owner/other")

    @pytest.mark.parametrize("name", ["model.weights.h5", "task.weights.h5"])
    def test_missing_weights(self, hub, saved, name):
        files = {p.name: p.read_bytes() for p in saved.iterdir() if p.name != name}
        hub.add("owner/tiny", files)
        self.refused(f"{name} is missing")

    def test_another_depth(self, published):
        with pytest.raises(PresetError, match=r"depth None, not 50.*Received: preset="):
            RedNet50.from_preset(published)

    def test_private(self, hub, published, classifier, monkeypatch):
        hub.repositories["owner/tiny"].private = True
        assert_same_weights(pull(), classifier)
        monkeypatch.setenv("HF_TOKEN", "hf_other")
        self.refused("no such repository")
        assert_same_weights(pull(token="hf_owner"), classifier)
        self.refused("no such repository", token=False)
        self.refused("rejects the token", token="hf_wrong")

    def test_gated(self, hub, published):
        headers = {"X-Error-Code": "GatedRepo"}
        hub.faults.add(Fault("GET", "/api/models", status=403, headers=headers))
        self.refused("gated")

    @pytest.mark.parametrize(
        "preset",
        ["hf://tiny", "hf://owner/tiny@main", "hf://a/b/c", "hf://", "hf://../x"],
    )
    def test_a_handle_of_another_form(self, hub, preset):
        self.refused("hf://user/name", preset)
        assert hub.log == []

    @pytest.mark.parametrize(
        "preset",
        [
            "kaggle://user/rednet/keras/rednet_50",
            "gs://bucket/rednet",
            "s3://bucket/rednet",
            "modelscope://user/rednet",
            "https://huggingface.co/owner/tiny",
        ],
    )
    def test_other_places(self, hub, preset):
        self.refused("pass its folder", preset)
        assert hub.log == []

    def test_a_huge_config_is_not_fetched(self, hub, published):
        hub.add("owner/huge", {"config.json": b" " * (17 * 2**20)})
        self.refused("larger than", "hf://owner/huge")
        assert not hub.requests("GET", "resolve")


@one_backend
class TestBadNetwork:
    """Each failure gives a clear error, and the next try succeeds."""

    @pytest.mark.parametrize("status", [500, 502, 429])
    @pytest.mark.parametrize("path", ["/api/models", "resolve/.*task.json", WEIGHTS])
    def test_a_status(self, hub, published, classifier, status, path):
        fault = hub.faults.add(Fault("GET", path, status=status))
        match = r"too many requests" if status == 429 else rf"status {status}"
        with pytest.raises(PresetError, match=rf"{match}.*Received: preset="):
            pull(published)
        assert fault.reached.is_set()
        hub.faults.clear()
        assert_same_weights(pull(published), classifier)

    def test_a_passing_failure_is_no_failure(self, hub, published, classifier):
        fault = hub.faults.add(Fault("GET", WEIGHTS, status=429, times=2))
        assert_same_weights(pull(published), classifier)
        assert fault.times == 0

    def test_the_connection_drops_for_a_while(self, hub, published, classifier):
        fault = hub.faults.add(Fault("GET", WEIGHTS, drop_after=1000, times=2))
        assert_same_weights(pull(published), classifier)
        assert fault.times == 0

    def test_the_connection_always_drops(
        self, hub, published, classifier, environment, monkeypatch
    ):
        hub.faults.add(Fault("GET", WEIGHTS, drop_after=0))
        with pytest.raises(PresetError, match=r"Received: preset="):
            pull(published)
        assert not any(name.endswith(".h5") for name in cached_files(environment))
        hub.faults.clear()
        assert_same_weights(pull(published), classifier)

    @pytest.mark.parametrize(
        "body",
        [
            lambda data: data[: len(data) // 2],
            lambda data: data[:100] + b"X" + data[101:],
            lambda data: b"<html>Sign in to this network</html>",
            lambda data: b"",
        ],
        ids=["truncated", "altered", "a portal", "empty"],
    )
    @pytest.mark.parametrize("path", [WEIGHTS, "resolve/.*/task.json"])
    def test_another_content(self, hub, published, classifier, environment, body, path):
        hub.faults.add(Fault("GET", path, body=body))
        with pytest.raises(PresetError, match=r"Received: preset="):
            pull(published)
        name = "task.json" if "task" in path else "model.weights.h5"
        assert name not in cached_files(environment)
        hub.faults.clear()
        assert_same_weights(pull(published), classifier)

    def test_altered_once_is_fetched_twice(self, hub, published, classifier):
        alter = lambda data: data[:100] + b"X" + data[101:]  # noqa: E731
        hub.faults.add(Fault("GET", WEIGHTS, body=alter, times=1))
        assert_same_weights(pull(published), classifier)

    def test_no_space_left(self, hub, published, classifier, monkeypatch):
        full = shutil.disk_usage("/")._replace(free=1000)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path: full)
            with pytest.raises(PresetError, match=r"no space left.*Received: preset="):
                pull(published)
        assert_same_weights(pull(published), classifier)


def test_the_token_never_goes_to_the_store(hub, published):
    hub.repositories["owner/tiny"].private = True
    pull(published, token="hf_owner")
    assert hub.requests("GET", WEIGHTS)
    assert hub.leaks == []


def test_the_token_is_in_no_log(hub, published, caplog, capfd):
    caplog.set_level("DEBUG")
    pull(published, token="hf_owner")
    out, err = capfd.readouterr()
    assert "hf_owner" not in caplog.text + out + err
