"""Layers: involution."""

from keras_involution.layers.involution_2d import Involution2D as Involution2D
