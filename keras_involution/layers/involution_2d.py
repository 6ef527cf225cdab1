"""The two-dimensional involution layer."""

from __future__ import annotations

import keras

from keras_involution.layers._base import BaseInvolution


@keras.saving.register_keras_serializable(package="keras_involution")
class Involution2D(BaseInvolution):
    """Involution over images: every position generates its own kernel.

    `y[p, c] = sum over t of kernels[p, g(c), t] * x[p * strides + (t - center) *
    dilation_rate, c]`, where `kernels = span(relu(norm(reduce(pool(x)))))`, `reduce`
    and `span` are 1x1 convolutions. The C / groups channels of a group share a kernel.
    The number of channels does not change.

    Args:
        kernel_size: Odd integer or tuple of 2, the size of the window. RedNet uses 7.
        groups: Integer, kernels per position; must divide the number of channels.
            RedNet uses channels / 16 groups.
        strides: Integer or tuple of 2, the step between windows. If it is above 1,
            the kernels are generated from the mean over each step.
        dilation_rate: Integer or tuple of 2, the spacing of the taps of a window.
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
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, Ho, Wo, C), or (B, C, Ho, Wo), with Ho = ceil(H / strides).

    Returns:
        The outputs, or with `return_kernels=True` the tuple (outputs, kernels) with
        kernels of shape (B, Ho, Wo, G, Kh, Kw), or (B, G, Kh, Kw, Ho, Wo) channels
        first.

    Raises:
        ValueError: If `kernel_size` is even, a size is not a positive integer, `groups`
            does not divide the number of channels, or `implementation` is unknown.

    Example:

    >>> import numpy as np
    >>> from keras_involution.layers import Involution2D
    >>> layer = Involution2D(kernel_size=7, groups=2, data_format="channels_last")
    >>> outputs, kernels = layer(np.ones((1, 8, 8, 32), "float32"), return_kernels=True)
    >>> tuple(outputs.shape), tuple(kernels.shape)
    ((1, 8, 8, 32), (1, 8, 8, 2, 7, 7))

    Reference:
        Li et al., "Involution: Inverting the Inherence of Convolution for Visual
        Recognition", CVPR 2021, https://arxiv.org/abs/2103.06255
    """

    rank = 2
