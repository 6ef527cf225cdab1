"""Measures time and memory of RedNet, its ResNet baseline and other ResNets.

Measures a step of inference (`predict_on_batch`) and of training (`train_on_batch` with
SGD): the median time, the time of the first call with compilation, the peak memory of a
warm step, and the ratios to ResNet-50. This ResNet-50 is the faster of
`keras.applications.ResNet50` on the same backend and a plain PyTorch ResNet-50 with
channels last, measured in the same run. Every network runs in its own process, several
times in turn. It takes about ten minutes per backend on 2 cores. The machine must be
idle; the load is printed.

    KERAS_BACKEND=jax python -m benchmarks.network --output benchmarks/results

To measure the effect of computing convolution, normalization, residual addition and
ReLU in one step:

    python -m benchmarks.network --networks RedNet-50 "RedNet-50, layer by layer"

To measure time and memory of kernels that are not stored:

    python -m benchmarks.network --networks RedNet-50 "RedNet-50, kernels kept"

To measure the effect of `fuse_for_inference`:

    python -m benchmarks.network --networks RedNet-50 "RedNet-50, fused" \
        --work inference
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

from benchmarks._measure import devices, report
from benchmarks._measure.networks import (
    FUSED,
    KEPT,
    NETWORKS,
    OPPONENTS,
    SEPARATE,
    in_its_own_process,
)

YARDSTICK = "best ResNet50"
STEP = "MiB of a step"
COLUMNS = (
    "network", "work", "ms", "ms an image", f"time / {YARDSTICK}", "first call, s",
    "MiB of a step", "MiB of the process", f"memory / {YARDSTICK}",
)  # fmt: skip


def measure(arguments: argparse.Namespace) -> list[report.Row]:
    """Measures all networks in turn, `rounds` times; returns medians."""
    rounds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number in range(arguments.rounds):
        for network in arguments.networks:
            for work in arguments.work:
                if work == "training" and network in FUSED:
                    continue
                settings = {**_settings(arguments), "network": network, "work": work}
                result = in_its_own_process(settings)
                rounds.setdefault((network, work), []).append(result)
                print(f"  {number + 1}: {network}, {work}: {result}", flush=True)
    return [_row(*key, results, arguments) for key, results in rounds.items()]


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("device", "side", "batch", "dtype", "data_format", "repeats")
    jit = {"auto": "auto", "true": True, "false": False}[arguments.jit]
    return {name: getattr(arguments, name) for name in names} | {"jit": jit}


def _row(
    network: str, work: str, results: list[dict], arguments: argparse.Namespace
) -> report.Row:
    middle = {name: _middle([r[name] for r in results]) for name in results[0]}
    return {
        "network": network,
        "work": work,
        "ms an image": middle["ms"] / arguments.batch,
        **middle,
    }


def _middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _compare(rows: list[report.Row]) -> None:
    for row in rows:
        opponents = [
            other
            for other in rows
            if other["network"] in OPPONENTS and other["work"] == row["work"]
        ]
        if opponents:
            best = min(other["ms"] for other in opponents)
            row[f"time / {YARDSTICK}"] = row["ms"] / best
            memory = "MiB of the process" if row[STEP] is None else STEP
            least = min(other[memory] for other in opponents)
            row[f"memory / {YARDSTICK}"] = row[memory] / least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    names = (*NETWORKS, *SEPARATE, *KEPT, *FUSED)
    parser.add_argument("--networks", nargs="*", default=NETWORKS, choices=names)
    parser.add_argument("--work", nargs="*", default=("inference", "training"))
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--data-format", default="channels_last")
    parser.add_argument("--jit", default="auto", choices=("auto", "true", "false"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, help="folder for JSON and a plot")
    arguments = parser.parse_args()
    device = devices.open_device(arguments.device)
    from keras_involution._measure import machine

    head = {**machine.describe(device), **_settings(arguments)}
    head["device"] = device.kind
    head["load"] = os.getloadavg()[0]
    report.print_head(head)
    rows = measure(arguments)
    _compare(rows)
    print(report.table(rows, COLUMNS))
    if arguments.output:
        name = f"network_{head['backend']}_{head['device']}_{arguments.dtype}"
        report.write_json(arguments.output / f"{name}.json", head, rows)
        plot = arguments.output / f"{name}.png"
        names = ("work", "network", "ms an image")
        unit = f"ms an image, batch {arguments.batch}, {arguments.side} pixels"
        foot = report.foot(head, report.command())
        report.bar_plot(plot, rows, names, unit, foot)


if __name__ == "__main__":
    main()
