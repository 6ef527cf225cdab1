"""Published checkpoints: every format and every fault, without executing code."""

from __future__ import annotations

import pickle
import struct
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from keras_involution import (
    RedNet26,
    RedNet50,
    RedNetBackbone,
    RedNetImageClassifier,
)
from keras_involution.cli import main
from keras_involution.hub import CheckpointError, read_checkpoint
from keras_involution.models import rednet_checkpoint
from tests import published_weights
from tests.hub import checkpoints
from tests.hub.networks import assert_same_weights
from tests.marks import one_backend

# tests/models/test_published_values.py compares weights and outputs on every backend.
pytestmark = one_backend


@pytest.fixture(scope="module")
def arrays():
    return checkpoints.small_network()


def assert_read(path, arrays) -> None:
    found = read_checkpoint(path).arrays
    assert set(found) == set(checkpoints.bare(arrays))
    for name, array in checkpoints.bare(arrays).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("zipped", (True, False))
@pytest.mark.parametrize("meta", (None, checkpoints.META))
@pytest.mark.parametrize("prefix", ("", "module."))
def test_torch_files(arrays, tmp_path, prefix, meta, zipped):
    written = checkpoints.with_prefix(arrays, prefix)
    path = checkpoints.save_torch(tmp_path / "x.pth", written, meta, zipped)
    assert_read(path, arrays)
    names = read_checkpoint(path).class_names
    assert names == (None if meta is None else checkpoints.META["CLASSES"])


def test_torch_files_of_other_kinds_of_tensors(tmp_path):
    import torch

    base = torch.arange(24, dtype=torch.float64).reshape(4, 6)
    state = {
        "view": base[1:3, ::2].t(),
        "expanded": torch.ones(1).expand(3, 2),
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.zeros(0, 3),
        "bn.num_batches_tracked": torch.tensor(7),
    }
    torch.save(state, tmp_path / "x.pt")
    found = read_checkpoint(tmp_path / "x.pt").arrays
    assert set(found) == set(state) - {"bn.num_batches_tracked"}
    for name, array in found.items():
        expected = state[name].detach().double().numpy()
        np.testing.assert_array_equal(array.astype("float64"), expected)


def test_paddle_files(arrays, tmp_path):
    path = checkpoints.save_paddle(tmp_path / "x.pdparams", arrays)
    assert_read(path, arrays)
    model = RedNet26.from_preset(path)
    head = model.get_layer("predictions").get_weights()[0]
    np.testing.assert_array_equal(head, arrays["head.fc.weight"].T)
    # A backbone leaves out the head.
    backbone = RedNetBackbone.from_depth(26)
    backbone.load_checkpoint(path)
    assert_same_weights(backbone, model.backbone)


def test_safetensors_and_npz(arrays, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    save_file(checkpoints.bare(arrays), tmp_path / "x.safetensors")
    assert_read(tmp_path / "x.npz", arrays)
    assert_read(tmp_path / "x.safetensors", arrays)


@pytest.mark.parametrize("stem", (3, 7))
@pytest.mark.parametrize("depth", (26, 50))
def test_depth_and_stem_are_found(tmp_path, depth, stem):
    np.savez(tmp_path / "x.npz", **checkpoints.small_network(depth, stem))
    model = RedNetImageClassifier.from_preset(tmp_path / "x.npz")
    assert model.backbone.depth == depth and model.num_classes == 7
    assert model.backbone.stem_kernel_size == stem


@pytest.mark.parametrize(
    "depth, blocks",
    [(38, (2, 3, 5, 2)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))],
)
def test_the_other_depths_are_found(tmp_path, depth, blocks):
    names = [
        f"layer{stage + 1}.{block}.conv1.weight"
        for stage, count in enumerate(blocks)
        for block in range(count)
    ]
    np.savez(tmp_path / "x.npz", **dict.fromkeys(names, np.zeros(1)))
    assert (
        rednet_checkpoint._depth(read_checkpoint(tmp_path / "x.npz").arrays, "")
        == depth
    )


def test_backbones_and_new_heads(arrays, tmp_path):
    np.savez(tmp_path / "all.npz", **arrays)
    headless = {n: a for n, a in arrays.items() if not n.startswith("head.")}
    np.savez(tmp_path / "headless.npz", **headless)
    backbone = RedNetBackbone.from_preset(tmp_path / "headless.npz")
    whole = RedNet26.from_preset(tmp_path / "all.npz")
    assert_same_weights(whole.backbone, backbone)
    new = RedNet26.from_preset(tmp_path / "all.npz", num_classes=3)
    assert_same_weights(new.backbone, backbone)
    assert new.output_shape == (None, 3)
    with pytest.raises(CheckpointError, match=r"has no head.*num_classes"):
        RedNet26.from_preset(tmp_path / "headless.npz")
    with pytest.raises(CheckpointError, match="depth 26, not 50"):
        RedNet50.from_preset(tmp_path / "all.npz")
    random = RedNet26.from_preset(tmp_path / "all.npz", load_weights=False)
    with pytest.raises(AssertionError):
        assert_same_weights(random, whole)


FAULTS = {
    "missing: layer2.0.bn3.weight": lambda a: a.pop("backbone.layer2.0.bn3.weight"),
    "left over: ema.weight": lambda a: a.update({"ema.weight": np.zeros(2)}),
    r"stem.2.bias \(2,\), not \(32,\)": lambda a: a.update(
        {"backbone.stem.2.bias": np.zeros(2)}
    ),
    "stem.2.bias int64": lambda a: a.update({"backbone.stem.2.bias": np.arange(32)}),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_faults_are_named_and_nothing_is_written(arrays, tmp_path, sentence):
    changed = dict(arrays)
    FAULTS[sentence](changed)
    np.savez(tmp_path / "x.npz", **changed)
    with pytest.raises(CheckpointError, match=sentence):
        RedNet26.from_preset(tmp_path / "x.npz")
    result = run("convert", tmp_path / "x.npz", tmp_path / "preset", status=1)
    assert "Received: path=" in result and not (tmp_path / "preset").exists()


def test_other_architectures(tmp_path):
    resnet = {"conv1.weight": np.zeros((64, 3, 7, 7))}
    np.savez(tmp_path / "x.npz", **resnet)
    with pytest.raises(CheckpointError, match=r"a published RedNet.*\[0, 0, 0, 0\]"):
        RedNetBackbone.from_preset(tmp_path / "x.npz")
    resnet |= {
        f"layer{stage + 1}.{block}.conv{number}.weight": np.zeros(1)
        for stage, blocks in enumerate(published_weights.BLOCKS[50])
        for block in range(blocks)
        for number in (1, 2, 3)
    }
    np.savez(tmp_path / "x.npz", **resnet)
    with pytest.raises(CheckpointError) as error:
        RedNetBackbone.from_preset(tmp_path / "x.npz")
    assert "layer3.5.conv2.conv2.conv.bias" in str(error.value)  # missing
    assert "layer3.5.conv2.weight" in str(error.value)  # left over


@pytest.mark.parametrize("zipped", (True, False))
def test_torch_files_that_run_code(tmp_path, zipped):
    import torch

    hostile = {"state_dict": {}, "meta": checkpoints.RunsCode(tmp_path / "ran")}
    path = tmp_path / "x.pth"
    torch.save(hostile, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="mkdir"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", (0, 2, 4, 5))
def test_paddle_files_that_run_code(tmp_path, protocol):
    hostile = {"fc.weight": checkpoints.RunsCode(tmp_path / "ran")}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(hostile, protocol))
    with pytest.raises(CheckpointError, match=r"asks for `posix.mkdir`"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / "ran").exists(), "the file was not dangerous to begin with"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


PROGRAMS = {
    # BUILD on a replacement would change it for every later file.
    "sets the state of a name": b"\x80\x02" + _global("numpy", "dtype")
    + b"N}X\x08\x00\x00\x00__call__K\x01s\x86b.",
    "asks for `builtins.eval`": b"\x80\x02" + _global("builtins", "eval")
    + b"(X\x01\x00\x00\x001tR.",
    "instruction BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 1) + b"a.",
    "instruction EXT1": b"\x80\x02\x82\x01.",
    "holds no arrays by name": b"\x80\x02N.",
    "refers to data outside": b"\x80\x02NQ.",
}  # fmt: skip


@pytest.mark.parametrize("sentence", PROGRAMS)
def test_pickles_by_hand(tmp_path, sentence):
    (tmp_path / "x.pdparams").write_bytes(PROGRAMS[sentence])
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(tmp_path / "x.pdparams")


def test_arrays_of_objects_and_of_false_sizes(tmp_path):
    for array in (np.array([{}], object), np.array(["a"])):
        (tmp_path / "x.pdparams").write_bytes(pickle.dumps({"a": array}))
        with pytest.raises(CheckpointError, match="array of"):
            read_checkpoint(tmp_path / "x.pdparams")
    raw = pickle.dumps({"a": np.zeros(3, "float32")}).replace(
        b"K\x03\x85", b"K\x09\x85"
    )
    (tmp_path / "x.pdparams").write_bytes(raw)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "x.pdparams")


@pytest.mark.parametrize("zipped", (True, False))
@pytest.mark.parametrize("fraction", (0.0, 0.01, 0.5, 0.99))
def test_cut_off_files(arrays, tmp_path, zipped, fraction):
    few = dict(list(arrays.items())[:40])
    path = checkpoints.save_torch(tmp_path / "x.pth", few, None, zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(CheckpointError, match="Received: path="):
        read_checkpoint(path)


@pytest.mark.parametrize("fraction", (0.0, 0.001, 0.5, 0.99))
def test_cut_off_safetensors(arrays, tmp_path, fraction):
    path = tmp_path / "x.safetensors"
    save_file(arrays, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(CheckpointError, match="Received: path="):
        read_checkpoint(path)


@pytest.mark.parametrize("size", (5, 64))
def test_tensors_larger_than_their_numbers(tmp_path, size):
    """The file describes a tensor that is larger than its storage."""
    import torch

    torch.save({"a": torch.zeros(4)}, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(tmp_path / "x.pth", "w") as changed,
    ):
        for name in whole.namelist():
            data = whole.read(name)
            if name.endswith("data.pkl"):
                assert data.count(b"K\x04\x85") == 1  # the shape (4,)
                data = data.replace(b"K\x04\x85", b"K%c\x85" % size)
            changed.writestr(name, data)
    with pytest.raises(CheckpointError, match="larger than its numbers"):
        read_checkpoint(tmp_path / "x.pth")


def test_names_that_meet(tmp_path):
    np.savez(tmp_path / "x.npz", **{"backbone.a": np.ones(1), "a": np.ones(1)})
    with pytest.raises(CheckpointError, match="two arrays for `a`"):
        read_checkpoint(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", a=np.array([{}], object))
    with pytest.raises(CheckpointError, match="allow_pickle"):
        read_checkpoint(tmp_path / "x.npz")
    with pytest.raises(CheckpointError, match="no checkpoint with this name"):
        RedNet50.from_preset("rednet50-1c7a7c5d.pth")


def run(*arguments, status=0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_the_command(arrays, tmp_path):
    from PIL import Image

    path = checkpoints.save_torch(tmp_path / "x.pth", arrays, checkpoints.META)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    text = run("convert", path, tmp_path / "preset", "--check", tmp_path / "photo.png")
    assert "RedNet-26, 3x3 stem, 7 classes" in text
    model = RedNet26.from_preset(tmp_path / "preset")
    assert_same_weights(model, RedNet26.from_preset(path))
    best = model.classify([pixels])[0]
    lines = [line.split() for line in text.splitlines()[2:]]
    assert lines == [[f"{fraction:.1%}", name] for name, fraction in best]
    run("convert", path, tmp_path / "backbone", "--backbone")
    assert_same_weights(
        RedNetBackbone.from_preset(tmp_path / "backbone"), model.backbone
    )
    usage = ["convert", path, tmp_path / "b", "--backbone", "--check", path]
    assert "needs a classifier" in run(*usage, status=2)
