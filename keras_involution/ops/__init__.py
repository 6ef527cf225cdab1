"""Operations: `involution`, `fused_involution` and their implementations."""

from keras_involution.ops.fused_involution import fused_involution as fused_involution
from keras_involution.ops.involution import (
    available_implementations as available_implementations,
)
from keras_involution.ops.involution import involution as involution
