"""`AtrousSpatialPyramidPooling`: DeepLab v2's head, several fields of view at once."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from kseg import checks
from kseg.layers.atrous_conv import AtrousConv2D


@keras.saving.register_keras_serializable(package="kseg")
class AtrousSpatialPyramidPooling(keras.layers.Layer):
    """Class scores as the sum of parallel atrous convolutions of one map (ASPP).

    It has the two forms of the released networks:

    - `hidden=None`, on ResNet-101: each branch is one 3x3 convolution at its rate, straight to the scores.
    - `hidden=1024`, on VGG16: each branch is fc6 (3x3 at its rate, `hidden` filters), fc7 (1x1, `hidden` filters) and
      fc8 (1x1 to the scores), the first two with ReLU and dropout.

    All convolutions have biases; the kernels of the scores are initialised from a Gaussian of standard
    deviation 0.01, as in the release. ASPP-L has the rates (6, 12, 18, 24), ASPP-S (2, 4, 8, 12), LargeFOV
    the single rate 12. The layers of branch r are in `branches[r]`, named `fc6_<r + 1>`, `fc7_<r + 1>` and
    `fc8_<r + 1>`.

    Args:
        num_classes: channels of the scores.
        rates: atrous rates, one branch each, from 1 on.
        hidden: number of filters of fc6 and fc7, or None for the short form.
        dropout: dropout rate after fc6 and fc7, in [0, 1); unused if `hidden` is None.
        kernel_regularizer: Keras regularizer of all kernels, or None.
        **kwargs: `name`, `dtype` and `trainable` of a Keras layer.

    Raises:
        SettingsError: no rates, a rate below 1, fewer than one class or hidden filter, or dropout outside [0,
            1).

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height, width, num_classes)`, scores (logits).

    Reference:
        Chen et al., "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution,
        and fully connected CRFs", TPAMI 2017, section 3.2.

    Example:

    >>> kseg.layers.AtrousSpatialPyramidPooling(3, rates=(1, 2))(np.ones((1, 9, 9, 4))).shape
    TensorShape([1, 9, 9, 3])
    """

    def __init__(
        self,
        num_classes: int,
        rates: Sequence[int] = (6, 12, 18, 24),
        hidden: int | None = None,
        dropout: float = 0.5,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes, self.rates = checks.whole(num_classes, "num_classes"), checks.wholes(rates, "rates")
        self.hidden = None if hidden is None else checks.whole(hidden, "hidden")
        self.dropout = checks.fraction(dropout, "dropout", one=False)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        shared = {"kernel_regularizer": self.kernel_regularizer, "dtype": self.dtype_policy}
        full = {**shared, "activation": "relu", "kernel_initializer": "he_normal"}
        branches = []
        for number, rate in enumerate(self.rates, 1):
            gaussian = keras.initializers.RandomNormal(stddev=0.01)
            scores = {**shared, "kernel_initializer": gaussian, "name": f"fc8_{number}"}
            if self.hidden is None:
                branches.append([AtrousConv2D(self.num_classes, 3, rate, **scores)])
                continue
            branches.append(
                [
                    AtrousConv2D(self.hidden, 3, rate, name=f"fc6_{number}", **full),
                    layers.Dropout(self.dropout, name=f"drop6_{number}", dtype=self.dtype_policy),
                    layers.Conv2D(self.hidden, 1, data_format="channels_last", name=f"fc7_{number}", **full),
                    layers.Dropout(self.dropout, name=f"drop7_{number}", dtype=self.dtype_policy),
                    layers.Conv2D(self.num_classes, 1, data_format="channels_last", **scores),
                ]
            )
        self.branches = branches

    def build(self, input_shape):
        for branch in self.branches:
            shape = input_shape
            for layer in branch:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)

    def call(self, x, training=None):
        total = None
        for branch in self.branches:
            y = x
            for layer in branch:
                y = layer(y, training=training) if isinstance(layer, layers.Dropout) else layer(y)
            total = y if total is None else ops.add(total, y)
        return total

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "rates": self.rates,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
