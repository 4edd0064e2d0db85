"""`MaxPoolingWithArgmax2D`: max pooling that remembers where each maximum stood."""

from typing import Any

import keras

from kseg.ops import pooling, switches


@keras.saving.register_keras_serializable(package="kseg")
class MaxPoolingWithArgmax2D(keras.layers.Layer):
    """Max pooling that also gives the flat index of every maximum, for `MaxUnpooling2D`.

    It compares windows instead of calling TensorFlow's one operation, so it compiles under XLA and exports to
    builtin LiteRT operations and to ONNX, with the same values and indices.

    Args:
        pool_size: size of the window, an integer or (height, width).
        strides: steps between windows, an integer or (vertical, horizontal); None takes the window.
        padding: "same" (any size of image) or "valid".
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: a window or stride below 1, or an image smaller than a "valid" window.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        A pair `(pooled, argmax)`, both `(batch, rows, columns, channels)`. `argmax` (int64, int32 under JAX)
        is `(y * width + x) * channels + channel`, as `tf.nn.max_pool_with_argmax` gives it: the batch is not
        counted, and of equal values the first in reading order is taken.

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015, section 3.1;
        "switches" of Zeiler and Fergus, 2014.

    Example:

    >>> x = np.array([[1.0, 5.0], [2.0, 3.0]]).reshape(1, 2, 2, 1)
    >>> pooled, argmax = kseg.layers.MaxPoolingWithArgmax2D(2)(x)
    >>> float(pooled[0, 0, 0, 0]), int(argmax[0, 0, 0, 0])
    (5.0, 1)
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size, self.strides = pooling.window_and_stride(pool_size, strides, padding)
        self.padding = padding

    def call(self, x):
        return pooling.max_pool_with_argmax(x, self.pool_size, self.strides, self.padding)

    def compute_output_shape(self, input_shape):
        shape = switches.pooled_shape(input_shape, self.pool_size, self.strides, self.padding)
        return shape, shape

    def compute_output_spec(self, x):
        shape, _ = self.compute_output_shape(x.shape)
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, switches.INDEX_DTYPE)

    def get_config(self) -> dict[str, Any]:
        settings = {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}
        return {**super().get_config(), **settings}
