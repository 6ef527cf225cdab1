"""Training: from a table and settings to a folder with a network in it."""

from keras_involution.whale_id.train.folder import CONFIG as CONFIG
from keras_involution.whale_id.train.folder import HEAD as HEAD
from keras_involution.whale_id.train.folder import MODEL as MODEL
from keras_involution.whale_id.train.train import train as train
