"""Pushes models to a double of the Hub, over real HTTP with the real client."""

from __future__ import annotations

import keras
import pytest
from huggingface_hub import HfApi

from keras_involution import RedNetBackbone, RedNetImageClassifier
from keras_involution.hub import CardFacts, PresetError, _format, push_folder
from tests.hub.hub_double import Fault
from tests.hub.networks import CLASS_NAMES, assert_same_weights, tiny_classifier
from tests.marks import old_content, one_backend

pytestmark = old_content
FILES = {
    *("config.json", "image_converter.json", "metadata.json", "model.weights.h5"),
    *("preprocessor.json", "task.json", "task.weights.h5", "README.md"),
}


def commits(hub, repo="owner/new", branch="main") -> int:
    return len(hub.repositories[repo].branches[branch])


def names(hub, revision="main") -> set[str]:
    return set(hub.files("owner/new", revision)) - {".gitattributes"}


def test_there_and_back_in_one_commit(hub, classifier):
    address = classifier.push_to_hub("owner/new")
    assert address.startswith(f"{hub.endpoint}/owner/new/commit/")
    assert names(hub) == FILES
    assert commits(hub) == 2  # the first is the Hub's own
    model = RedNetImageClassifier.from_preset("hf://owner/new")
    assert_same_weights(model, classifier)
    assert model.class_names == CLASS_NAMES


def test_backbone(hub, classifier):
    classifier.backbone.push_to_hub("hf://owner/new")
    assert "task.json" not in names(hub)
    loaded = RedNetBackbone.from_preset("hf://owner/new")
    assert_same_weights(loaded, classifier.backbone)


def test_pushing_the_same_again_makes_no_commit_and_sends_nothing(hub, classifier):
    classifier.push_to_hub("owner/new")
    hub.log.clear()
    classifier.push_to_hub("owner/new")
    assert not hub.requests("PUT") and commits(hub) == 2


def test_shards_come_and_go(hub, classifier):
    classifier.push_to_hub("owner/new", max_shard_size=100_000 / 2**30)
    assert "model.weights.h5" not in names(hub)
    assert "model_00001.weights.h5" in names(hub)
    model = RedNetImageClassifier.from_preset("hf://owner/new")
    assert_same_weights(model, classifier)
    classifier.push_to_hub("owner/new")
    assert names(hub) == FILES


def test_private_message_branch_and_pull_request(hub, classifier, saved):
    classifier.push_to_hub("owner/new", private=True, commit_message="My model")
    repository = hub.repositories["owner/new"]
    assert repository.private
    assert repository.head("main").title == "My model"
    other = RedNetImageClassifier.from_preset(saved, load_weights=False)
    other.push_to_hub("owner/new", revision="dev")
    loaded = RedNetImageClassifier.from_preset("hf://owner/new", revision="dev")
    assert_same_weights(loaded, other)
    assert_same_weights(RedNetImageClassifier.from_preset("hf://owner/new"), classifier)
    address = other.push_to_hub("owner/new", create_pr=True)
    assert "/discussions/1" in address
    assert commits(hub) == 2 and commits(hub, branch="refs/pr/1") == 3


@one_backend
class TestCard:
    def test_written_and_never_replaced_unless_asked(self, hub, classifier):
        classifier.push_to_hub("owner/new", tags=["whales"], license="mit")
        card = hub.files("owner/new")["README.md"].decode()
        assert "- whales" in card and "license: mit" in card
        classifier.push_to_hub("owner/new", model_card="---\n---\nmine")
        assert hub.files("owner/new")["README.md"].decode() == card
        classifier.push_to_hub(
            "owner/new", model_card="---\n---\nmine", overwrite_card=True
        )
        assert hub.files("owner/new")["README.md"] == b"---\n---\nmine"

    def test_facts(self, hub, classifier):
        facts = CardFacts(training_data="Ten images of fins.")
        classifier.push_to_hub("owner/new", model_card=facts)
        assert "Ten images" in hub.files("owner/new")["README.md"].decode()

    def test_the_token_is_not_in_what_is_published(self, hub, classifier):
        classifier.push_to_hub("owner/new", token="hf_owner")
        assert not any(b"hf_owner" in data for data in hub.files("owner/new").values())
        assert hub.requests("PUT") and hub.leaks == []


@one_backend
class TestFolder:
    def test_only_the_files_of_a_preset(self, hub, preset, classifier):
        (preset / "secrets.env").write_text("HF_TOKEN=hf_owner")
        (preset / "README.md").write_text("---\n---\nmine")
        push_folder(preset, "owner/new")
        assert names(hub) == FILES
        assert hub.files("owner/new")["README.md"] == b"---\n---\nmine"
        model = RedNetImageClassifier.from_preset("hf://owner/new")
        assert_same_weights(model, classifier)

    def test_a_card_is_written_where_there_is_none(self, hub, preset):
        push_folder(preset, "owner/new")
        assert b"import keras_involution" in hub.files("owner/new")["README.md"]
        assert not (preset / "README.md").exists()

    def test_a_folder_that_does_not_load(self, hub, preset):
        (preset / "task.weights.h5").write_bytes(b"")
        with pytest.raises(PresetError, match=r"task.weights.h5.*Received: preset="):
            push_folder(preset, "owner/new")
        assert hub.log == []


@one_backend
class TestRefusals:
    def refused(self, model, match, repo="owner/new", **kwargs):
        with pytest.raises(ValueError) as caught:
            model.push_to_hub(repo, **kwargs)
        assert match in str(caught.value)
        assert "Received: " in str(caught.value)
        assert "hf_o" not in str(caught.value) and "hf_w" not in str(caught.value)

    def test_nothing_is_sent_if_it_would_not_load_back(
        self, hub, classifier, monkeypatch
    ):
        save = keras.saving.save_weights

        def save_half(model, path, **kwargs):
            save(model, path, **kwargs)
            path.write_bytes(path.read_bytes()[:-100])

        monkeypatch.setattr(keras.saving, "save_weights", save_half)
        self.refused(classifier, "cannot be read")
        assert hub.log == []

    def test_what_no_preset_describes(self, hub, classifier):
        layer = keras.layers.Rescaling(1 / 255)
        model = tiny_classifier(classifier.backbone, preprocessor=layer)
        self.refused(model, "RedNetImageConverter")
        model = tiny_classifier(classifier.backbone, activation=lambda x: x)
        self.refused(model, "name of the activation")
        assert hub.log == []

    def test_tokens(self, hub, classifier, monkeypatch):
        self.refused(classifier, "rejects the token", token="hf_wrong")
        self.refused(classifier, "write access", token="hf_other")
        monkeypatch.delenv("HF_TOKEN")
        self.refused(classifier, "rejects the token", token=False)
        assert hub.repositories == {}

    def test_names(self, hub, classifier):
        for repo in ("new", "a/b/c", "owner/new@dev", "../new"):
            self.refused(classifier, "hf://user/name", repo)
        assert hub.log == []

    def test_offline(self, hub, classifier, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        self.refused(classifier, "HF_HUB_OFFLINE")

    def test_somebody_else_pushed_meanwhile(self, hub, classifier, monkeypatch):
        classifier.push_to_hub("owner/new")
        before = hub.files("owner/new")
        repository, create_commit = hub.repositories["owner/new"], HfApi.create_commit

        def late(api, *arguments, **options):
            monkeypatch.setattr(HfApi, "create_commit", create_commit)
            repository.commit("main", "Theirs", repository.head("main").files)
            return create_commit(api, *arguments, **options)

        monkeypatch.setattr(HfApi, "create_commit", late)
        classifier.class_names[0] = "orca"
        try:
            self.refused(classifier, "in the meantime")
            assert hub.files("owner/new") == before
            classifier.push_to_hub("owner/new")
        finally:
            classifier.class_names[0] = CLASS_NAMES[0]
        assert b"orca" in hub.files("owner/new")["metadata.json"]

    @pytest.mark.parametrize("status", [500, 429])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/repos/create"),
            ("POST", "/preupload"),
            ("POST", "objects/batch"),
            ("PUT", "/_objects/"),
            ("POST", "/commit/"),
        ],
    )
    def test_nothing_half_published(self, hub, classifier, status, method, path):
        hub.faults.add(Fault(method, path, status=status))
        self.refused(classifier, "Nothing was published")
        if "owner/new" in hub.repositories:
            assert names(hub) == set()
        hub.faults.clear()
        sent = len(hub.objects)
        classifier.push_to_hub("owner/new")
        assert names(hub) == FILES
        assert sent in (0, 1, 2)


def test_resumed_where_it_stopped(hub, classifier):
    hub.faults.add(Fault("POST", "/commit/", status=500))
    with pytest.raises(PresetError, match="Nothing was published"):
        classifier.push_to_hub("owner/new")
    assert len(hub.objects) == 2
    hub.faults.clear()
    hub.log.clear()
    classifier.push_to_hub("owner/new")
    assert not hub.requests("PUT") and commits(hub) == 2
    assert names(hub) == FILES
    assert not any(_format.is_shard(name) for name in names(hub))
