"""Measures how the time of the operator grows with image size and batch size.

Images have 64 to 512 pixels per side and batches have 1 to 64 images. As in the first
stage of RedNet, the operator has a quarter of the image's side, 64 channels and 7x7
windows. Both axes of the plot are logarithmic, so linear growth is a line of slope one.
It takes about two minutes on 2 cores.

    KERAS_BACKEND=torch python -m benchmarks.scaling --output benchmarks/results
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks._measure import devices, report

CHANNELS, GROUPS, WINDOW = 64, 4, 7
SIDES, BATCHES = (64, 128, 256, 512), (1, 4, 16, 64)
COLUMNS = ("varied", "side", "batch", "work", "pixels", "ms", "ns a pixel")


def measure(
    device: devices.Device, varied: str, side: int, batch: int, repeats: int
) -> list[report.Row]:
    x = device.normal((batch, side // 4, side // 4, CHANNELS), "float32")
    shape = (batch, side // 4, side // 4, GROUPS, WINDOW, WINDOW)
    k = device.normal(shape, "float32")
    rows = []
    for work in ("forward", "training"):
        milliseconds = _time(device, work, x, k, repeats)
        pixels = batch * side**2
        rows.append(
            {
                "varied": varied,
                "side": side,
                "batch": batch,
                "work": work,
                "curve": f"{work}, {varied} varied",
                "pixels": pixels,
                "ms": milliseconds,
                "ns a pixel": 1e6 * milliseconds / pixels,
            }
        )
    return rows


def _time(device: devices.Device, work: str, x, k, repeats: int) -> float:
    import keras

    from keras_involution._measure import timing
    from keras_involution.ops import involution

    def operator(x, k):
        return involution(x, k, data_format="channels_last")

    wrap = device.forward if work == "forward" else device.training
    function = wrap(operator)
    if keras.config.backend() != "torch":
        function = device.compiled(function)
    inputs = (x, k) if work == "forward" else (x, k, x)
    return timing.median_ms(lambda: function(*inputs), device.wait, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, help="folder for JSON and a plot")
    arguments = parser.parse_args()
    device = devices.open_device(arguments.device)
    from keras_involution._measure import machine

    head = machine.describe(device)
    report.print_head(head)
    cases = [("pixels", side, 1) for side in SIDES]
    cases += [("batch", 64, batch) for batch in BATCHES]
    rows: list[report.Row] = []
    for varied, side, batch in cases:
        rows += measure(device, varied, side, batch, arguments.repeats)
    print(report.table(rows, COLUMNS))
    if arguments.output:
        name = f"scaling_{head['backend']}_{head['device']}"
        report.write_json(arguments.output / f"{name}.json", head, rows)
        plot = arguments.output / f"{name}.png"
        names, foot = ("pixels", "curve", "ms"), report.foot(head, report.command())
        report.line_plot(plot, rows, names, "ms a call", foot)


if __name__ == "__main__":
    main()
