"""Batch normalisation of a training step in one fused operation, where the backend has one."""

import keras

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
