"""Measures and estimates the efficiency of data-parallel training.

Measurement: trains RedNet-26 with the same global batch on one process and on N
processes started by torchrun, each with one core. The efficiency is the throughput of N
processes divided by N times that of one process. For comparison, N independent
processes do the same amount of work without communication. This shows the slowdown that
is caused by the host alone.

Estimate: the gradients of a step are summed over D devices. A ring all-reduce sends
2 (D - 1) / D times their bytes over the link of each device (Patarasuk and Yuan 2009).
The estimate compares this time with the compute time of a step, for RedNet-50 on 8 GPUs
and on a TPU v5e-16.

It takes about two minutes on 2 cores:

    KERAS_BACKEND=torch python -m benchmarks.distribution

`--simulate 2` measures one process with two simulated devices instead, on JAX:

    KERAS_BACKEND=jax python -m benchmarks.distribution --batch 32 --simulate 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A group of connected devices, with numbers from the data sheets.

    Attributes:
        name: Name of the group.
        devices: Number of devices.
        flops: Dense bfloat16 operations per second of one device.
        link: Bytes per second that a device sends to its neighbors in a ring.
        reached: Fraction of `flops` that is reached when training a network of this
            kind.
    """

    name: str
    devices: int
    flops: float
    link: float
    reached: float = 0.3


PLACES = (
    # H100 SXM data sheet: 989 Tflop/s; NVLink 900 GB/s, both directions together.
    Place("8 H100, NVLink", 8, 989e12, 450e9),
    # PCIe 5.0 x16: 64 GB/s in each direction.
    Place("8 H100, PCIe 5", 8, 989e12, 64e9),
    # Cloud TPU documentation: 197 Tflop/s; 1,600 Gbit/s over four links of a 2D torus.
    Place("TPU v5e-16", 16, 197e12, 1600e9 / 8 / 4),
)


def on_paper(batch: int = 128, size: int = 224) -> list[dict]:
    """Estimates a step of RedNet-50 with `batch` images per device.

    Gradients are in float32.
    """
    from keras_involution import RedNet50
    from keras_involution.models import model_cost

    cost = model_cost(RedNet50(), (size, size, 3))
    gradients = 4 * cost.parameters
    # Backward takes twice as much as forward; a multiply-add is two operations.
    operations = 3 * 2 * cost.macs * batch
    rows = []
    for place in PLACES:
        sent = 2 * (place.devices - 1) / place.devices * gradients
        compute = operations / (place.flops * place.reached)
        talk = sent / place.link
        rows.append(
            {
                "place": place.name,
                "MB sent a step": sent / 1e6,
                "ms computing": 1e3 * compute,
                "ms sending": 1e3 * talk,
                "efficiency, nothing hidden": compute / (compute + talk),
            }
        )
    return rows


def train(batch: int, size: int, steps: int, simulate: int) -> None:
    """Runs in every process; the first writes the seconds per step to a file."""
    import keras
    import numpy as np

    from keras_involution import RedNet26
    from keras_involution.distribution import distribute, simulate_devices

    if simulate:
        simulate_devices(simulate)
    random = np.random.default_rng(0)
    with distribute("auto", verbose=False) as devices:
        model = RedNet26(num_classes=10, image_shape=(size, size, 3))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.01), loss)
        own = batch // devices.hosts.world_size
        x = random.normal(size=(own, size, size, 3)).astype("float32")
        y = random.integers(0, 10, own)
        seconds = []
        for _ in range(steps + 2):
            devices.barrier()
            start = time.perf_counter()
            model.train_on_batch(x, y)
            seconds.append(time.perf_counter() - start)
    if devices.is_main_process:
        Path(os.environ["SECONDS"]).write_text(str(statistics.median(seconds[2:])))


def measured(
    processes: int,
    batch: int,
    size: int,
    steps: int,
    *,
    strangers: bool = False,
    simulate: int = 0,
) -> float:
    """Returns images per second of `processes` processes with one core each.

    With `strangers`, the processes are independent. With `simulate`, each process has
    as many devices and cores.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seconds"
        command = [sys.executable, "-m", "benchmarks.distribution", "--train"]
        own = batch // processes if strangers else batch
        command += [f"--batch={own}", f"--size={size}", f"--steps={steps}"]
        command += [f"--simulate={simulate}"]
        environment = {"SECONDS": str(path), "OMP_NUM_THREADS": "1"}
        environment["NPROC"] = str(simulate or 1)
        if strangers:
            environment["KERAS_DISTRIBUTION_NUM_PROCESSES"] = "1"
            environment["KERAS_DISTRIBUTION_PROCESS_ID"] = "0"
            environment["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = ""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        torchrun += [f"--nproc-per-node={processes}", "--no-python"]
        subprocess.run(
            [*torchrun, *command], env={**os.environ, **environment}, check=True
        )
        return batch / float(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--simulate", type=int, default=0)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    settings = (given.batch, given.size, given.steps)
    if given.train:
        train(*settings, given.simulate)
        return
    if given.simulate:
        print(measured(1, *settings, simulate=given.simulate), "images/s")
        return
    one = measured(1, *settings)
    several = measured(given.processes, *settings)
    strangers = measured(given.processes, *settings, strangers=True)
    found = {
        "processes": given.processes,
        "images a second, one": one,
        "images a second, all": several,
        "images a second, strangers": strangers,
        "efficiency": several / one / given.processes,
        "efficiency, strangers": strangers / one / given.processes,
        "on paper": on_paper(),
    }
    print(json.dumps(found, indent=2))
    if given.output:
        given.output.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
