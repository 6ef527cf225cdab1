"""The two-dimensional involution layer."""

from __future__ import annotations

import keras

from keras_involution.layers._base import BaseInvolution


@keras.saving.register_keras_serializable(package="keras_involution")
class Involution2D(BaseInvolution):
    """Involution over images: every position generates its own kernel.

    `y[p, c] = sum over t of kernels[p, g(c), t] * x[p * strides + (t - center) *
    dilation_rate, c]`, where `kernels = span(relu(norm(reduce(pool(x)))))`, `reduce`
    and `span` are 1x1 convolutions, and a kernel is shared by the C / groups channels
    of its group. The number of channels does not change.

    Args:
        kernel_size: Odd integer or tuple of 2, the window. 7 in RedNet.
        groups: Integer, kernels per position; must divide the channels. RedNet has
            channels / 16 groups.
        strides: Integer or tuple of 2, the step between windows. Above 1 the kernels
            are generated from the mean over each step.
        dilation_rate: Integer or tuple of 2, the spacing of the taps of a window.
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
        (B, H, W, C), or (B, C, H, W) channels first. Any H and W.

    Output shape:
        (B, Ho, Wo, C), or (B, C, Ho, Wo), with Ho = ceil(H / strides).

    Returns:
        The outputs, or with `return_kernels=True` the tuple (outputs, kernels), kernels
        of shape (B, Ho, Wo, G, Kh, Kw), or (B, G, Kh, Kw, Ho, Wo) channels first.

    Raises:
        ValueError: If the window is even, a size is not a positive integer, the groups
            do not divide the channels, or the implementation is unknown.

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
