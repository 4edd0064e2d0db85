"""`Averages`: exponential moving averages of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
import numpy as np

from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


class Averages:
    """Moving averages of all floating-point variables of a model, the statistics of batch normalisation included.

    After step t (from 1 on), `average = d * average + (1 - d) * weight` with `d = min(decay, (1 + t) / (10 + t))`:
    the averages begin as the first weights and forget them soon.

    Args:
        model: a built model; create the averages under the strategy it trains under.
        decay: 0.999 looks back about 1000 steps.

    Source: TensorFlow's `tf.train.ExponentialMovingAverage` (its `num_updates`).
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = float(decay)
        self.weights = [
            v.value for v in model.variables if "float" in keras.backend.standardize_dtype(v.dtype)
        ]
        self.values = [tf.Variable(weight, trainable=False) for weight in self.weights]

    def update(self, step: tf.Tensor) -> None:
        """Take the weights after optimizer step `step` into account; outside of a replica's own code."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        extended = tf.distribute.get_strategy().extended
        for average, weight in zip(self.values, self.weights, strict=True):
            extended.update(average, _move, args=(weight, decay), group=True)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the model has the averages for weights."""
        kept = [weight.numpy() for weight in self.weights]
        for weight, average in zip(self.weights, self.values, strict=True):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            for weight, value in zip(self.weights, kept, strict=True):
                weight.assign(value)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {f"average/{number}": value.numpy() for number, value in enumerate(self.values)}

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        for number, value in enumerate(self.values):
            value.assign(arrays[f"average/{number}"])


def _move(average: tf.Variable, weight: tf.Variable, decay: tf.Tensor) -> tf.Operation:
    return average.assign(average - (1 - tf.cast(decay, average.dtype)) * (average - weight))
