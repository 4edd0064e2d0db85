"""The blocks of a ResNet."""

from dataclasses import dataclass

from keras import layers

from kseg.layers import AtrousConv2D, BatchNormalization


@dataclass(frozen=True)
class ResidualBlocks:
    """Draws convolutions, residual blocks and stages; holds what they share. `ResNet` has the arguments."""

    basic: bool
    first_rate: str
    rate_in: str
    stride_in: str
    shortcut: str
    epsilon: float
    momentum: float
    synchronized: bool

    def stem(self, x, widths, ceil_pooling):
        """The first convolutions, one of 7x7 or three of 3x3, and the pooling behind them.

        Args:
            x: the image.
            widths: one number of filters, or three.
            ceil_pooling: whether the last window may lie half outside of the map.

        Returns:
            The map before the pooling, at stride 2, and the one after it, at stride 4.
        """
        if len(widths) == 1:
            x = self.convolution(x, widths[0], 7, "conv1", stride=2)
        else:
            for number, width in enumerate(widths, start=1):
                x = self.convolution(x, width, 3, f"conv1_{number}", stride=2 if number == 1 else 1)
        margin = (1, 2) if ceil_pooling else (1, 1)
        pooled = layers.ZeroPadding2D((margin, margin), name="pool1_pad")(x)  # zeros lose against any ReLU
        return x, layers.MaxPooling2D(3, 2, name="pool1_pool")(pooled)

    def stage(self, x, stage, count, filters, stride, rate, multi_grid=None):
        """Residual blocks, of which the first one strides and the others keep the size.

        Args:
            x: the map.
            stage: its number, 2 to 5.
            count: blocks.
            filters: of the 3x3 convolutions.
            stride: of the first block.
            rate: of the stage's 3x3 convolutions.
            multi_grid: factors on the rate, one a block; None is the stage's rate, and for the first block what
                `first_rate` says.
        """
        first = rate if self.first_rate == "stage" or stride > 1 else max(rate // 2, 1)
        rates = [first] + [rate] * (count - 1)
        if multi_grid is not None:
            rates = [rate * factor for factor in multi_grid]
        for block, own in enumerate(rates, start=1):
            x = self._block(x, filters, f"conv{stage}_block{block}", stride if block == 1 else 1, own)
        return x

    def _block(self, x, filters, name, stride, rate):
        """Convolutions added to the input, or to its projection where sizes or channels differ."""
        shortcut, width = x, filters if self.basic else 4 * filters
        if stride > 1 or x.shape[-1] != width:
            shortcut = self._projection(x, width, name, stride)
        if self.basic:
            x = self.convolution(x, filters, 3, f"{name}_1", stride, rate)
            second = rate if self.rate_in == "both" else 1
            x = self.convolution(x, filters, 3, f"{name}_2", 1, second, activation=False)
        else:
            early, late = (stride, 1) if self.stride_in == "1x1" else (1, stride)
            x = self.convolution(x, filters, 1, f"{name}_1", early)
            x = self.convolution(x, filters, 3, f"{name}_2", late, rate)
            x = self.convolution(x, width, 1, f"{name}_3", activation=False)
        x = layers.Add(name=f"{name}_add")([shortcut, x])
        return layers.ReLU(name=f"{name}_out")(x)

    def _projection(self, x, width, name, stride):
        if self.shortcut == "average" and stride > 1:
            # "same" averages what there is of the last window, as PyTorch's ceil_mode without counted padding
            x = layers.AveragePooling2D(stride, padding="same", name=f"{name}_0_pool")(x)
            stride = 1
        return self.convolution(x, width, 1, f"{name}_0", stride, activation=False)

    def convolution(self, x, filters, size, name, stride=1, rate=1, activation=True):
        """Convolution `<name>_conv` with symmetric padding, normalisation `<name>_bn`, ReLU `<name>_relu`."""
        shared = {"use_bias": False, "kernel_initializer": "he_normal", "name": f"{name}_conv"}
        if rate > 1 and stride == 1:
            x = AtrousConv2D(filters, size, rate, **shared)(x)
        elif stride > 1 and size > 1:  # "same" would pad even sizes on one side
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
            x = layers.Conv2D(filters, size, stride, **shared)(x)
        else:
            x = layers.Conv2D(filters, size, stride, padding="same", **shared)(x)
        statistics = {"momentum": self.momentum, "synchronized": self.synchronized}
        x = BatchNormalization(epsilon=self.epsilon, name=f"{name}_bn", **statistics)(x)
        return layers.ReLU(name=f"{name}_relu")(x) if activation else x
