"""Presets (model folders), and the Hugging Face Hub."""

from keras_involution.hub._source import PresetError as PresetError
from keras_involution.hub.card import CardFacts as CardFacts
from keras_involution.hub.card import Metric as Metric
from keras_involution.hub.card import model_card as model_card
from keras_involution.hub.checkpoints import CheckpointError as CheckpointError
from keras_involution.hub.checkpoints import read_checkpoint as read_checkpoint
from keras_involution.hub.describe import describe as describe
from keras_involution.hub.load import from_preset as from_preset
from keras_involution.hub.pull_folder import pull_folder as pull_folder
from keras_involution.hub.push import push_folder as push_folder
from keras_involution.hub.push import push_to_hub as push_to_hub
from keras_involution.hub.save import save_to_preset as save_to_preset
