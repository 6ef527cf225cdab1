"""The three-dimensional involution layer."""

from __future__ import annotations

import keras

from keras_involution.layers._base import BaseInvolution


@keras.saving.register_keras_serializable(package="keras_involution")
class Involution3D(BaseInvolution):
    """Involution over volumes and videos: every position generates its own kernel.

    `y[p, c] = sum over t of kernels[p, g(c), t] * x[p * strides + (t - center) *
    dilation_rate, c]`, where `kernels = span(relu(norm(reduce(pool(x)))))`, `reduce`
    and `span` are pointwise convolutions. The C / groups channels of a group share a
    kernel. The number of channels does not change.

    Args:
        kernel_size: Odd integer or tuple of 3, the size of the window.
        groups: Integer, kernels per position; must divide the number of channels.
        strides: Integer or tuple of 3, the step between windows. If it is above 1,
            the kernels are generated from the mean over each step.
        dilation_rate: Integer or tuple of 3, the spacing of the taps of a window.
        reduction_ratio: Integer; `reduce` outputs channels / reduction_ratio channels.
        data_format: `"channels_last"` or `"channels_first"`; `None` uses Keras's
            global setting.
        kernel_initializer: Initializer of `reduce` and `span`; `None` uses Kaiming
            normal over the outputs, as published.
        bias_initializer: Initializer of the bias of `span`.
        kernel_regularizer: Regularizer of the weights of `reduce` and `span`.
        momentum: Float, momentum of the batch normalization after `reduce`.
        epsilon: Float, epsilon of the batch normalization after `reduce`.
        implementation: `None` chooses the implementation; a name from
            `keras_involution.ops.available_implementations()` requires that one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Floating-point tensor.
        training: Boolean, whether batch normalization uses the statistics of the batch.
        return_kernels: Boolean, whether to also return the generated kernels.

    Input shape:
        (B, D, H, W, C), or (B, C, D, H, W) channels first. Any D, H and W.

    Output shape:
        (B, Do, Ho, Wo, C), or (B, C, Do, Ho, Wo), with Do = ceil(D / strides).

    Returns:
        The outputs, or with `return_kernels=True` the tuple (outputs, kernels) with
        kernels of shape (B, Do, Ho, Wo, G, Kd, Kh, Kw), or
        (B, G, Kd, Kh, Kw, Do, Ho, Wo) channels first.

    Raises:
        ValueError: If `kernel_size` is even, a size is not a positive integer, `groups`
            does not divide the number of channels, or `implementation` is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_involution.layers import Involution3D
    >>> layer = Involution3D(kernel_size=3, groups=2, data_format="channels_last")
    >>> outputs = layer(np.ones((1, 4, 6, 6, 8), "float32"))
    >>> tuple(outputs.shape)
    (1, 4, 6, 6, 8)

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    rank = 3
