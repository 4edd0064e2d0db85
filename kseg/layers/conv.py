"""`Conv2D`: Keras's own layer, with a faster training step where its kernel is 1x1."""

import keras

from kseg.ops.convolution import pointwise_conv2d


@keras.saving.register_keras_serializable(package="kseg")
class Conv2D(keras.layers.Conv2D):
    """Keras's convolution; those of 1x1 train faster on TensorFlow without a GPU.

    Arguments, weights and results are those of `keras.layers.Conv2D` (gradients within rounding). In a training step
    the gradients of a 1x1 convolution are matrix products (see `kseg.ops.convolution.pointwise_conv2d`); everything
    else is Keras's code.

    Input shape:
        `(batch, height, width, channels)`; `(batch, channels, height, width)` with `data_format="channels_first"`.

    Output shape:
        As Keras's.

    Example:

    >>> Conv2D(8, 1)(np.ones((1, 9, 9, 4))).shape
    TensorShape([1, 9, 9, 8])
    """

    def convolution_op(self, inputs, kernel):
        pointwise = self.kernel_size == (1, 1) and max(self.strides) == 1 and self.groups == 1
        if pointwise and self.data_format == "channels_last":
            return pointwise_conv2d(inputs, kernel)
        return super().convolution_op(inputs, kernel)
