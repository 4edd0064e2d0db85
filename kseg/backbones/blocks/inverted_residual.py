"""The blocks of MobileNetV2 and V3: expand, convolve each channel by itself, project."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import keras
from keras import layers

from kseg.layers import BatchNormalization, Conv2D, DepthwiseConv2D


class Row(NamedTuple):
    """One block: its depthwise convolution's kernel and stride, channels inside and after it, and what goes with it."""

    kernel: int
    expanded: int
    filters: int
    stride: int
    squeeze: bool
    activation: str


@dataclass(frozen=True)
class InvertedResiduals:
    """Draws convolutions and blocks; holds what they share.

    Args:
        padding: "symmetric" (PyTorch) or "same" (TensorFlow: on even sizes a stride begins one pixel later).
        epsilon, momentum, synchronized: of BatchNormalization.
    """

    padding: str
    epsilon: float
    momentum: float
    synchronized: bool

    def stages(self, x, rows, output_stride, first_rate, stage_block):
        """All blocks in a row, strides beyond `output_stride` turned into holes.

        Returns:
            The last map, and a dict "stage1" ... "stage4" of the blocks next to a stride: with `stage_block` "last"
            those ahead of it, with "first" those that stride (the given map for stage 1).
        """
        found, stage = {"stage1": x}, 1
        places = _strides_and_rates([row.stride for row in rows], output_stride, first_rate)
        for number, (row, (stride, rate)) in enumerate(zip(rows, places, strict=True), start=1):
            if row.stride > 1 and stage_block == "last":
                found[f"stage{stage}"] = x
            x = self._block(x, row, stride, rate, f"block{number}")
            if row.stride > 1:
                stage += 1
                if stage_block == "first" and stage < 5:
                    found[f"stage{stage}"] = x
        return x, found

    def _block(self, x, row, stride, rate, name):
        shortcut = x
        if row.expanded != x.shape[-1]:
            x = self.convolution(x, row.expanded, 1, f"{name}_expand", activation=row.activation)
        x, edges = self._padded(x, row.kernel, stride, f"{name}_dw")
        x = DepthwiseConv2D(
            row.kernel,
            stride,
            padding=edges,
            dilation_rate=rate,
            use_bias=False,
            depthwise_initializer=fan_out_initializer(),
            name=f"{name}_dw_conv",
        )(x)
        x = self._normalized(x, f"{name}_dw", row.activation)
        if row.squeeze:
            # Squeeze and excitation: each channel times a gate that sees all of the map.
            filters = divisible(row.expanded / 4)
            settings = {"kernel_size": 1, "kernel_initializer": "he_normal"}
            gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
            gate = layers.Conv2D(filters, activation="relu", name=f"{name}_fc1", **settings)(gate)
            gate = layers.Conv2D(x.shape[-1], activation="hard_sigmoid", name=f"{name}_fc2", **settings)(gate)
            x = layers.Multiply(name=f"{name}_excite")([x, gate])
        x = self.convolution(x, row.filters, 1, f"{name}_project")
        if row.stride == 1 and shortcut.shape[-1] == row.filters:
            x = layers.Add(name=f"{name}_add")([shortcut, x])
        return x

    def convolution(self, x, filters, kernel, name, stride=1, activation=None):
        """Convolution `<name>_conv`, normalisation `<name>_bn` and, where there is one, activation `<name>`."""
        x, edges = self._padded(x, kernel, stride, name)
        x = Conv2D(
            filters,
            kernel,
            stride,
            padding=edges,
            use_bias=False,
            kernel_initializer=fan_out_initializer(),
            name=f"{name}_conv",
        )(x)
        return self._normalized(x, name, activation)

    def _padded(self, x, kernel, stride, name):
        """The map and the padding of the convolution that follows."""
        if stride == 1 or kernel == 1 or self.padding == "same":
            return x, "same"
        return layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"

    def _normalized(self, x, name, activation):
        statistics = {"momentum": self.momentum, "synchronized": self.synchronized}
        x = BatchNormalization(epsilon=self.epsilon, name=f"{name}_bn", **statistics)(x)
        return x if activation is None else layers.Activation(activation, name=name)(x)


def _strides_and_rates(strides: list[int], output_stride: int, first_rate: str) -> Iterator[tuple[int, int]]:
    """Stride and rate of each block after a stem of stride 2; a removed stride multiplies the rate."""
    reached, rate = 2, 1
    for stride in strides:
        if stride == 1:
            yield 1, rate
        elif reached < output_stride:
            reached *= stride
            yield stride, rate
        else:
            before, rate = rate, rate * stride
            yield 1, rate if first_rate == "stage" else before


def divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, at least 8 and not more than 10 % below."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def fan_out_initializer() -> keras.initializers.Initializer:
    """One for each layer: an initializer draws its seed when it is made, and repeats itself."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
