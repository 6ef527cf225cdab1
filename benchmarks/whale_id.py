"""Whale identification on a CPU: involution against convolution, and floors.

Every arm trains the same recipe from scratch on the table that is named: once without
the validation photographs, where the threshold of new animals is chosen, and once for
each seed with all that is for training, which is tested once. The table needs the
columns `split` (train, test...) and `val_split` inside of train. An arm has at most
`--minutes` of wall time a training; the networks of `twin, parameters` and `twin, time`
are matched to the involution's before anything is trained. About

    arms * (seeds + 1) * minutes

on 2 cores at most, for which the threads of PyTorch are best left to it alone:

    KERAS_BACKEND=torch python -m benchmarks.whale_id metadata.csv --images FOLDER
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._measure import report
from benchmarks._measure.retrieval_floors import FLOORS

ARMS = ("involution", "twin", "twin, parameters", "twin, time")
RECIPE: dict[str, Any] = {
    "image_size": 64,
    "backbone": "rednet",
    "stackwise_num_filters": [32, 64, 96, 128],
    "stackwise_num_blocks": [1, 1, 1, 1],
    "stackwise_strides": [1, 2, 2, 2],
    "cells": 3,
    "epochs": 30,
    "batch_size": 16,
    "weight_decay": 0.05,
    "scale": 21.0,
    "threads": 1,
}
FIGURES = (
    ("top-1", "known animals", "top-1"),
    ("top-5", "known animals", "top-5"),
    ("MAP@5", "known animals", "MAP@5"),
    (">= 10 frames", None, ">= 10: top-1"),
    ("AUROC", "open", "AUROC of new"),
    ("open MAP@5", "open", "MAP@5"),
    ("of known", "open", "MAP@5 of known"),
    ("of new", "open", "MAP@5 of new"),
    ("BAKS", "open", "BAKS"),
    ("BAUS", "open", "BAUS"),
)
COLUMNS = (
    "arm", "seed", "parameters", "epochs", "wall s", "CPU s", *(f[0] for f in FIGURES)
)  # fmt: skip


def measure_arm(
    arm: str, table: pd.DataFrame, arguments: argparse.Namespace, matched: dict
) -> list[report.Row]:
    """The rows of an arm, one a seed."""
    settings = {**RECIPE, **arguments.settings, **matched, "minutes": arguments.minutes}
    validation = _for_validation(table)
    threshold = None
    if arguments.threshold:
        seed = {"seed": arguments.seeds[0]}
        features, _ = _trained(validation, {**settings, **seed}, table)
        threshold = _threshold(features, validation)
    rows = []
    for seed in arguments.seeds:
        features, costs = _trained(table, {**settings, "seed": seed}, table)
        row = {"arm": arm, "seed": seed, **costs}
        rows.append(row | _figures(features, table, threshold))
        print(
            row | {f[0]: round(rows[-1].get(f[0], 0), 3) for f in FIGURES}, flush=True
        )
    return rows


def _for_validation(table: pd.DataFrame) -> pd.DataFrame:
    """The training part with its own split: `train`, and `val` for the queries."""
    part = table[table["split"] == "train"].copy()
    part["split"] = np.where(part["val_split"] == "train", "train", "val")
    return part.reset_index(drop=True)


def _trained(
    train_table: pd.DataFrame, settings: dict[str, Any], table: pd.DataFrame
) -> tuple[Any, dict[str, Any]]:
    """The embeddings of the whole table, and what the training has cost."""
    from keras_involution.whale_id.config import TrainConfig
    from keras_involution.whale_id.embed import embed
    from keras_involution.whale_id.train import train

    last: dict[str, Any] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        network = train(
            train_table, TrainConfig(**settings), Path(folder) / "run",
            on_progress=lambda progress, total, epoch: last.update(
                epochs=round(progress.step / epoch, 1), history=progress.history[-1:]
            ),
        )  # fmt: skip
    costs = {
        "parameters": network.count_params(),
        "epochs": last["epochs"],
        "wall s": time.perf_counter() - wall,
        "CPU s": time.process_time() - cpu,
    }
    print("  ", settings.get("seed"), last["history"], flush=True)
    return embed(network, table)[0], costs


def _threshold(embeddings: Any, validation: pd.DataFrame) -> Any:
    from keras_involution.whale_id import choose_threshold, identify, open_truths

    split = validation.set_index("image_id")["split"]
    where = embeddings.table["image_id"].map(split)
    database, queries = (
        embeddings.rows(where == "train"),
        embeddings.rows(where == "val"),
    )
    known = set(database.table["identity"])
    truths = open_truths(queries.table["identity"].to_list(), known)
    return choose_threshold(identify(queries, database, top=10), truths)


def _figures(embeddings: Any, table: pd.DataFrame, threshold: Any) -> report.Row:
    from keras_involution.whale_id import evaluate, identify

    database = embeddings.rows(embeddings.table["split"] == "train")
    queries = embeddings.rows(embeddings.table["split"].str.startswith("test"))
    ranking = identify(queries, database, top=10)
    result = evaluate(ranking, queries.table, database.table, threshold=threshold).rows
    found = {}
    for name, group, row in FIGURES:
        chosen = result[result["name"] == row]
        chosen = chosen if group is None else chosen[chosen["group"] == group]
        if len(chosen):
            found[name] = float(chosen["value"].iloc[0])
    return found


def matched_settings(arm: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What an arm changes in the recipe."""
    if arm == "involution":
        return {}
    twin = {"spatial_operator": "convolution"}
    if arm == "twin, parameters":
        return {**twin, "stackwise_num_filters": _narrowed(twin, arguments)}
    if arm == "twin, time":
        ratio = _step_seconds({}, arguments) / _step_seconds(twin, arguments)
        epochs = {**RECIPE, **arguments.settings}["epochs"]
        return {**twin, "epochs": max(1, round(ratio * epochs))}
    return twin


def _narrowed(twin: dict[str, Any], arguments: argparse.Namespace) -> list[int]:
    """The filters with which the twin comes nearest to the involution's parameters."""
    goal = _network({}, arguments).count_params()
    filters = {**RECIPE, **arguments.settings}["stackwise_num_filters"]
    candidates = [
        [max(2, 2 * round(f * s / 20)) for f in filters] for s in range(3, 11)
    ]

    def distance(narrow: list[int]) -> int:
        settings = {**twin, "stackwise_num_filters": narrow}
        return abs(_network(settings, arguments).count_params() - goal)

    return min(candidates, key=distance)


def _network(changes: dict[str, Any], arguments: argparse.Namespace) -> Any:
    from keras_involution.whale_id.assemble import build_network
    from keras_involution.whale_id.config import TrainConfig

    return build_network(TrainConfig(**{**RECIPE, **arguments.settings, **changes}))


def _step_seconds(changes: dict[str, Any], arguments: argparse.Namespace) -> float:
    """CPU time of a step, the least of several: other work adds to the others."""
    from keras_involution.whale_id.assemble import Classes, build_training_model
    from keras_involution.whale_id.config import TrainConfig

    config = TrainConfig(**{**RECIPE, **arguments.settings, **changes})
    classes = Classes([str(i) for i in range(100)], [2] * 100, [], [])
    model = build_training_model(_network(changes, arguments), classes, config, 10)
    side, batch = config.image_size, config.batch_size
    targets = {"identity": np.arange(batch, dtype="int32")}
    images = np.zeros((batch, side, side, 3), "uint8")
    times = []
    for _ in range(6):
        begun = time.process_time()
        model.train_on_batch({"images": images, **targets}, targets)
        times.append(time.process_time() - begun)
    return min(times)


def floors(table: pd.DataFrame, arguments: argparse.Namespace) -> list[report.Row]:
    """What needs no training: the same figures of fixed features."""
    from keras_involution.whale_id import Embeddings

    validation, rows = _for_validation(table), []
    for name, features in FLOORS.items():
        embeddings = Embeddings(features(table), table)
        threshold = _threshold(embeddings, validation)
        rows.append({"arm": name} | _figures(embeddings, table, threshold))
    return rows


def _mean_rows(rows: list[report.Row]) -> list[report.Row]:
    """Mean and standard deviation over the seeds of an arm."""
    found = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        part = pd.DataFrame([row for row in rows if row["arm"] == arm])
        numbers = part.drop(columns=["arm", "seed"])
        found.append({"arm": arm, "seed": "mean", **numbers.mean().to_dict()})
        if len(part) > 1:
            found.append({"arm": arm, "seed": "sd", **numbers.std().to_dict()})
    return found


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    name, _, value = text.partition("=")
    return name, yaml.safe_load(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=Path, help="folder that the paths start from")
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--minutes", type=float, default=15.0, help="of one training")
    parser.add_argument(
        "--set", nargs="*", type=_setting, default=(), metavar="NAME=VALUE",
        help="settings of the recipe, as of `whale-id train`",
    )  # fmt: skip
    parser.add_argument(
        "--no-threshold", dest="threshold", action="store_false",
        help="leaves out the training on the validation split",
    )  # fmt: skip
    parser.add_argument(
        "--validate", action="store_true", help="nothing but validation"
    )
    parser.add_argument("--output", type=Path, help="a folder for JSON")
    arguments = parser.parse_args()
    arguments.settings = dict(arguments.set)
    from benchmarks._measure import devices, machine
    from keras_involution.whale_id import read_table

    head = {**machine.describe(devices.open_device("cpu")), **RECIPE}
    head.update(arguments.settings, minutes=arguments.minutes)
    report.print_head(head)
    table = read_table(arguments.table, arguments.images, boxes=False)
    if arguments.validate:
        settings = {**RECIPE, **arguments.settings, "minutes": arguments.minutes}
        settings.update(seed=arguments.seeds[0])
        part = _for_validation(table)
        _trained(part, settings, part)
        return
    rows = floors(table, arguments)
    print(report.table(rows, [c for c in COLUMNS if c not in COLUMNS[1:6]]), flush=True)
    measured: list[report.Row] = []
    for arm in arguments.arms:
        measured += measure_arm(arm, table, arguments, matched_settings(arm, arguments))
    print(report.table(measured + _mean_rows(measured), COLUMNS))
    if arguments.output:
        name = f"whale_id_{head['backend']}.json"
        report.write_json(arguments.output / name, head, rows + measured)


if __name__ == "__main__":
    main()
