"""Local matching: keypoints that show the same marks in two photos."""

from keras_involution.whale_id.local.draw import draw_matches as draw_matches
from keras_involution.whale_id.local.extract import Extractor as Extractor
from keras_involution.whale_id.local.extract import SiftExtractor as SiftExtractor
from keras_involution.whale_id.local.extract import XFeatExtractor as XFeatExtractor
from keras_involution.whale_id.local.extract import build_extractor as build_extractor
from keras_involution.whale_id.local.keypoints import Keypoints as Keypoints
from keras_involution.whale_id.local.keypoints import LocalFeatures as LocalFeatures
from keras_involution.whale_id.local.matching import DistinctMatcher as DistinctMatcher
from keras_involution.whale_id.local.matching import LocalMatch as LocalMatch
from keras_involution.whale_id.local.matching import LocalMatcher as LocalMatcher
from keras_involution.whale_id.local.matching import MutualNearest as MutualNearest
from keras_involution.whale_id.local.matching import PairMatcher as PairMatcher
from keras_involution.whale_id.local.matching import (
    PhotoMatcher as PhotoMatcher,
)
from keras_involution.whale_id.local.xfeat import XFeat as XFeat
from keras_involution.whale_id.local.xfeat import pretrained_xfeat as pretrained_xfeat
