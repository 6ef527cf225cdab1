"""Files that hypothesis generates for three readers: pickles, safetensors, HDF5.

Damaged valid files are usually rejected early. These files are built from the pieces
that each reader expects, and `target` guides hypothesis to files that get further. A
reader must succeed or raise its documented error. `tests/hub` runs a few hundred files;
`python -m benchmarks.fuzz` runs 10,000 of each kind.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from keras_involution.hub import CheckpointError, PresetError, read_checkpoint
from keras_involution.hub._source import local_source
from keras_involution.hub._weights import load_weights


def generators(examples: int, repeatable: bool) -> dict[str, Callable[[], None]]:
    """Name -> function that generates and reads `examples` files of a kind.

    Args:
        examples: Integer.
        repeatable: Boolean, whether the files are the same in every run.
    """
    run = settings(
        max_examples=examples,
        deadline=5000,
        database=None,
        derandomize=repeatable,
        suppress_health_check=list(HealthCheck),
    )
    checks = {
        "pickle programs": given(PROGRAMS)(read_program),
        "pickles of plain values": given(VALUES, st.integers(0, 5))(read_values),
        "safetensors headers": given(ENTRIES, st.binary(max_size=64), ERRORS)(
            read_header
        ),
        "HDF5 files": given(st.lists(ITEMS, max_size=8), CHANGES)(Network().read),
    }
    return {name: run(check) for name, check in checks.items()}


def outcome(data: bytes, suffix: str) -> str:
    """The reason why a checkpoint is rejected, or an empty string if it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        path.write_bytes(data)
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            return str(error)
    return ""


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


NAMES = (
    "numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype",
    "numpy.core.multiarray scalar", "collections OrderedDict", "_codecs encode",
    "torch._utils _rebuild_tensor_v2", "os system", "builtins eval",
)  # fmt: skip
PIECES = st.one_of(
    st.sampled_from(
        [bytes([byte]) for byte in b"]})l(td.012NR\x85\x86\x87abseuoQ\x94"]
    ),
    st.integers(-(2**31), 2**31 - 1).map(_int),
    st.sampled_from([0, 1, 2, 4, 2**31 - 1]).map(_int),
    st.text(max_size=6).map(_text),
    st.sampled_from(["f4", "b", "C", "<", "O8"]).map(_text),
    st.binary(max_size=16).map(lambda data: b"C" + bytes([len(data)]) + data),
    st.sampled_from(NAMES).map(lambda n: b"c" + n.replace(" ", "\n").encode() + b"\n"),
    st.integers(0, 5).map(lambda place: b"q" + bytes([place])),
    st.integers(0, 5).map(lambda place: b"h" + bytes([place])),
)
PROGRAMS = st.lists(PIECES, max_size=60)


def read_program(pieces: list[bytes]) -> None:
    reason = outcome(b"\x80\x02" + b"".join(pieces) + b".", ".pdparams")
    target(float("takes" not in reason) + float("no single value" not in reason))


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=30,
)


def read_values(value: Any, protocol: int) -> None:
    """Reads valid pickles without arrays, which must raise the documented error."""
    reason = outcome(pickle.dumps(value, protocol), ".pdparams")
    expected = ("holds no arrays", "is no array but", "instruction", "shorter")
    assert any(words in reason for words in expected), reason


DIMENSIONS = st.one_of(st.integers(-2, 5), st.integers(2**17, 2**63), st.none())
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F64", "BF16", "I64", "X", "F8_E4M3", ""]),
        "shape": st.lists(DIMENSIONS, max_size=9),
        "data_offsets": st.lists(st.integers(-1, 70), min_size=1, max_size=3),
    }
)
ENTRIES = st.dictionaries(st.text(max_size=8), ENTRY | st.none() | st.integers())
ERRORS = st.integers(-3, 3)


def read_header(entries: dict[str, Any], data: bytes, error: int) -> None:
    header = json.dumps(entries).encode()
    size = struct.pack("<Q", max(0, len(header) + error))
    outcome(size + header + data, ".safetensors")


WEIGHTS = "layers/dense/vars"
PATHS = ("layers", "layers/dense", WEIGHTS, f"{WEIGHTS}/0", f"{WEIGHTS}/1", "x", "a/b")
KINDS = (
    "f4", "f4", "f4", "f2", "f8", ">f4", "i4", "?", "S3", "c8", "V4",
    [("a", "f4")], h5py.string_dtype(), h5py.vlen_dtype("f4"), h5py.ref_dtype,
)  # fmt: skip
ITEMS = st.fixed_dictionaries(
    {
        "path": st.sampled_from((*PATHS, f"{WEIGHTS}/0", f"{WEIGHTS}/1")),
        "make": st.sampled_from(
            ("dataset",) * 6
            + ("group", "soft", "external", "hard", "type", "virtual", "empty")
        ),
        "dtype": st.sampled_from(KINDS),
        "shape": st.sampled_from([(3, 4), (4,), (3, 4), (4,), (), (0,), (2**20, 0)]),
        "options": st.sampled_from(
            [{}, {}, {}, {"chunks": True}, {"compression": "gzip"}, {"external": "x"}]
        ),
        "attribute": st.sampled_from([None, None, "bfloat16", 7, "x" * 100]),
    }
)
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=2)


class Network:
    """A network of one layer that reads generated weights files."""

    def __init__(self) -> None:
        layers = [keras.Input((3,)), keras.layers.Dense(4, name="dense")]
        self.model = keras.Sequential(layers)

    def read(self, items: list[dict[str, Any]], changes: list[tuple[int, int]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.weights.h5"
            with h5py.File(path, "w") as file:
                for item in items:
                    # Some items conflict; the file consists of those that fit.
                    with contextlib.suppress(Exception):
                        write_item(file, **item)
            data = bytearray(path.read_bytes())
            for place, value in changes:
                data[place % len(data)] = value
            path.write_bytes(data)
            target(float(self.outcome(path)))

    def outcome(self, path: Path) -> int:
        """How far the reader gets, as a number."""
        source = local_source(path.parent, str(path.parent))
        try:
            with source.damage_reported(path.name):
                load_weights(self.model, [path])
        except PresetError as error:
            words = ("missing", "not in the model", "has shape", "not hold floating")
            return next((n for n, w in enumerate(words, 1) if w in str(error)), 0)
        return 9


def write_item(
    file: h5py.File,
    path: str,
    make: str,
    dtype: Any,
    shape: tuple[int, ...],
    options: dict[str, Any],
    attribute: Any,
) -> None:
    """Writes an item of an HDF5 file, possibly of an unexpected kind."""
    if make == "group":
        file.require_group(path)
    elif make == "soft":
        file[path] = h5py.SoftLink("/layers")
    elif make == "external":
        file[path] = h5py.ExternalLink("outside.h5", "/")
    elif make == "hard":
        file[path] = file["layers"]
    elif make == "type":
        file[path] = np.dtype("f4")
    elif make == "virtual":
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource("gone.h5", "x", shape, dtype)
        file.create_virtual_dataset(path, layout)
    elif make == "empty":
        file[path] = h5py.Empty("f4")
    else:
        if "external" in options:
            outside = str(Path(file.filename).with_name("outside"))
            options = {"external": [(outside, 0, h5py.h5f.UNLIMITED)]}
        made = file.create_dataset(path, shape, dtype, **options)
        if attribute is not None:
            made.attrs["dtype"] = attribute
