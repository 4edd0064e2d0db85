"""Batch normalisation of a training step in one fused operation, where the backend has one."""

import math

import keras

from kseg.errors import SettingsError

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def fused_batch_norm(x, gamma, beta, epsilon):
    """Normalise a batch by its own statistics.

    Keras composes this of a dozen element-wise operations, each of which walks the whole map; TensorFlow has one
    for it and one for its gradient.

    Args:
        x: `(batch, height, width, channels)`, float32, float16 or bfloat16.
        gamma, beta: float32 `(channels,)`.
        epsilon: added to the variance.

    Returns:
        (normalised x, mean, variance): statistics over batch, height and width, float32 `(channels,)`, the
        variance biased as Keras's is. None where the backend has no such operation.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon, is_training=True)
    # The operation returns Bessel's unbiased estimate.
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), variance.dtype)
    return y, mean, variance * (tf.maximum(count - 1, 1) / count)


def check_several_values(x, axes, replicas, message):
    """`x`, and an error wherever a batch has a single value a channel to normalise over.

    Args:
        x: a batch of maps.
        axes: those that mean and variance are taken over.
        replicas: how many replicas of `tf.distribute` share the statistics; 1 for a layer that is not synchronised.
        message: of the error.

    Raises:
        SettingsError: at once where the sizes are known. TensorFlow's InvalidArgumentError, with the message, in the
            step itself where they are known only there.
    """
    sides = [x.shape[axis] for axis in axes]
    known = math.prod(side for side in sides if side is not None)
    if known * replicas > 1:
        return x
    if None not in sides:
        raise SettingsError(message)
    if keras.backend.backend() != "tensorflow":
        return x  # sizes are always known where anything is computed
    count = tf.reduce_prod(tf.gather(tf.shape(x), axes))
    with tf.control_dependencies([tf.debugging.Assert(tf.not_equal(count, 1), [message])]):
        return tf.identity(x)
