"""From parts to the file that `Embeddings.save` would write, holding one at a time."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_involution._arguments import received
from keras_involution._files import replaced_file
from keras_involution.whale_id.embeddings import SUFFIXES, check_free
from keras_involution.whale_id.heads import load_centers
from keras_involution.whale_id.images import PhotographError
from keras_involution.whale_id.parts.folder import Job
from keras_involution.whale_id.parts.work import read_part
from keras_involution.whale_id.tables.write import csv_quoting, plain_table


@dataclass(frozen=True)
class Joined:
    """What was written.

    Attributes:
        photographs: Integer, how many.
        size: Integer, of an embedding.
        left_out: Dictionary of path -> reason.
    """

    photographs: int
    size: int
    left_out: dict[str, str]


def join_parts(job: Job, head: Path | None = None, *, force: bool = False) -> Joined:
    """Writes the output of a job from its parts, in the order of the table.

    Args:
        job: `Job` of which all parts are there.
        head: Path of the `head.npz` of the run, for the identities of the logits.
        force: Boolean, whether to replace a file that is there.

    Returns:
        `Joined`.

    Raises:
        PhotographError: If no picture could be used.
        ValueError: If a part is missing or damaged, or the head another one's.
    """
    if missing := job.missing():
        raise ValueError(f"Parts are missing. {received(missing=missing[:20])}")
    paths = [job.path(number) for number in range(job.count)]
    left_out = _left_out(job, paths)
    rows = [read_part(path, "rows") for path in paths]
    total = sum(map(len, rows))
    if not total:
        reason = next(iter(left_out.values()))
        raise PhotographError(f"No picture of the table can be used: {reason}")
    size = read_part(paths[0], "features").shape[1]
    classes = load_centers(head, size)[1] if head and job.settings["head"] else None
    write = {".npz": _to_npz, ".parquet": _to_parquet, ".csv": _to_csv}
    with replaced_file(job.out, force, SUFFIXES) as draft:
        check_free(job.table, draft.suffix.lower())
        write[draft.suffix.lower()](job.table, paths, rows, classes, draft)
    return Joined(total, size, left_out)


def _left_out(job: Job, paths: list[Path]) -> dict[str, str]:
    pictures = job.table["path"]
    return {
        str(pictures.iloc[row]): str(reason)
        for path in paths
        for row, reason in zip(read_part(path, "left_out"), read_part(path, "reasons"))
    }


def _to_npz(
    table: pd.DataFrame,
    paths: list[Path],
    rows: list[np.ndarray],
    classes: list[str] | None,
    draft: Path,
) -> None:
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        with np.load(paths[0], allow_pickle=False) as first:
            shapes = {name: first[name].shape[1:] for name in first.files}
        for name in ("features", "flipped", "logits"):
            if name in shapes:
                shape = (sum(map(len, rows)), *shapes[name])
                arrays = (read_part(path, name) for path in paths)
                parts = (array.astype("<f4").tobytes() for array in arrays)
                _write_member(file, name, shape, "<f4", parts)
        # Written twice, for its length alone at first, so that nobody holds it.
        length = sum(map(len, _csv_texts(table, rows)))
        _write_member(file, "table", (), f"|S{length}", _csv_texts(table, rows))
        if classes is not None:
            names = np.array(classes, str)
            data = [names.tobytes()]
            _write_member(file, "classes", names.shape, names.dtype.str, data)


def _write_member(
    file: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    parts: Iterable[bytes],
) -> None:
    """One array of an `.npz`, its bytes piece by piece."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for part in parts:
            member.write(part)


def _csv_texts(table: pd.DataFrame, rows: list[np.ndarray]) -> Iterator[bytes]:
    for number, chosen in enumerate(rows):
        plain = plain_table(table.iloc[chosen])
        header = number == 0
        text = plain.to_csv(index=False, header=header, quoting=csv.QUOTE_ALL)
        yield text.encode()


def _to_csv(
    table: pd.DataFrame,
    paths: list[Path],
    rows: list[np.ndarray],
    classes: list[str] | None,
    draft: Path,
) -> None:
    quoting = csv_quoting(plain_table(table.iloc[np.concatenate(rows)]))
    with open(draft, "w", encoding="utf-8", newline="") as file:
        for number, (path, chosen) in enumerate(zip(paths, rows)):
            features = read_part(path, "features")
            names = [f"feature_{i}" for i in range(features.shape[1])]
            plain = plain_table(table.iloc[chosen]).reset_index(drop=True)
            both = pd.concat([plain, pd.DataFrame(features, columns=names)], axis=1)
            both.to_csv(file, index=False, header=number == 0, quoting=quoting)


def _to_parquet(
    table: pd.DataFrame,
    paths: list[Path],
    rows: list[np.ndarray],
    classes: list[str] | None,
    draft: Path,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # From the whole table: a part may have nothing in a column that others fill.
    whole = plain_table(table.iloc[np.concatenate(rows)])
    schema = pa.Schema.from_pandas(whole, preserve_index=False)
    schema = schema.append(pa.field("features", pa.list_(pa.float32())))

    def group(number: int) -> Any:
        features = list(read_part(paths[number], "features"))
        plain = plain_table(table.iloc[rows[number]]).assign(features=features)
        return pa.Table.from_pandas(plain, schema=schema, preserve_index=False)

    with pq.ParquetWriter(draft, group(0).schema) as writer:
        for number in range(len(paths)):
            writer.write_table(group(number))
