"""Sums over the replicas of a distributed training step."""

from typing import Any

import keras


def sum_over_replicas(value: Any) -> Any:
    """`value` summed over all replicas of `tf.distribute`; the value itself where there is but one.

    A mean over the pixels of a global batch needs their global number: the mean of each replica's own mean is
    another number as soon as the replicas hold different numbers of ignored pixels.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()  # None outside of strategy.run
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)


def gather_over_replicas(value: Any) -> Any:
    """`value` of all replicas of `tf.distribute`, one after the other along the first axis.

    For a loss of the whole batch that is not a sum over its parts. Its gradient is summed over the replicas.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()  # None outside of strategy.run
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_gather(value, axis=0)


def replicas_in_sync() -> int:
    """How many replicas of `tf.distribute` take part in the step that is being traced; 1 outside of one."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return 1 if replica is None else replica.num_replicas_in_sync
