"""`PyramidPooling`: PSPNet's view of a map through grids of several coarseness."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from kseg import checks
from kseg.layers.batch_normalization import BatchNormalization
from kseg.ops.pooling import MODES, grid_pool
from kseg.ops.resize import resize, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class PyramidPooling(keras.layers.Layer):
    """Adds context from whole regions to a map: pooled to grids, reduced, upsampled and concatenated.

    The bins follow the floor/ceil rule of `kseg.ops.pooling.grid_pool`, so any size of map works. With one
    image a batch, the 1 x 1 level has a single value per channel to normalise over in training, which is
    refused: train on two or more.

    Args:
        filters: channels of each reduced level; the paper has 512 for four levels on 2048 channels.
        bins: levels, each a grid of n x n bins, in the order of the concatenation: the released Caffe network
            has (6, 3, 2, 1), its PyTorch successor (1, 2, 3, 6).
        mode: "average" or "max" pooling.
        reduce: True follows each pooling with a 1x1 convolution (no bias), BatchNormalization and ReLU. False
            keeps all channels and has no weights (`filters` is then unused), the paper's "without DR".
        align_corners: whether the levels are upsampled with aligned corners, as in both releases.
        momentum, epsilon: of BatchNormalization (Keras's momentum: the share of the old average that is
            kept).
        synchronized: whether BatchNormalization averages over all replicas of a distribution strategy.
        kernel_regularizer: Keras regularizer of the convolutions' kernels, or None.
        normalize_global: whether the level of one bin, the whole map's, has BatchNormalization as the others; False
            gives its convolution a bias instead (segmentation_models.pytorch), so that it can be trained on single
            images.
        **kwargs: `name`, `dtype` and `trainable` of a Keras layer.

    Raises:
        SettingsError: no bins, bins or filters that are not whole numbers from 1 on, or an unknown mode.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height, width, channels + len(bins) * filters)`: the input first, then the levels.

    Reference:
        Zhao et al., "Pyramid scene parsing network", CVPR 2017, section 3.2.

    Example:

    >>> kseg.layers.PyramidPooling(2, bins=(1, 2))(np.ones((2, 6, 6, 4))).shape
    TensorShape([2, 6, 6, 8])
    """

    def __init__(
        self,
        filters: int,
        bins: Sequence[int] = (1, 2, 3, 6),
        mode: str = "average",
        reduce: bool = True,
        align_corners: bool = True,
        momentum: float = 0.95,
        epsilon: float = 1e-5,
        synchronized: bool = False,
        kernel_regularizer: Any = None,
        normalize_global: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.bins = checks.whole(filters, "filters"), checks.wholes(bins, "bins")
        self.mode = checks.one_of(mode, "mode", MODES)
        self.reduce = checks.flag(reduce, "reduce")
        self.align_corners = checks.flag(align_corners, "align_corners")
        self.momentum = checks.fraction(momentum, "momentum")
        self.epsilon = checks.number(epsilon, "epsilon", above=0)
        self.synchronized = checks.flag(synchronized, "synchronized")
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.normalize_global = checks.flag(normalize_global, "normalize_global")
        convolution = {
            "data_format": "channels_last",
            "kernel_initializer": "he_normal",
            "kernel_regularizer": self.kernel_regularizer,
            "dtype": self.dtype_policy,
        }
        normalization = {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
            "dtype": self.dtype_policy,
        }
        convolutions, normalizations = [], []
        for b in self.bins if self.reduce else ():
            bias = b == 1 and not self.normalize_global
            convolutions.append(
                layers.Conv2D(self.filters, 1, use_bias=bias, name=f"conv_{b}", **convolution)
            )
            normalizations.append(None if bias else BatchNormalization(name=f"bn_{b}", **normalization))
            if not bias:
                # Nothing is gained on maps of a few bins, and trainings go on bit by bit.
                normalizations[-1].fused = False
        # One after the other: files number the optimizer's variables in the order of these layers.
        self.convolutions, self.normalizations = convolutions, normalizations

    def build(self, input_shape):
        for bins, convolution, normalization in zip(
            self.bins, self.convolutions, self.normalizations, strict=False
        ):
            convolution.build((input_shape[0], bins, bins, input_shape[3]))
            if normalization is not None:
                normalization.build((input_shape[0], bins, bins, self.filters))

    def call(self, x, training=None):
        size = spatial_shape(x)
        levels = [x]
        for i, bins in enumerate(self.bins):
            y = grid_pool(x, bins, self.mode)
            if self.reduce:
                y = self.convolutions[i](y)
                if self.normalizations[i] is not None:
                    y = self.normalizations[i](y, training=training)
                y = ops.relu(y)
            levels.append(resize(y, size, "bilinear", self.align_corners))
        return ops.concatenate(levels, axis=-1)

    def compute_output_shape(self, input_shape):
        channels = input_shape[3]
        return (*input_shape[:3], channels + len(self.bins) * (self.filters if self.reduce else channels))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "bins": self.bins,
            "mode": self.mode,
            "reduce": self.reduce,
            "align_corners": self.align_corners,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "synchronized": self.synchronized,
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "normalize_global": self.normalize_global,
        }
