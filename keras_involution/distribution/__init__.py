"""Training on several devices and hosts."""

from keras_involution.distribution.data import shard_dataset as shard_dataset
from keras_involution.distribution.data import shard_files as shard_files
from keras_involution.distribution.data import shard_rows as shard_rows
from keras_involution.distribution.distribute import distribute as distribute
from keras_involution.distribution.distribution import Distribution as Distribution
from keras_involution.distribution.hosts import Hosts as Hosts
from keras_involution.distribution.rules import (
    scaled_learning_rate as scaled_learning_rate,
)
from keras_involution.distribution.simulate import simulate_devices as simulate_devices
