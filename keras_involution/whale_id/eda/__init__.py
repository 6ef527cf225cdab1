"""A look at a table before anything is trained on it."""

from keras_involution.whale_id.eda.page import write_eda as write_eda
