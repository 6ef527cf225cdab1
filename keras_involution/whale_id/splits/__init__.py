"""Splits photos into training and test sets, identically on every machine."""

from keras_involution.whale_id.splits.copies import (
    find_copies as find_copies,
)
from keras_involution.whale_id.splits.encounters import Encounters as Encounters
from keras_involution.whale_id.splits.encounters import (
    find_encounters as find_encounters,
)
from keras_involution.whale_id.splits.split import PROTOCOLS as PROTOCOLS
from keras_involution.whale_id.splits.split import split_table as split_table
