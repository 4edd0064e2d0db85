"""VGG16 with holes instead of its last two strides, the encoder of DeepLab v1 and v2."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.backbones.surgery.decimation import decimate
from kseg.backbones.vgg import DEPTHS, VGG16, WIDTHS
from kseg.layers import AtrousConv2D, Normalize

MEAN = (122.675, 116.669, 104.008)


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabVGG16(Backbone):
    """VGG16 at output stride 8: pool4 and pool5 do not stride, conv5 and fc6 are dilated.

    The defaults are DeepLab-LargeFOV. The paper's other networks: `kernel=4, rate=8, filters=4096` (4x4),
    `kernel=7, rate=4, filters=4096` (7x7), and `kernel=4, rate=4, filters=4096, pool_size=2` (the plain network,
    all three with `average=False`). DeepLab v2 puts its own branches on `filters=None, average=False`.

    Args:
        kernel, rate: kernel size and atrous rate of fc6.
        filters: width of fc6 and fc7; None leaves both out.
        widths: channels of the five stages.
        mean: mean that is subtracted from the image, (red, green, blue) in 0-255.
        pool_size: 3 (padding 1, sizes rounded up as in Caffe, so that cell i of stages 3 to 5 stands at pixel
            8 i) or 2 (cell i stands at pixel 8 i + 3.5).
        average: whether a 3x3 average pooling (pool5a) follows pool5.
        dropout: dropout rate after fc6 and after fc7, in [0, 1).
        weights: None (random), "imagenet" (Keras's verified download of VGG16), an .h5 file of a
            keras.applications VGG16, or an .npz or .weights.h5 file of this network. For the first two kinds,
            `decimate` makes fc6 and fc7.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        ModelError: weights that cannot be had.
        SettingsError: an argument out of its range.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        A dict of stages "stage1" ... "stage5" (strides 2, 4, 8, 8, 8; pool1 to pool5) and, unless
        `filters=None`, "fc7" (8).

    Reference:
        Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR
        2015, section 3 and table 2 of its arXiv version 3; the released DeepLab-LargeFOV `train.prototxt`.

    Example:

    >>> backbone = kseg.backbones.DeepLabVGG16(widths=(4, 4, 8, 8, 8), filters=16)
    >>> list(backbone.stages)
    ['stage1', 'stage2', 'stage3', 'stage4', 'stage5', 'fc7']
    """

    output_stride = 8

    @draws_graph
    def __init__(
        self,
        *,
        kernel: int = 3,
        rate: int = 12,
        filters: int | None = 1024,
        widths: Sequence[int] = WIDTHS,
        mean: Sequence[float] = MEAN,
        pool_size: int = 3,
        average: bool = True,
        dropout: float = 0.5,
        weights: str | Path | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        kernel, rate = checks.whole(kernel, "kernel"), checks.whole(rate, "rate")
        filters = None if filters is None else checks.whole(filters, "filters")
        widths = checks.wholes(widths, "widths", count=len(DEPTHS))
        mean = checks.numbers(mean, "mean", count=3)
        checks.one_of(pool_size, "pool_size", (2, 3))
        average = checks.flag(average, "average")
        dropout = checks.fraction(dropout, "dropout", one=False)
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(mean, (1, 1, 1), bgr=True, name="normalize")(image)
        stages = {}
        for block, (width, count) in enumerate(zip(widths, DEPTHS, strict=True), start=1):
            for number in range(1, count + 1):
                rate_here = 2 if block == 5 else 1
                x = AtrousConv2D(width, 3, rate_here, activation="relu", name=f"block{block}_conv{number}")(x)
            x = _pool(x, block, pool_size)
            stages[f"stage{block}"] = x
        if average:  # Caffe counts the padding into the mean
            x = layers.ZeroPadding2D(1, name="pool5a_pad")(x)
            x = layers.AveragePooling2D(3, 1, name="pool5a")(x)
        if filters is not None:
            x = AtrousConv2D(filters, kernel, rate, activation="relu", name="fc6")(x)
            x = layers.Dropout(dropout, name="drop6")(x)
            x = layers.Conv2D(filters, 1, activation="relu", name="fc7")(x)
            stages["fc7"] = layers.Dropout(dropout, name="drop7")(x)
        elif average:
            stages["pool5a"] = x
        super().__init__(image, stages, name=name, trainable=trainable)
        self.kernel, self.rate, self.filters, self.widths = kernel, rate, filters, widths
        self.pool_size, self.average, self.dropout, self.mean = pool_size, average, dropout, mean
        if weights is not None:
            if str(weights).endswith((".npz", ".weights.h5")):  # of this network
                weight_files.load(self, weights)
            else:
                copy_vgg16(VGG16(widths=widths, filters=4096 if filters else None, weights=weights), self)

    def get_config(self) -> dict[str, Any]:
        own = {
            "kernel": self.kernel,
            "rate": self.rate,
            "filters": self.filters,
            "widths": self.widths,
            "mean": self.mean,
            "pool_size": self.pool_size,
            "average": self.average,
            "dropout": self.dropout,
            "weights": None,
        }
        return {**super().get_config(), **own}


def copy_vgg16(vgg16: VGG16, backbone: DeepLabVGG16) -> None:
    """Copy the convolutions of a `VGG16` into a `DeepLabVGG16`, its fc6 and fc7 decimated."""
    for layer in backbone.layers:
        if layer.weights:
            kernel, bias = vgg16.get_layer(layer.name).get_weights()
            layer.set_weights(decimate(kernel, bias, layer.kernel.shape))


def _pool(x, block, size):
    """Caffe's maximum pooling; from block 4 on it keeps the map's size."""
    stride, name = (2 if block < 4 else 1), f"block{block}_pool"
    if size == 3:
        # zeros lose against any ReLU; the second one at the end makes the size round up
        margin = (1, 2) if stride == 2 else (1, 1)
    elif stride == 2:
        return layers.MaxPooling2D(2, padding="same", name=name)(x)
    else:  # one before, one after: together they shift nothing
        margin = (1, 0) if block == 4 else (0, 1)
    x = layers.ZeroPadding2D((margin, margin), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(size, stride, name=name)(x)
