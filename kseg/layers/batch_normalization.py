"""`BatchNormalization`: Keras's own layer, with a faster training step."""

import keras
from keras import ops

from kseg.ops.normalization import fused_batch_norm


@keras.saving.register_keras_serializable(package="kseg")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation that trains through one fused operation on TensorFlow.

    Arguments, weights, moving statistics and results are those of `keras.layers.BatchNormalization` (within
    rounding). The fused operation serves a training step on `(batch, height, width, channels)` with both scale
    and centre; everything else (inference, synchronised statistics, masks, other backends) is Keras's code.
    """

    def call(self, inputs, training=None, mask=None):
        usable = training and self.trainable and mask is None and not self.synchronized
        usable = usable and len(inputs.shape) == 4 and self.axis in (-1, 3) and self.scale and self.center
        fused = fused_batch_norm(inputs, self.gamma, self.beta, self.epsilon) if usable else None
        if fused is None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = fused
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, moving, batch):
        moving.assign(moving * self.momentum + ops.cast(batch, moving.dtype) * (1 - self.momentum))
