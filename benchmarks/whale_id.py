"""Compares involution with convolution for whale identification on a CPU.

Every arm is a network that is trained from scratch with the same recipe. It is trained
once without the validation photos, to choose the weight of the head's logits and to fit
the answer "new animal". Then it is trained for each seed on all training photos, and
tested once. The table needs the columns `split` (train, test...) and `val_split`, a
split of the training photos. A training run takes at most `--minutes` of wall time. The
networks of `baseline, parameters` and `baseline, time` are matched to the involution
network before training. The floors are features that need no training. The benchmark
takes at most about

    arms * (seeds + 1) * minutes

PyTorch with one thread leaves a core for reading images:

    OMP_NUM_THREADS=1 KERAS_BACKEND=torch python -m benchmarks.whale_id metadata.csv \
        --images FOLDER --work RUNS --output benchmarks/results

Finished training runs in RUNS are not repeated, and interrupted ones are resumed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks._measure import report
from benchmarks._measure.retrieval_floors import FLOORS, frozen
from benchmarks._measure.whale_arms import ARMS, RECIPE, Settings, arm_settings
from benchmarks._measure.whale_metrics import (
    METRICS,
    chosen_head_weight,
    chosen_partner,
    fitted_answers,
    mean_rows,
    metrics_of,
)
from benchmarks._measure.whale_runs import for_validation, trained

NAMES = tuple(name for name, _, _ in METRICS)
COLUMNS = (
    "arm",
    "seed",
    "parameters",
    "epochs",
    "wall s",
    "CPU s",
    "head weight",
    *NAMES,
)


def measure_arms(
    table: pd.DataFrame,
    recipe: Settings,
    arguments: argparse.Namespace,
    fixed: dict[str, Any],
) -> Iterator[report.Row]:
    """Yields the rows of each arm for each seed, and for all seeds together.

    A second row shows the network together with a partner: the features without
    training that ranked the validation photos best in combination with it.
    """
    validation = for_validation(table)
    partners: dict[str, str] = {}
    settings = {arm: arm_settings(arm, recipe) for arm in arguments.arms}
    head_weights: dict[str, float] = dict.fromkeys(arguments.arms, 0.0)
    answers: dict[str, Any] = dict.fromkeys(arguments.arms)
    models: dict[str, list[Any]] = {arm: [] for arm in arguments.arms}
    for seed in arguments.seeds:
        for arm, given in settings.items():
            seeded = {**given, "seed": seed}
            if arguments.validation and not models[arm]:
                folder = arguments.work / f"{arm}, validation"
                features, _ = trained(folder, seeded, validation, table)
                head_weights[arm] = chosen_head_weight(features, validation)
                answers[arm] = fitted_answers(features, validation, head_weights[arm])
                partners[arm] = chosen_partner(features, validation, fixed)
            folder = arguments.work / f"{arm}, {seed}"
            whole = {**seeded, "held_out": ""}
            features, costs = trained(folder, whole, table, table)
            models[arm].append(features)
            found = metrics_of([features], table, answers[arm], head_weights[arm])
            row = {
                "arm": arm,
                "seed": seed,
                **costs,
                "head weight": head_weights[arm],
                **found,
            }
            yield row
            if arm in partners:
                both = metrics_of([features, fixed[partners[arm]]], table)
                yield {"arm": f"{arm} and {partners[arm]}", "seed": seed, **both}
    for arm, several in models.items():
        if len(several) > 1:
            found = metrics_of(several, table, None, head_weights[arm])
            yield {
                "arm": f"{arm}, seeds together",
                "head weight": head_weights[arm],
                **found,
            }
        if len(several) > 1 and arm in partners:
            found = metrics_of([*several, fixed[partners[arm]]], table)
            yield {"arm": f"{arm}, seeds together and {partners[arm]}", **found}


def fixed_features(
    table: pd.DataFrame, arguments: argparse.Namespace, side: int
) -> dict[str, Any]:
    """Computes features without training, centered on the training photos."""
    from keras_involution.whale_id import Embeddings

    train = (table["split"] == "train").to_numpy()
    found = {name: features(table) for name, features in FLOORS.items()}
    if arguments.frozen:
        found |= dict(frozen(table, arguments.frozen, 26, side, arguments.seeds))
    return {
        name: Embeddings(features - features[train].mean(0), table)
        for name, features in found.items()
    }


def floors(table: pd.DataFrame, fixed: dict[str, Any]) -> list[report.Row]:
    """Computes the metrics of the features without training."""
    validation, rows = for_validation(table), []
    for name, embeddings in fixed.items():
        answers = fitted_answers(embeddings, validation)
        rows.append({"arm": name} | metrics_of([embeddings], table, answers))
    return rows


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    name, _, value = text.partition("=")
    return name, yaml.safe_load(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=Path, help="folder of relative image paths")
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="limit of a training run"
    )
    parser.add_argument(
        "--set", nargs="*", type=_setting, default=(), metavar="NAME=VALUE",
        help="settings of the recipe, as for `whale-id train`",
    )  # fmt: skip
    parser.add_argument(
        "--no-validation", dest="validation", action="store_false",
        help="skip the training runs without the validation photos",
    )  # fmt: skip
    parser.add_argument(
        "--frozen", metavar="PRESET",
        help="also use frozen features of this preset and of random networks as floors",
    )  # fmt: skip
    parser.add_argument("--work", type=Path, help="folder that keeps training runs")
    parser.add_argument("--output", type=Path, help="folder for the JSON file")
    return parser.parse_args()


def main() -> None:
    from benchmarks._measure import devices
    from keras_involution._measure import machine
    from keras_involution.whale_id import read_table

    arguments = _arguments()
    recipe = {**RECIPE, **dict(arguments.set), "minutes": arguments.minutes}
    head = {**machine.describe(devices.open_device("cpu")), **recipe}
    report.print_head(head)
    table = read_table(arguments.table, arguments.images, boxes=False)
    fixed = fixed_features(table, arguments, recipe["image_size"])
    rows = floors(table, fixed)
    print(report.table(rows, ("arm", *NAMES)), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        arguments.work = arguments.work or Path(temporary)
        measured: list[report.Row] = []
        for row in measure_arms(table, recipe, arguments, fixed):
            measured.append(row)
            print(report.table([row], COLUMNS), flush=True)
            if arguments.output:
                name = f"whale_id_{head['backend']}.json"
                report.write_json(arguments.output / name, head, rows + measured)
    seeds = [row for row in measured if "seed" in row]
    together = [row for row in measured if "seed" not in row]
    print(report.table(seeds + mean_rows(seeds) + together, COLUMNS))


if __name__ == "__main__":
    main()
