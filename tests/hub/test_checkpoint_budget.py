"""Small files that claim large resources are rejected within seconds and 1 GB.

Checkpoints of networks, and splits, whose `.pth` files may hold more than arrays.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_involution.hub import CheckpointError, read_checkpoint
from tests.hub import checkpoints
from tests.marks import one_backend

pytestmark = one_backend
SECONDS = 5.0

# The child imports first, then limits its memory to one more gigabyte, so that a reader
# that needs more gets a MemoryError. The parent has a deadline for hangs. The child
# counts CPU time, which does not depend on the load of the machine.
CHILD = """
import pathlib, resource, sys, time
import keras_involution
from keras_involution.data import read_split
from keras_involution.training.stored_splits import read_indices
import safetensors.numpy
names = [f"{i}.jpg" for i in range(1000)]
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 10**9
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    begin = time.process_time()
    try:
        if path.endswith(".csv"):
            read_split(pathlib.Path(path), names)
        elif "split_" in path:
            read_indices(path)
        else:
            keras_involution.RedNetImageClassifier.from_preset(path)
        print("loaded", flush=True)
    except ValueError as error:
        took = time.process_time() - begin
        print(f"{took:.2f} {str(error)[:300]!r}", flush=True)
"""


def safetensors_file(path: Path, **shapes: list[int]) -> None:
    """A header without data, since arrays with a side of zero need none."""
    entries = {
        name.replace("__", "."): {
            "dtype": "F32",
            "shape": shape,
            "data_offsets": [0, 0],
        }
        for name, shape in shapes.items()
    }
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def zero_width_head(path: Path) -> None:
    safetensors_file(path, head__fc__weight=[2**18, 0], head__fc__bias=[0])


def zero_width_head_of_terabytes(path: Path) -> None:
    safetensors_file(path, head__fc__weight=[2**28, 0], head__fc__bias=[0])


def whole_network_with_a_zero_head(path: Path) -> None:
    """Everything except the head is valid, so only the head can be the reason."""
    arrays = checkpoints.small_network()
    arrays["head.fc.weight"] = np.zeros((2**18, 0), "float32")
    arrays["head.fc.bias"] = np.zeros(2**18, "float32")
    np.savez(path, **arrays)


def torch_expanded(path: Path) -> None:
    import torch

    torch.save({"head.fc.weight": torch.ones(1).expand(2**18, 2048)}, path)


def torch_expanded_old(path: Path) -> None:
    import torch

    head = {"head.fc.weight": torch.ones(1).expand(2**30, 2048)}
    torch.save(head, path, _use_new_zipfile_serialization=False)


def torch_shared_dictionaries(levels: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import torch

        inner: dict = {"a": torch.ones(1)}
        for _ in range(levels):
            inner = {"a": inner, "b": inner}
        torch.save(inner, path)

    return write


def torch_overlapping_storages(path: Path) -> None:
    """Many names in the archive for the same bytes, each of which would be read."""
    import torch

    many = {str(i): torch.zeros(10_000, dtype=torch.uint8)[:1] for i in range(2)}
    torch.save(many, path)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<H", 10_000), struct.pack("<H", 65_000)))


def nested_tuples_as_key(path: Path) -> None:
    """Every level doubles the work of the hash, which C code of Python computes."""
    program = b"\x80\x02}K\x01" + b"q\x000h\x00h\x00\x86" * 40 + b"K\x01s."
    path.write_bytes(program)


def nested_tuples_in_a_torch_key(path: Path) -> None:
    nested_tuples_as_key(path)
    program = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", program)
        archive.writestr("x/version", "3\n")


def millions_of_instructions(path: Path) -> None:
    path.write_bytes(b"\x80\x02]" + b"(l0" * 3_000_000 + b".")


def text_encoded_again_and_again(path: Path) -> None:
    """Protocol 2 keeps bytes as text; each call copies them."""
    text = b"x" * 1_000_000
    call = b"h\x01h\x00\x85R"
    path.write_bytes(
        b"\x80\x02](X" + struct.pack("<I", len(text)) + text + b"q\x000"
        b"c_codecs\nencode\nq\x010" + call * 50_000 + b"e."
    )


def deep_lists(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"]" * 250_000 + b"a" * 249_999 + b".")


def long_integers(path: Path) -> None:
    path.write_bytes(b"\x80\x02]L" + b"9" * 5_000_000 + b"L\na.")


def a_length_of_gigabytes(path: Path) -> None:
    path.write_bytes(b"\x80\x04]B" + struct.pack("<I", 2**32 - 1) + b"xa.")


def memory_of_gigabytes(path: Path) -> None:
    path.write_bytes(b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".")


def compressed_npz(path: Path) -> None:
    np.savez_compressed(path, **{"head.fc.weight": np.zeros((45_000, 2048), "float64")})


def npz_header_of_terabytes(path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (268435456, 2048), }\n"
    with zipfile.ZipFile(path, "w") as archive:
        magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
        archive.writestr("head.fc.weight.npy", magic + header)


def npz_nested_header(path: Path) -> None:
    header = b"(" * 9_000 + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
        archive.writestr("a.npy", magic + header)


def npz_of_many_entries(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(60_000):
            archive.writestr(f"{number}.npy", b"")


def npz_that_claims_less(path: Path) -> None:
    """A deflated entry that is longer than the size in the archive."""
    np.savez_compressed(path, a=np.zeros(10**7, "float32"))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)
    path.write_bytes(bytes(data))


def empty_deep_safetensors(path: Path) -> None:
    header = b'{"a":' + b"[" * 900_000 + b"]" * 900_000 + b"}"
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def torch_objects(value: Callable[[], object]) -> Callable[[Path], None]:
    """Writes a value with `torch.save`; the value is created when it is written."""

    def write(path: Path) -> None:
        import torch

        torch.save(value(), path)

    return write


def expanded_indices() -> object:
    import torch

    rows = torch.zeros(1, dtype=torch.int64)
    return {"train": rows.expand(2**24), "val": torch.zeros(1, dtype=torch.int64)}


def many_views() -> object:
    import torch

    rows = torch.zeros(2**20, dtype=torch.uint8)
    return {f"train{number}": rows[number:] for number in range(4000)}


def shared_lists() -> object:
    """A hundred references per level: 100 ** 8 paths through a file of kilobytes."""
    inner: list = [[1, 2, 3]] * 100
    for _ in range(8):
        inner = [inner] * 100
    return inner


def shared_dictionaries() -> object:
    inner: dict = {"train": [0, 1]}
    for _ in range(40):
        inner = {"a": inner, "b": inner}
    return inner


def long_list_again_and_again() -> object:
    rows = list(range(100_000))
    return [{f"train{number}": rows for number in range(1000)}] * 100


def torch_program(program: bytes) -> Callable[[Path], None]:
    """Writes an archive like `torch.save` with the given pickle."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", b"\x80\x02" + program)
            archive.writestr("x/version", "3\n")

    return write


def npz_of_rows(count: int, kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        np.savez_compressed(path, train=np.zeros(count, kind), val=np.zeros(1, kind))

    return write


def csv_text(text: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text())

    return write


OBJECT = b"c__main__\nDataset\nq\x000"
SPLITS: dict[str, Callable[[Path], None]] = {
    "split_expanded.pth": torch_objects(expanded_indices),
    "split_views.pth": torch_objects(many_views),
    "split_lists.pth": torch_objects(shared_lists),
    "split_dicts.pth": torch_objects(shared_dictionaries),
    "split_long.pth": torch_objects(long_list_again_and_again),
    # Just within the limit of instructions, and far beyond it.
    "split_900k.pth": torch_program(b"(" + b"}" * 900_000 + b"l."),
    "split_objects.pth": torch_program(OBJECT + b"(" + b"h\x00)\x81" * 300_000 + b"l."),
    "split_numbers.pth": torch_program(b"(" + b"K\x01" * 900_000 + b"l."),
    "split_steps.pth": torch_program(b"(" + b"}" * 9_000_000 + b"l."),
    "split_deep.pth": torch_program(b"]" * 900_000 + b"a" * 899_999 + b"."),
    "split_tuples.pth": nested_tuples_in_a_torch_key,
    "split_zeros.npz": npz_of_rows(37_000_000, "int64"),
    "split_small.npz": npz_of_rows(290_000_000, "int8"),
    "split_terabytes.npz": npz_header_of_terabytes,
    "split_less.npz": npz_that_claims_less,
    "split_wide.csv": csv_text(
        lambda: b"name,split," + b"a," * 1_000_000 + b"\n" + b"a,b\n" * 1_900_000
    ),
    "split_rows.csv": csv_text(lambda: b"name,split\n" + b"a,b\n" * 2_400_000),
    "split_cell.csv": csv_text(lambda: b"name,split\n" + b"a" * 9_000_000),
    "split_quoted.csv": csv_text(lambda: b'name,split\n"' + b"a\n" * 4_000_000),
    "split_bytes.csv": csv_text(lambda: bytes(range(256)) * 30_000),
}
FILES: dict[str, Callable[[Path], None]] = {
    "zero_head.safetensors": zero_width_head,
    "zero_head_terabytes.safetensors": zero_width_head_of_terabytes,
    "deep.safetensors": empty_deep_safetensors,
    "zero_head.npz": whole_network_with_a_zero_head,
    "expanded.pth": torch_expanded,
    "expanded_old.pth": torch_expanded_old,
    "shared_20.pth": torch_shared_dictionaries(20),
    "shared_40.pth": torch_shared_dictionaries(40),
    "overlap.pth": torch_overlapping_storages,
    "tuples.pdparams": nested_tuples_as_key,
    "tuples.pth": nested_tuples_in_a_torch_key,
    "steps.pdparams": millions_of_instructions,
    "encoded.pdparams": text_encoded_again_and_again,
    "lists.pdparams": deep_lists,
    "integers.pdparams": long_integers,
    "length.pdparams": a_length_of_gigabytes,
    "memory.pdparams": memory_of_gigabytes,
    "compressed.npz": compressed_npz,
    "terabytes.npz": npz_header_of_terabytes,
    "nested.npz": npz_nested_header,
    "entries.npz": npz_of_many_entries,
    "less.npz": npz_that_claims_less,
    **SPLITS,
}


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
def test_small_files_stay_within_a_gigabyte_and_five_seconds(tmp_path):
    paths = []
    for name, write in FILES.items():
        write(tmp_path / name)
        paths.append(tmp_path / name)
        if name != "zero_head.npz":  # A complete network, 29 MB.
            assert (tmp_path / name).stat().st_size < 10e6, name
    begin = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60 + SECONDS * len(paths),
    )
    print(result.stdout, f"{time.monotonic() - begin:.1f} s in all")
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    lines = result.stdout.splitlines()
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines):
        took, message = line.split(" ", 1)
        assert float(took) < SECONDS, (path.name, line)
        assert "Memory" not in message and "Received: " in message, (path.name, line)


def test_a_large_network_that_is_compressed_still_loads(tmp_path):
    """The budget of compressed files is the size of RedNet-152."""
    shape = (34_000_000,)
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(shape, "float32"))
    assert (tmp_path / "x.npz").stat().st_size < 1e6
    assert read_checkpoint(tmp_path / "x.npz").arrays["a"].shape == shape


def test_a_shared_array_is_read_once(tmp_path):
    """Paddle's pickles may hold one array under two names; views need no memory."""
    array = np.ones(1000, "float32")
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"a": array}, protocol=4))
    assert read_checkpoint(path).arrays["a"].base is not None
    path.write_bytes(pickle.dumps({str(i): array for i in range(50)}, protocol=4))
    with pytest.raises(CheckpointError, match="claim"):
        read_checkpoint(path)
