"""`AtrousConv2D`: convolution with holes that stays one convolution when exported."""

from typing import Any

import keras

from kseg import checks
from kseg.errors import SettingsError
from kseg.ops.convolution import atrous_conv2d


@keras.saving.register_keras_serializable(package="kseg")
class AtrousConv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` whose filter taps stand `rate` places apart (DeepLab's "holes").

    Weights, values and all further arguments are those of `keras.layers.Conv2D(dilation_rate=rate)`, which
    TensorFlow turns into SpaceToBatch, convolution and BatchToSpace. This layer is one `CONV_2D` in LiteRT
    and one `Conv` in ONNX, a BatchNormalization after it is folded into it even if sizes are known only at
    run time, and its gradient works on every CPU (see `kseg.ops.convolution.atrous_conv2d`).

    Args:
        filters, kernel_size: as in `Conv2D`.
        rate: distance of neighbouring taps, an integer or (vertical, horizontal), from 1 on; 1 is an ordinary
            convolution.
        padding: "same" (zeros, symmetric where the span is odd, as with Caffe's `pad = rate` for 3x3) or
            "valid".
        **kwargs: `activation`, `use_bias`, `groups`, initializers, regularizers, constraints, `name`, `dtype`
            and `trainable` of `Conv2D`. Strides are always 1.

    Raises:
        SettingsError: a rate below 1, strides, channels first, or a "valid" filter that does not fit the
            image.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height, width, filters)`; with padding "valid" smaller by `rate * (kernel_size - 1)`.

    Reference:
        Chen et al., "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution,
        and fully connected CRFs", TPAMI 2017, section 3.1.

    Example:

    >>> kseg.layers.AtrousConv2D(8, 3, rate=2)(np.ones((1, 9, 9, 4))).shape
    TensorShape([1, 9, 9, 8])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        rate: int | tuple[int, int] = 1,
        padding: str = "same",
        **kwargs: Any,
    ) -> None:
        if unknown := sorted({"strides", "dilation_rate", "data_format"} & set(kwargs)):
            raise SettingsError(
                "AtrousConv2D has `rate` instead of `dilation_rate`, strides of 1 and channels last; got "
                + ", ".join(f"{name}={kwargs[name]!r}" for name in unknown)
                + "."
            )
        checks.one_of(padding, "padding", ("same", "valid"))
        rate = checks.pair(rate, "rate")
        super().__init__(
            filters, kernel_size, padding=padding, dilation_rate=rate, data_format="channels_last", **kwargs
        )

    @property
    def rate(self) -> tuple[int, int]:
        """Distance of neighbouring taps, (vertical, horizontal)."""
        return self.dilation_rate

    def convolution_op(self, inputs, kernel):
        return atrous_conv2d(inputs, kernel, self.dilation_rate, self.padding)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "rate": self.dilation_rate}
        for fixed in ("dilation_rate", "strides", "data_format"):
            config.pop(fixed)
        return config
