"""The command `keras-involution`, from presets to push and pull."""

from __future__ import annotations

from click.testing import CliRunner

from keras_involution import RedNetImageClassifier
from keras_involution._builtin import PRESETS, preset_facts
from keras_involution.cli import main
from tests.hub.networks import assert_same_weights
from tests.marks import old_content, one_backend

pytestmark = [one_backend, old_content]


def run(*arguments, status=0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output if status else result.stdout  # Progress goes to stderr.


def test_help_lists_the_commands():
    assert {"info", "presets", "pull", "push"} <= set(run("--help").split())
    assert "No such command" in run("nothing", status=2)


def test_presets(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("presets").splitlines()
    for name in PRESETS:
        [line] = [line for line in lines if f" {name} " in line]
        facts = preset_facts(name)
        for key in ("parameters", "top-1", "weights", "download"):
            assert f" {facts[key]} " in line


def test_info(saved, published):
    for preset in (saved, published):
        text = run("info", preset)
        assert "RedNet" in text and "32" in text and "bytes in 2 files" in text
    assert "RedNet-50" in run("info", "rednet_50_imagenet")
    assert "Received: preset='nothing'" in run("info", "nothing", status=1)


def test_push_then_pull(hub, saved, classifier, tmp_path):
    address = run("push", saved, "owner/new", "--private", "--message", "Mine").strip()
    assert address.startswith(f"{hub.endpoint}/owner/new/commit/")
    assert hub.repositories["owner/new"].private
    assert hub.repositories["owner/new"].head("main").title == "Mine"
    run("pull", "hf://owner/new", tmp_path / "p")
    assert_same_weights(RedNetImageClassifier.from_preset(tmp_path / "p"), classifier)
    card = (tmp_path / "p" / "README.md").read_bytes()
    assert card == hub.files("owner/new")["README.md"]
    (tmp_path / "p" / "README.md").write_text("older")
    run("pull", "hf://owner/new", tmp_path / "p")
    assert (tmp_path / "p" / "README.md").read_bytes() == card
    assert not (tmp_path / "p" / "model.weights.h5").is_symlink()


def test_errors_are_messages(hub, saved, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    text = run("push", saved, "owner/new", status=1)
    assert "rejects the token" in text and "hf_wrong" not in text
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    assert "no such repository" in run("pull", "hf://owner/x", tmp_path / "p", status=1)
    assert list(tmp_path.glob("p*")) == []
    (tmp_path / "mine").write_text("text")
    hub.add("owner/tiny", {p.name: p.read_bytes() for p in saved.iterdir()})
    text = run("pull", "hf://owner/tiny", tmp_path / "mine", status=1)
    assert "is a file" in text and (tmp_path / "mine").read_text() == "text"
