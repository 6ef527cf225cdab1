"""Which photographs train and which test, the same on every machine."""

from keras_involution.whale_id.splits.split import PROTOCOLS as PROTOCOLS
from keras_involution.whale_id.splits.split import split_table as split_table
