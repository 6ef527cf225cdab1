"""Involution of a few images at a time; the kernels are computed twice."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_involution.ops._geometry import Geometry
from keras_involution.ops._implementation import Implementation


def in_pieces(
    implementation: Implementation,
    x: tf.Tensor,
    f: tf.Tensor,
    matrix: tf.Tensor,
    bias: tf.Tensor,
    geometry: Geometry,
    images: int,
) -> tf.Tensor:
    """The outputs (B, Ho, Wo, C), channels last, `images` at a time."""

    def piece(x: tf.Tensor, f: tf.Tensor, matrix: tf.Tensor, bias: tf.Tensor) -> Any:
        rows = tf.reshape(f, (-1, f.shape[-1])) @ matrix + bias
        window = (geometry.groups, *geometry.kernel_size)
        kernels = tf.reshape(rows, tf.concat([tf.shape(f)[:-1], window], 0))
        kernels.set_shape((*f.shape[:-1], *window))
        return implementation.run(x, kernels, geometry)

    def split(t: tf.Tensor) -> tf.Tensor:
        sizes = tf.concat([[-1, images], tf.shape(t)[1:]], 0)
        return tf.ensure_shape(tf.reshape(t, sizes), (None, images, *t.shape[1:]))

    def joined(t: tf.Tensor, like: Any) -> tf.Tensor:
        t = tf.reshape(t, tf.concat([[-1], tf.shape(t)[2:]], 0))
        return tf.ensure_shape(t, like)

    @tf.custom_gradient
    def run(x: tf.Tensor, f: tf.Tensor, matrix: tf.Tensor, bias: tf.Tensor) -> Any:
        xs, fs = split(x), split(f)
        y = tf.map_fn(
            lambda pair: piece(pair[0], pair[1], matrix, bias),
            (xs, fs),
            fn_output_signature=x.dtype,
            parallel_iterations=1,
        )

        def gradients(dy: tf.Tensor) -> tuple:
            dys, count = split(dy), tf.shape(xs)[0]

            def body(i: Any, dx: Any, df: Any, d_matrix: Any, d_bias: Any) -> tuple:
                own = xs[i], fs[i], matrix, bias
                with tf.GradientTape() as tape:
                    tape.watch(own)
                    y = piece(*own)
                found = tape.gradient(y, own, dys[i])
                dx, df = dx.write(i, found[0]), df.write(i, found[1])
                return i + 1, dx, df, d_matrix + found[2], d_bias + found[3]

            arrays = (tf.TensorArray(x.dtype, count), tf.TensorArray(x.dtype, count))
            start = (0, *arrays, tf.zeros_like(matrix), tf.zeros_like(bias))
            _, dx, df, *others = tf.while_loop(
                lambda i, *_: i < count, body, start, parallel_iterations=1
            )
            return joined(dx.stack(), x.shape), joined(df.stack(), f.shape), *others

        return joined(y, geometry.output_shape(tuple(x.shape))), gradients

    if x.shape[0] == 0:  # `map_fn` loses the shape of what it never computes
        return piece(x, f, matrix, bias)
    return run(x, f, matrix, bias)
