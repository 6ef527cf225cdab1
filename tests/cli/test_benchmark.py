"""`keras-involution benchmark`: each implementation has times or a reason."""

from __future__ import annotations

import re

import numpy as np
import pytest
from click.testing import CliRunner
from keras import ops

from keras_involution._measure import devices, machine
from keras_involution.cli import main
from keras_involution.ops import (
    _reference,
    available_implementations,
    involution,
)
from keras_involution.ops._implementation import select
from keras_involution.ops.involution import IMPLEMENTATIONS
from tests.marks import one_backend
from tests.ops.cases import Case

CASE = Case((6, 5), (3, 3), channels=16, groups=1)
RATES = machine.Rates(copied=1e6, multiplied=1e8)


def run(*arguments: object, status: int = 0) -> str:
    words = ["benchmark", *map(str, arguments)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == status, result.output
    return result.output


def numbers_of_rows(text: str) -> dict[str, list[float]]:
    rows = {}
    for line in text.splitlines():
        if line.startswith("│"):
            name, *_, a, b, c, d = line.replace("│", " ").split()
            rows[name] = [float(number) for number in (a, b, c, d)]
    return rows


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_each_implementation_has_times_or_a_reason(monkeypatch, data_format):
    monkeypatch.setattr(machine, "rates", lambda *arguments: RATES)
    last = data_format == "channels_last"
    case = Case((6, 5), (3, 3), channels=16, groups=1, data_format=data_format)
    x, k, _, geometry = case.tensors("float32")
    x, k = ops.convert_to_tensor(x), ops.convert_to_tensor(k)
    shape = "2,6,5,16" if last else "2,16,6,5"
    options = ("--kernel-size", 3, "--repeats", 1, "--data-format", data_format)
    text = run("--shape", shape, *options)
    rows = numbers_of_rows(text)
    for implementation in IMPLEMENTATIONS:
        reason = implementation.unsupported_reason(x, k, geometry)
        if reason is None:
            assert min(rows[implementation.name]) > 0
        else:
            assert f"{implementation.name} cannot run: {reason}" in text
            assert implementation.name not in rows
    assert set(rows) <= {*available_implementations(), "floor"}
    chosen = select(IMPLEMENTATIONS, None, x, k, geometry).name
    assert re.findall(r"(\w+) \(chosen\)", text) == [chosen]
    floors = (
        RATES.floor_ms(*machine.involution_work(geometry, x.shape, "float32", training))
        for training in (False, True)
    )
    for place, floor in zip((0, 2), floors):
        assert rows["floor"][place : place + 2] == [pytest.approx(floor, rel=5e-3), 1]
        for row in rows.values():
            assert row[place + 1] == pytest.approx(row[place] / floor, rel=2e-2)


def test_backward_computes_both_gradients():
    x, k, dy, geometry = CASE.tensors("float32")
    tensors = [ops.convert_to_tensor(array) for array in (x, k, dy)]
    device = devices.running_device()
    function = device.training(
        lambda x, k: involution(x, k, data_format=CASE.data_format)
    )
    results = [np.asarray(array) for array in function(*tensors)]
    expected = [_reference.involution(x, k, geometry)]
    expected += _reference.gradients(x, k, dy, geometry)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, wanted, atol=1e-4)


@one_backend
class TestWork:
    """Bytes and operations, against those of the published stage by hand."""

    @pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
    def test_of_the_first_stage(self, dtype, size):
        stage = Case((56, 56), (7, 7), groups=4, channels=64, batch=8)
        positions = 8 * 56 * 56
        geometry, shape = stage.geometry(), stage.input_shape()
        moved, done = machine.involution_work(geometry, shape, dtype, training=False)
        assert moved == (2 * 64 + 49 * 4) * positions * size
        assert done == 2 * 49 * positions * 64
        moved, done = machine.involution_work(geometry, shape, dtype, training=True)
        assert moved == (5 * 64 + 3 * 49 * 4) * positions * size
        assert done == 6 * 49 * positions * 64

    def test_of_strides(self):
        case = Case((8, 8), (3, 3), groups=1, channels=4, batch=1, strides=2)
        work = machine.involution_work(
            case.geometry(), case.input_shape(), "float32", training=False
        )
        assert work == (4 * (64 * 4 + 16 * 9 + 16 * 4), 2 * 9 * 16 * 4)

    def test_the_floor_is_the_larger_time(self):
        assert machine.Rates(10, 100).floor_ms(50, 400) == 5
        assert machine.Rates(10, 100).floor_ms(30, 400) == 4


@one_backend
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--shape", "8,56"), 1, r"`shape` must be three to five.*Received: shape="),
        (("--shape", "8,0,56,64"), 1, r"Received: shape=\(8, 0, 56, 64\)"),
        (("--kernel-size", 4), 1, "must be odd.*Received: kernel_size=4"),
        (("--groups", 5), 1, "divisible by `groups`. Received: channels=64, groups=5"),
        (("--strides", "1,2,3"), 1, r"Received: strides=\(1, 2, 3\)"),
        (("--dilation-rate", 0), 1, "Received: dilation_rate=0"),
        (("--shape", "8,a"), 2, "not a list of integers"),
    ],
)
def test_what_cannot_be_measured_is_said(options, status, message):
    assert re.search(message, " ".join(run(*options, status=status).split()))
