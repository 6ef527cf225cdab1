"""Exploratory analysis of a table before training."""

from keras_involution.whale_id.eda.page import write_eda as write_eda
