"""Involution layers and RedNet image models for Keras 3."""

from keras_involution import layers as layers
from keras_involution import ops as ops

__version__ = "0.1.0"
