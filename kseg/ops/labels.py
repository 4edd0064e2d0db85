"""Class ids from scores."""

import math
from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError


def two_classes(values, from_logits=True, threshold=0.5):
    """The scores of one sigmoid channel as those of background and object: `(..., 1)` becomes `(..., 2)`.

    The softmax of the two logits is the sigmoid; the highest of them is class 1 where the sigmoid is above the
    threshold. Scores of several channels come back as they are.

    Args:
        values: `(..., channels)`.
        from_logits: False for probabilities.
        threshold: above which probability a pixel is class 1; another than 0.5 is for class ids alone, since the two
            values are no distribution then.
    """
    if values.shape[-1] != 1:
        return values
    if threshold != 0.5:
        rest = ops.full_like(values, math.log(threshold / (1 - threshold)) if from_logits else threshold)
    else:
        rest = ops.zeros_like(values) if from_logits else 1 - values
    return ops.concatenate([rest, values], axis=-1)


def class_ids(scores):
    """The class with the largest score, int32, over the last axis; the first one where several are equal.

    `keras.ops.argmax` takes about three times as long under TensorFlow: it tells -0.0 from 0.0.

    Args:
        scores: `(..., classes)`, logits or probabilities, two channels or more (see `two_classes`).

    Raises:
        SettingsError: one channel, whose largest score is always class 0.
    """
    if scores.shape[-1] == 1:
        raise SettingsError("One channel has no largest score: make two of it (kseg.ops.labels.two_classes)")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.argmax(scores, axis=-1, output_type=tf.int32)
    return ops.cast(ops.argmax(scores, axis=-1), "int32")


def count_ids(ids: Any, size: int) -> Any:
    """How often each of 0 to `size` - 1 occurs in a flat int32 tensor, int32 `(size,)`.

    `keras.ops.bincount` finds out its length while it runs, which neither JAX nor XLA can compile, and so a plain
    `fit` on one GPU could not either.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.framework.config import is_op_determinism_enabled  # has no public name

        # Under `enable_op_determinism` TensorFlow refuses to count on a GPU.
        with tf.device("CPU" if is_op_determinism_enabled() else None):
            return tf.raw_ops.DenseBincount(
                input=ids, size=size, weights=tf.zeros(0, tf.int32), binary_output=False
            )
    return ops.segment_sum(ops.ones_like(ids), ids, num_segments=size)
