"""`MaxUnpooling2D`: put pooled values back where their maxima stood."""

from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.ops import pooling, switches
from kseg.ops.resize import spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class MaxUnpooling2D(keras.layers.Layer):
    """Puts every value at the place that its index names; all other places are zero.

    The inverse of `MaxPoolingWithArgmax2D` with the same settings. It works without scatter: it compiles
    under XLA and exports to builtin LiteRT operations and to ONNX. Where windows overlap and several have
    their maximum at one place, that place gets the mean of their values, whatever the order.

    Args:
        pool_size, strides, padding: the settings of the pooling.
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: indices of another shape than the values, `like` of a size that does not fit, and in
            eager execution indices out of range or outside their window (a compiled graph leaves such values
            out).

    Input shape:
        A list `[pooled, argmax]` of two `(batch, rows, columns, channels)`, or `[pooled, argmax, like]`,
        where `like`, `(batch, height, width, any)`, has the height and width of the map that was pooled.

    Output shape:
        `(batch, height, width, channels)`. Without `like` the size is the pooled size times the stride
        ("same") or the least that holds the windows ("valid"): an odd size is restored only with `like`.

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015, section 3.1.

    Example:

    >>> x = np.array([[1.0, 5.0], [2.0, 3.0]]).reshape(1, 2, 2, 1)
    >>> pooled, argmax = kseg.layers.MaxPoolingWithArgmax2D(2)(x)
    >>> np.asarray(kseg.layers.MaxUnpooling2D(2)([pooled, argmax]))[0, :, :, 0].tolist()
    [[0.0, 5.0], [0.0, 0.0]]
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

    def call(self, inputs):
        pooled, argmax, like = _three(inputs)
        size = None if like is None else spatial_shape(like)
        return pooling.max_unpool(pooled, argmax, self.pool_size, self.strides, self.padding, size)

    def compute_output_spec(self, inputs):
        pooled, argmax, like = _three(inputs)
        size = None if like is None else like.shape[1:3]
        switches.check_unpooling(pooled, argmax, self.pool_size, self.strides, self.padding, size)
        return keras.KerasTensor(self.compute_output_shape([t.shape for t in inputs]), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        shape, _, like = _three(input_shape)
        if like is not None:
            return (shape[0], *like[1:3], shape[3])
        return switches.unpooled_shape(shape, self.pool_size, self.strides, self.padding)

    def get_config(self) -> dict[str, Any]:
        settings = {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}
        return {**super().get_config(), **settings}


def _three(inputs):
    """The values, the indices, and the third input or None."""
    if not isinstance(inputs, list | tuple) or len(inputs) not in (2, 3):
        raise SettingsError("MaxUnpooling2D takes a list [pooled, argmax] or [pooled, argmax, like].")
    return (*inputs, None) if len(inputs) == 2 else tuple(inputs)
