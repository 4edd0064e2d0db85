"""What the heads of DeepLab v3, v3+ and the dilated FCN are put together from."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from kseg import checks
from kseg.layers import AtrousConv2D, BatchNormalization, ResizeLike


@dataclass(frozen=True)
class HeadBlocks:
    """Draws convolutions, each with batch normalisation and ReLU, and the atrous spatial pyramid.

    Args:
        epsilon, momentum, synchronized: of BatchNormalization.
        normalize_depthwise: normalisation and ReLU also between the depthwise and the pointwise part of a separable
            convolution.
        free_name: from a layer's name to one that the backbone has not (`Backbone.free_name`).
    """

    epsilon: float
    momentum: float
    synchronized: bool
    normalize_depthwise: bool = True
    free_name: Callable[[str], str] = str

    def __post_init__(self) -> None:
        checks.number(self.epsilon, "epsilon", above=0)
        checks.fraction(self.momentum, "momentum")
        checks.flag(self.synchronized, "synchronized")
        checks.flag(self.normalize_depthwise, "normalize_depthwise")

    def convolution(self, x, filters, name, kernel=1, rate=1):
        """Convolution `<name>_conv`, normalisation `<name>_bn`, ReLU `<name>_relu`."""
        settings = {
            "use_bias": False,
            "kernel_initializer": "he_normal",
            "name": self.free_name(f"{name}_conv"),
        }
        if rate > 1:
            x = AtrousConv2D(filters, kernel, rate, **settings)(x)
        else:
            x = layers.Conv2D(filters, kernel, padding="same", **settings)(x)
        return self._activated(x, name)

    def separable(self, x, filters, name, rate=1):
        """Depthwise 3x3 convolution `<name>_dwconv` at a rate, and a pointwise `convolution`."""
        x = layers.DepthwiseConv2D(
            3,
            padding="same",
            dilation_rate=rate,
            use_bias=False,
            depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            name=self.free_name(f"{name}_dwconv"),
        )(x)
        if self.normalize_depthwise:
            x = self._activated(x, f"{name}_dwconv")
        return self.convolution(x, filters, name)

    def pyramid(self, x, filters, rates, *, separable, projection, image_level=True):
        """Atrous spatial pyramid pooling, projected to `filters`.

        Args:
            x: the map.
            filters: of each branch and of the projection.
            rates: of the 3x3 branches, beside a 1x1 convolution and the image level.
            separable: whether these are separable convolutions.
            projection: kernel of the projection.
            image_level: whether there is a branch of the map's average.
        """
        branches = [self.convolution(x, filters, "aspp_1x1")]
        for rate in rates:
            if separable:
                branches.append(self.separable(x, filters, f"aspp_{rate}", rate))
            else:
                branches.append(self.convolution(x, filters, f"aspp_{rate}", 3, rate))
        if image_level:
            pooled = layers.GlobalAveragePooling2D(keepdims=True, name=self.free_name("image_pool"))(x)
            pooled = self.convolution(pooled, filters, "image_level")
            # One value spread over the map; a resize from 1x1 is what the release does, and a LiteRT builtin.
            branches.append(ResizeLike(name=self.free_name("image_level_enlarged"))([pooled, x]))
        x = layers.Concatenate(name=self.free_name("aspp"))(branches)
        return self.convolution(x, filters, "projection", projection)

    def _activated(self, x, name):
        statistics = {"momentum": self.momentum, "synchronized": self.synchronized}
        x = BatchNormalization(epsilon=self.epsilon, name=self.free_name(f"{name}_bn"), **statistics)(x)
        return layers.ReLU(name=self.free_name(f"{name}_relu"))(x)
