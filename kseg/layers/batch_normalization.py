"""`BatchNormalization`: Keras's own layer, with a faster training step, that refuses to normalise a single value."""

from typing import Any

import keras
from keras import ops

from kseg.ops.normalization import check_several_values, fused_batch_norm
from kseg.ops.replicas import replicas_in_sync


@keras.saving.register_keras_serializable(package="kseg")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation that trains through one fused operation on TensorFlow.

    Arguments, weights, moving statistics and results are those of `keras.layers.BatchNormalization` (within
    rounding). The fused operation serves a training step on `(batch, height, width, channels)` with both scale
    and centre; everything else (inference, synchronised statistics, masks, other backends) is Keras's code.

    In training a batch must have two values or more for each channel. A single one, which is all that the image
    level of PSPNet and DeepLabV3+ has of a batch of one image, is its own mean: the output would be `beta` whatever
    the image holds, and inference, by the moving statistics, would have little to do with what was trained.

    Input shape:
        `(batch, ..., channels)`, or channels at `axis`.

    Output shape:
        That of the input.

    Raises:
        SettingsError: in training on a single value a channel (where batch and map size are known only in the step,
            it is TensorFlow's InvalidArgumentError with the same message). A layer with `trainable=False` uses its
            stored statistics and takes any batch.

    Example:

    >>> layer = BatchNormalization()
    >>> layer(np.ones((2, 1, 1, 4)), training=True).shape
    TensorShape([2, 1, 1, 4])
    """

    fused = True  # set to False on a layer, every step is Keras's code

    def call(self, inputs, training=None, mask=None):
        if training and self.trainable:
            rank = len(inputs.shape)
            axes = [axis for axis in range(rank) if axis != self.axis % rank]
            replicas = replicas_in_sync() if self.synchronized else 1
            message = single_value_message([self.path or self.name])
            inputs = check_several_values(inputs, axes, replicas, message)
        usable = self.fused and training and self.trainable and mask is None and not self.synchronized
        usable = usable and len(inputs.shape) == 4 and self.axis in (-1, 3) and self.scale and self.center
        fused = fused_batch_norm(inputs, self.gamma, self.beta, self.epsilon) if usable else None
        if fused is None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = fused
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, moving: Any, batch: Any) -> None:
        moving.assign(moving * self.momentum + ops.cast(batch, moving.dtype) * (1 - self.momentum))


def single_value_message(layers: list[str]) -> str:
    """What to do where batch normalisation has one value a channel in training."""
    names = ", ".join(layers[:4]) + (", ..." if len(layers) > 4 else "")
    return (
        f"The batch normalisation of {names} has a single value a channel in training, from which nothing can be "
        "learned: its map is 1 x 1 and its batch one image. Give at least 2 images a batch and device (accumulated "
        "batches do not help, and the last batch of an epoch may be smaller: `drop_remainder=True`), or set the "
        "layer's `trainable` to False, so that it keeps its stored statistics."
    )
