"""Calibrates several scorers and fuses them into one answer."""

from keras_involution.whale_id.fusion.calibration import AnswerModel as AnswerModel
from keras_involution.whale_id.fusion.calibration import (
    FusionCalibration as FusionCalibration,
)
from keras_involution.whale_id.fusion.calibration import ScoreCurve as ScoreCurve
from keras_involution.whale_id.fusion.candidates import Candidates as Candidates
from keras_involution.whale_id.fusion.matcher import Matcher as Matcher
from keras_involution.whale_id.fusion.scorers import FeatureScorer as FeatureScorer
from keras_involution.whale_id.fusion.scorers import LocalScorer as LocalScorer
from keras_involution.whale_id.fusion.scorers import Scorer as Scorer
from keras_involution.whale_id.fusion.scorers import (
    has_local_features as has_local_features,
)
from keras_involution.whale_id.fusion.scorers import local_features as local_features
from keras_involution.whale_id.fusion.scorers import (
    with_local_features as with_local_features,
)
