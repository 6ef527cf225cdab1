"""Operations: `involution` and what can compute it."""

from keras_involution.ops.involution import (
    available_implementations as available_implementations,
)
from keras_involution.ops.involution import involution as involution
