"""Export to files that run without Keras and without this package."""

from keras_involution.export.export_model import export_model as export_model
from keras_involution.export.run_exported import run_exported as run_exported
