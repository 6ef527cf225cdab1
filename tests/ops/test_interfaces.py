"""The package's declarations of the C interfaces of XLA and TensorFlow are right.

The compiler compares both, without a framework being imported.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from keras_involution.ops._cpp import compiler, loading
from tests.marks import one_backend

pytestmark = [
    one_backend,
    pytest.mark.skipif(
        isinstance(compiler._toolchain(), str), reason="It is about a compiler."
    ),
]
CPP = loading.SOURCE.parent
# Our struct, their struct, and the fields of both.
STRUCTS = {
    ("Extension", "XLA_FFI_Extension_Base"): "struct_size type next",
    ("Version", "XLA_FFI_Api_Version"): (
        "struct_size extensions=extension_start major=major_version minor=minor_version"
    ),
    ("ErrorArguments", "XLA_FFI_Error_Create_Args"): "message code=errc",
    ("Api", "XLA_FFI_Api"): "version=api_version create_error=XLA_FFI_Error_Create",
    ("Buffer", "XLA_FFI_Buffer"): "dtype data rank sizes=dims",
    ("Text", "XLA_FFI_ByteSpan"): "data=ptr size=len",
    ("Array", "XLA_FFI_Array"): "dtype size data",
    ("Buffers", "XLA_FFI_Args"): "count=size kinds=types at=args",
    ("Buffers", "XLA_FFI_Rets"): "count=size kinds=types at=rets",
    ("Attributes", "XLA_FFI_Attrs"): "count=size kinds=types names at=attrs",
    ("Call", "XLA_FFI_CallFrame"): (
        "extensions=extension_start api context=ctx stage arguments=args results=rets "
        "attributes=attrs"
    ),
    ("Metadata", "XLA_FFI_Metadata"): "struct_size version=api_version traits",
    ("MetadataExtension", "XLA_FFI_Metadata_Extension"): "base=extension_base metadata",
}
CODES = {
    "invalid_argument": "XLA_FFI_Error_Code_INVALID_ARGUMENT",
    "not_found": "XLA_FFI_Error_Code_NOT_FOUND",
    "resource_exhausted": "XLA_FFI_Error_Code_RESOURCE_EXHAUSTED",
}


def headers(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed.")
    return f"-I{Path(spec.origin).parent / 'include'}"


def errors(source: Path, *options: str) -> str:
    command = [compiler._toolchain()[0][0], "-std=c++17", "-fsyntax-only", f"-I{CPP}"]
    command += [*options, str(source)]
    return subprocess.run(command, capture_output=True, text=True).stderr


def same_field(ours: str, theirs: str, field: str) -> str:
    name, _, other = field.partition("=")
    other = other or name
    return (
        f"static_assert(offsetof(xla_c::{ours}, {name}) == offsetof({theirs}, {other})"
        f' && sizeof(xla_c::{ours}::{name}) == sizeof({theirs}::{other}), "{name}");\n'
    )


@pytest.mark.parametrize("break_it", (False, True), ids=("it is", "it can fail"))
def test_xla(tmp_path, break_it):
    text = (CPP.parent / "jax" / "xla_c.h").read_text()
    if break_it:
        text = text.replace("  int64_t rank;\n", "")
    (tmp_path / "xla_c.h").write_text(text)
    lines = ['#include "xla/ffi/api/c_api.h"\n#include "xla_c.h"\n']
    lines += [
        same_field(*structs, field)
        for structs, fields in STRUCTS.items()
        for field in fields.split()
    ]
    lines += [
        f"static_assert(int(xla_c::{ours}) == int({theirs}));\n"
        for ours, theirs in CODES.items()
    ]
    lines.append("static_assert(int(XLA_FFI_Extension_Metadata) == 1);\n")
    lines.append("static_assert(XLA_FFI_API_MAJOR == 0);\n")
    (tmp_path / "same.cpp").write_text("".join(lines))
    found = errors(tmp_path / "same.cpp", headers("jaxlib"))
    assert ("static assertion failed" in found) is break_it, found
    assert break_it or not found


def test_tensorflow(tmp_path):
    """The calls are compiled with TensorFlow's own headers."""
    for name in ("tensorflow_calls.cpp", "op_kernel.h", "node.h"):
        shutil.copy(CPP.parent / "tensorflow" / name, tmp_path)
    names = ("kernels", "ops", "tf_tensor", "tf_status")
    lines = [f'#include "tensorflow/c/{name}.h"\n' for name in names]
    (tmp_path / "tensorflow_c.h").write_text("".join(lines))
    assert not errors(tmp_path / "tensorflow_calls.cpp", headers("tensorflow"))
