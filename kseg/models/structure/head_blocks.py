"""What the heads of DeepLab v3, v3+ and the dilated FCN are put together from."""

from collections.abc import Callable
from dataclasses import dataclass

from keras import layers

from kseg import checks
from kseg.backbones.blocks.inverted_residual import fan_out_initializer
from kseg.errors import SettingsError
from kseg.layers import AtrousConv2D, BatchNormalization, Conv2D, DepthwiseConv2D, ResizeLike


@dataclass(frozen=True)
class HeadBlocks:
    """Draws convolutions, each with batch normalisation and ReLU, and the atrous spatial pyramid.

    Args:
        epsilon, momentum, synchronized: of BatchNormalization.
        normalize_depthwise: normalisation and ReLU also between the depthwise and the pointwise part of a separable
            convolution.
        free_name: from a layer's name to one that the backbone has not (`Backbone.free_name`).
        separable: whether 3x3 convolutions are separable.

    Raises:
        SettingsError: an argument out of its range, or `normalize_depthwise=False` of full convolutions.
    """

    epsilon: float
    momentum: float
    synchronized: bool
    normalize_depthwise: bool = True
    free_name: Callable[[str], str] = str
    separable: bool = False

    def __post_init__(self) -> None:
        checks.number(self.epsilon, "epsilon", above=0)
        checks.fraction(self.momentum, "momentum")
        checks.flag(self.synchronized, "synchronized")
        separable = checks.flag(self.separable, "separable")
        if not checks.flag(self.normalize_depthwise, "normalize_depthwise") and not separable:
            raise SettingsError("`normalize_depthwise` is for separable convolutions: give separable=True.")

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
            x = Conv2D(filters, kernel, padding="same", **settings)(x)
        return self._activated(x, name)

    def spatial(self, x, filters, name, kernel=3, rate=1):
        """A `convolution`; where they are separable, a depthwise one `<name>_dwconv` and a pointwise `convolution`."""
        if not self.separable:
            return self.convolution(x, filters, name, kernel, rate)
        x = DepthwiseConv2D(
            kernel,
            padding="same",
            dilation_rate=rate,
            use_bias=False,
            depthwise_initializer=fan_out_initializer(),
            name=self.free_name(f"{name}_dwconv"),
        )(x)
        if self.normalize_depthwise:
            x = self._activated(x, f"{name}_dwconv")
        return self.convolution(x, filters, name)

    def pyramid(self, x, filters, rates, *, projection, image_level=True):
        """Atrous spatial pyramid pooling, projected to `filters`.

        Args:
            x: the map.
            filters: of each branch and of the projection.
            rates: of the 3x3 branches, beside a 1x1 convolution and the image level.
            projection: kernel of the projection.
            image_level: whether there is a branch of the map's average.
        """
        branches = [self.convolution(x, filters, "aspp_1x1")]
        branches += [self.spatial(x, filters, f"aspp_{rate}", rate=rate) for rate in rates]
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
