"""The three-dimensional involution layer."""

from __future__ import annotations

import keras

from keras_involution.layers._base import BaseInvolution


@keras.saving.register_keras_serializable(package="keras_involution")
class Involution3D(BaseInvolution):
    """Involution over volumes and videos: every position generates its own kernel.

    `y[p, c] = sum over t of kernels[p, g(c), t] * x[p * strides + (t - center) *
    dilation_rate, c]`, where `kernels = span(relu(norm(reduce(pool(x)))))`, `reduce`
    and `span` are pointwise convolutions, and a kernel is shared by the C / groups
    channels of its group. The number of channels does not change.

    Args:
        kernel_size: Odd integer or tuple of 3, the window.
        groups: Integer, kernels per position; must divide the channels.
        strides: Integer or tuple of 3, the step between windows. Above 1 the kernels
            are generated from the mean over each step.
        dilation_rate: Integer or tuple of 3, the spacing of the taps of a window.
        reduction_ratio: Integer, how many times fewer channels `reduce` has.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's
            global setting.
        kernel_initializer: Initializer of `reduce` and `span`; `None` is Kaiming
            normal over the outputs, as published.
        bias_initializer: Initializer of the bias of `span`.
        kernel_regularizer: Regularizer of the weights of `reduce` and `span`.
        momentum: Float, momentum of the batch normalization after `reduce`.
        epsilon: Float, epsilon of the batch normalization after `reduce`.
        implementation: `None` chooses how the windows are summed; a name of
            `keras_involution.ops.available_implementations()` demands that one.
        **kwargs: `name`, `dtype` and the other arguments of a Keras layer.

    Call arguments:
        inputs: Floating-point tensor.
        training: Boolean, whether batch normalization uses the statistics of the batch.
        return_kernels: Boolean, whether to return the generated kernels too.

    Input shape:
        (B, D, H, W, C), or (B, C, D, H, W) channels first. Any D, H and W.

    Output shape:
        (B, Do, Ho, Wo, C), or (B, C, Do, Ho, Wo), with Do = ceil(D / strides).

    Returns:
        The outputs, or with `return_kernels=True` the tuple (outputs, kernels), kernels
        of shape (B, Do, Ho, Wo, G, Kd, Kh, Kw), channels first (B, G, Kd, Kh, Kw, Do,
        Ho, Wo).

    Raises:
        ValueError: If the window is even, a size is not a positive integer, the groups
            do not divide the channels, or the implementation is unknown.

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
