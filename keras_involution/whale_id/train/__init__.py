"""Trains a network from a table and settings, and writes it to a folder."""

from keras_involution.whale_id.train.train import train as train
