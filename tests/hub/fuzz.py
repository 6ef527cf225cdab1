"""Random damage to preset folders; `benchmarks/fuzz_presets.py` runs many rounds."""

from __future__ import annotations

import json
import random
import re
import signal
from pathlib import Path

from keras_involution import RedNetBackbone, RedNetImageClassifier
from tests.hub.networks import with_drawn_weights

SECONDS = 60
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 16, 32, 2**31, 10**9, 10**30, -(10**9)),
    *(
        0.5,
        1e308,
        -0.0,
        "",
        "x",
        "linear",
        "../../etc/passwd",
        "a" * 300,
        "\u0000",
        "é",
    ),
    *([], {}, [None], [[]], [10**9] * 4, [1] * 100, {"class_name": "Lambda"}),
    {"module": "os", "class_name": "system", "config": {"command": "touch pwned"}},
]


def smallest_classifier() -> RedNetImageClassifier:
    backbone = RedNetBackbone(
        stackwise_num_filters=[32],
        stackwise_num_blocks=[1],
        stackwise_strides=[1],
        kernel_size=3,
        data_format="channels_last",
    )
    return with_drawn_weights(
        RedNetImageClassifier(backbone, 2, class_names=["a", "b"])
    )


def damaged_json(text: str, rng: random.Random) -> bytes:
    """A JSON text with a value replaced, a key removed or added, or bytes changed."""
    if rng.random() < 0.2:
        return damaged_bytes(text.encode(), rng, len(text))
    data = json.loads(text)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        _damage_value(data, rng)
    if rng.random() < 0.02:
        data = {"config": "[" * 50_000 + "]" * 50_000}
        return json.dumps(data).replace('"', "").encode()
    return json.dumps(data).encode()


def _damage_value(data, rng: random.Random) -> None:
    holders = [data]
    for holder in holders:
        values = holder.values() if isinstance(holder, dict) else holder
        holders += [
            value for value in values if isinstance(value, dict | list) and value
        ]
    holder = rng.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    key = rng.choice(list(keys) or [0])
    action = rng.random()
    if action < 0.15 and holder:
        del holder[key]
    elif action < 0.25 and isinstance(holder, dict):
        holder[rng.choice(["extra", "module", "registered_name"])] = rng.choice(VALUES)
    else:
        holder[key] = json.loads(json.dumps(rng.choice(VALUES)))


def damaged_bytes(data: bytes, rng: random.Random, header: int = 4096) -> bytes:
    """`data` with bits flipped, or bytes overwritten, removed or truncated."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        size = len(changed) if rng.random() < 0.3 else min(header, len(changed))
        at = rng.randrange(max(size, 1))
        action = rng.random()
        if action < 0.4 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif action < 0.7:
            changed[at : at + 8] = rng.choice(
                [b"\xff" * 8, bytes(8), rng.randbytes(8), at.to_bytes(8, "little")]
            )
        elif action < 0.8:
            del changed[at : at + rng.choice([1, 8, 512])]
        elif action < 0.85:
            del changed[at:]
        else:
            other = rng.randrange(max(size, 1))
            changed[at : at + 16] = changed[other : other + 16]
    return bytes(changed)


def attempt(folder: Path, cls: type) -> str:
    """Returns "loaded" or "refused"; raises any undocumented error."""
    signal.alarm(SECONDS)
    try:
        cls.from_preset(folder)
    except ValueError as error:
        if not re.search(r"Received: preset='.*'$", str(error), re.DOTALL):
            raise
        return "refused"
    finally:
        signal.alarm(0)
    return "loaded"


def rounds(saved: Path, sharded: Path, folder: Path, seeds: range) -> dict[str, int]:
    """Damages one file of a preset for each seed; counts the outcomes."""
    counts = {"loaded": 0, "refused": 0}
    RedNetBackbone.from_preset(saved)
    for seed in seeds:
        rng = random.Random(seed)
        source = rng.choice([saved, saved, sharded])
        names = sorted(path.name for path in source.iterdir())
        name = rng.choice(names)
        for path in source.iterdir():
            data = path.read_bytes()
            if path.name == name:
                is_json = name.endswith(".json")
                data = (
                    damaged_json(data.decode(), rng)
                    if is_json
                    else (damaged_bytes(data, rng))
                )
            (folder / path.name).write_bytes(data)
        cls = rng.choice([RedNetImageClassifier, RedNetImageClassifier, RedNetBackbone])
        try:
            counts[attempt(folder, cls)] += 1
        except BaseException as error:
            raise AssertionError(f"seed {seed}, {name}: {error!r}") from error
        for path in folder.iterdir():
            path.unlink()
    return counts
