"""Presets: folders that hold a model, and the Hugging Face Hub."""

from keras_involution.hub.load import from_preset as from_preset
from keras_involution.hub.save import save_to_preset as save_to_preset
