"""The blocks of a ResNet."""

from dataclasses import dataclass

from keras import layers

from kseg import checks
from kseg.layers import AtrousConv2D, BatchNormalization, Conv2D


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

    def __post_init__(self) -> None:
        checks.one_of(self.first_rate, "first_rate", ("stage", "previous"))
        checks.one_of(self.rate_in, "rate_in", ("both", "first"))
        checks.one_of(self.stride_in, "stride_in", ("1x1", "3x3"))
        checks.one_of(self.shortcut, "shortcut", ("convolution", "average"))
        checks.number(self.epsilon, "epsilon", above=0)
        checks.fraction(self.momentum, "momentum")
        checks.flag(self.synchronized, "synchronized")

    def stem(self, x, widths, ceil_pooling):
        """The first convolutions, one of 7x7 or three of 3x3, and the pooling after them.

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

    def stages(self, x, counts, filters, output_stride, last_stage, multi_grid=None):
        """The stages after the stem; of each, the first block strides and the others keep the size.

        Args:
            x: the map at stride 4.
            counts: blocks of each stage, from "stage2" on.
            filters: of the 3x3 convolutions of stage 2; each further stage has twice as many.
            output_stride: strides beyond it become dilation.
            last_stage: name of the stage to end with.
            multi_grid: factors on the rates of stage 5, one a block; None is the stage's rate, and for the first block
                what `first_rate` says.

        Returns:
            A dict from "stage2" ... to the maps.
        """
        found, stride = {}, 4
        for stage, count in enumerate(counts, start=2):
            step = 2 if stride < 2**stage <= output_stride else 1
            stride *= step
            rate = 2**stage // stride
            first = rate if self.first_rate == "stage" or step > 1 else max(rate // 2, 1)
            rates = [first] + [rate] * (count - 1)
            if multi_grid is not None and stage == 5:
                rates = [rate * factor for factor in multi_grid]
            for block, own in enumerate(rates, start=1):
                name = f"conv{stage}_block{block}"
                x = self._block(x, filters * 2 ** (stage - 2), name, step if block == 1 else 1, own)
            found[f"stage{stage}"] = x
            if f"stage{stage}" == last_stage:
                break
        return found

    def _block(self, x, filters, name, stride, rate):
        """Convolutions added to the input, or to its projection where sizes or channels differ."""
        shortcut, width = x, filters if self.basic else 4 * filters
        if stride > 1 or x.shape[-1] != width:
            step = stride
            if self.shortcut == "average" and stride > 1:
                # "same" averages what there is of the last window, as PyTorch's ceil_mode without counted padding
                shortcut = layers.AveragePooling2D(stride, padding="same", name=f"{name}_0_pool")(x)
                step = 1
            shortcut = self.convolution(shortcut, width, 1, f"{name}_0", step, activation=False)
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

    def convolution(self, x, filters, size, name, stride=1, rate=1, activation=True):
        """Convolution `<name>_conv` with symmetric padding, normalisation `<name>_bn`, ReLU `<name>_relu`."""
        shared = {"use_bias": False, "kernel_initializer": "he_normal", "name": f"{name}_conv"}
        if rate > 1 and stride == 1:
            x = AtrousConv2D(filters, size, rate, **shared)(x)
        elif stride > 1 and size > 1:  # "same" would pad even sizes on one side
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
            x = layers.Conv2D(filters, size, stride, **shared)(x)
        else:
            x = Conv2D(filters, size, stride, padding="same", **shared)(x)
        statistics = {"momentum": self.momentum, "synchronized": self.synchronized}
        x = BatchNormalization(epsilon=self.epsilon, name=f"{name}_bn", **statistics)(x)
        return layers.ReLU(name=f"{name}_relu")(x) if activation else x
