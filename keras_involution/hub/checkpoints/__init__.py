"""Checkpoint files of PyTorch, Paddle, safetensors and NumPy, read as plain data."""

from keras_involution.hub.checkpoints.read import CheckpointError as CheckpointError
from keras_involution.hub.checkpoints.read import is_checkpoint as is_checkpoint
from keras_involution.hub.checkpoints.read import open_checkpoint as open_checkpoint
from keras_involution.hub.checkpoints.read import read_checkpoint as read_checkpoint
