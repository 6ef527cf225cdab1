"""Heads that are trained on the identities and discarded afterwards."""

from keras_involution.whale_id.heads.arcface import ArcFace as ArcFace
from keras_involution.whale_id.heads.centers import load_centers as load_centers
from keras_involution.whale_id.heads.centers import save_centers as save_centers
from keras_involution.whale_id.heads.margins import count_margins as count_margins
from keras_involution.whale_id.heads.softmax_head import SoftmaxHead as SoftmaxHead
