"""Training: from a table and settings to a folder with a network in it."""

from keras_involution.whale_id.train.train import train as train
