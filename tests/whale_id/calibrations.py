"""Calibrations with fixed coefficients, not fitted to data."""

from __future__ import annotations

from collections.abc import Sequence

from keras_involution.whale_id.fusion import FusionCalibration, ScoreCurve
from keras_involution.whale_id.fusion.calibration import AnswerModel
from keras_involution.whale_id.fusion.pairs import RELATIVE

KEYPOINTS = ("features", "local, distinct")


def calibration_by_hand(
    new: float | None = 0.0, scorers: Sequence[str] = ("features",)
) -> FusionCalibration:
    """Half of the very similar pairs are right; `new` shifts the odds of "new".

    With `None`, the calibration has seen no new animals.
    """
    outcomes, odds = ["first", "later", "new"], [0.0, 0.0, new or 0.0]
    if new is None:
        outcomes, odds = outcomes[:2], odds[:2]
    nothing = [[0.0, 0.0]] * len(outcomes)
    answers = AnswerModel(outcomes, odds, nothing, 0.5, "by hand")
    curve = ScoreCurve([-1.0, 1.0], [0.0, 0.5], "by hand")
    curves = {f"{name}{kind}": curve for name in scorers for kind in ("", RELATIVE)}
    return FusionCalibration(curves, answers, "by hand")
