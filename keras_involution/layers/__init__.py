"""Layers: involution over sequences, images and volumes."""

from keras_involution.layers._batch_normalization import (
    BatchNormalization as BatchNormalization,
)
from keras_involution.layers.involution_1d import Involution1D as Involution1D
from keras_involution.layers.involution_2d import Involution2D as Involution2D
from keras_involution.layers.involution_3d import Involution3D as Involution3D
from keras_involution.layers.keras_example import (
    load_keras_example as load_keras_example,
)
