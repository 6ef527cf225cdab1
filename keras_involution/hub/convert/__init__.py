"""Published checkpoints, of PyTorch and Paddle, as models of this package."""

from keras_involution.hub.convert.load import from_checkpoint as from_checkpoint
from keras_involution.hub.convert.read import CheckpointError as CheckpointError
from keras_involution.hub.convert.read import is_checkpoint as is_checkpoint
from keras_involution.hub.convert.read import read_checkpoint as read_checkpoint
