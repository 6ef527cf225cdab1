"""SECURITY.md is correct: its tests exist, and its limits match the server."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from keras_involution.whale_id.cli.serve import _FIELDS, _SCALES, command
from keras_involution.whale_id.serve import Limits
from tests.marks import any_backend

pytestmark = any_backend
ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")
UNITS = {"MB": 1e6, "million": 1e6, "s": 1}


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without the header."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


THREATS = table("Threats")
LIMITS = table("Limits of the server")


@pytest.mark.parametrize("threat, defense, tests", THREATS)
def test_every_threat_has_a_test(threat, defense, tests):
    named = re.findall(r"`(tests/[\w/]+\.py)`(?: \(([^)]*)\))?", tests)
    assert named, threat
    for file, functions in named:
        text = (ROOT / file).read_text("utf-8")
        found = re.findall(r"`(\w+)`", functions) or ["test_"]
        for function in found:
            assert re.search(rf"^ *def {function}", text, re.MULTILINE), function


@pytest.mark.parametrize("limit, flag, default", LIMITS)
def test_limits_are_those_of_the_server(limit, flag, default):
    [option] = [o for o in command.params if flag.strip("`") in o.opts]
    number, unit = re.match(r"([\d,]+) ?(\w*)", default).groups()
    value = float(number.replace(",", "")) * UNITS.get(unit, 1)
    assert option.default * _SCALES.get(option.name, 1) == value
    assert getattr(Limits(), _FIELDS[option.name]) == value


def test_every_limit_is_told():
    flags = {flag.strip("`") for _, flag, _ in LIMITS}
    assert len(flags) == len(LIMITS) == len(fields(Limits)) - 2  # `batch` and `top`


def test_the_checks_can_fail():
    assert len(THREATS) > 15 and all(len(row) == 3 for row in THREATS + LIMITS)
    with pytest.raises(FileNotFoundError):
        test_every_threat_has_a_test("a", "b", "`tests/nowhere.py`")
    with pytest.raises(AssertionError):
        test_every_threat_has_a_test("a", "b", "`tests/test_security.py` (`test_x`)")
    with pytest.raises(AssertionError):
        test_limits_are_those_of_the_server("a", "`--decoders`", "3")
