"""VGG16 with its classifier as convolutions, the encoder of FCN and DeconvNet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.layers import Normalize

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = (2, 2, 3, 3, 3)
MEAN = (123.68, 116.779, 103.939)  # of the classifier; segmentation networks were released with others


@keras.saving.register_keras_serializable(package="kseg")
class VGG16(Backbone):
    """VGG16 (Simonyan and Zisserman 2015), fully convolutional.

    Thirteen 3x3 convolutions in five stages, each closed by a 2x2 maximum pooling that rounds odd sizes up,
    then fc6 (7x7 convolution) and fc7 (1x1) with ReLU and dropout, as Shelhamer et al. turn the classifier's
    dense layers into convolutions. Layers are named as in keras.applications (`block1_conv1` ... `fc6`,
    `fc7`).

    Args:
        padding: "same" keeps every convolution's size, so that stage k has 1/2^k of the image (rounded up).
            "original" pads the image by 100 pixels and gives fc6 no padding, as the released FCN does.
        widths: channels of the five stages.
        filters: width of fc6 and fc7; None leaves both out.
        mean: mean that is subtracted from the image, (red, green, blue) in 0-255; the released FCN has
            (122.67891434, 116.66876762, 104.00698793).
        dropout: dropout rate after fc6 and after fc7, in [0, 1).
        weights: None (random), "imagenet" (Keras's verified download) or a local weights file.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        ModelError: weights that cannot be had.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        A dict of the stages "stage1" ... "stage5" (strides 2 to 32) and, unless `filters=None`, "fc7" (stride
        32).

    Reference:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR
        2015; Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017, section
        3.1.

    Example:

    >>> backbone = kseg.backbones.VGG16(widths=(4, 4, 8, 8, 8), filters=16)
    >>> list(backbone.stages)
    ['stage1', 'stage2', 'stage3', 'stage4', 'stage5', 'fc7']
    """

    @draws_graph
    def __init__(
        self,
        *,
        padding: str = "same",
        widths: Sequence[int] = WIDTHS,
        filters: int | None = 4096,
        mean: Sequence[float] = MEAN,
        dropout: float = 0.5,
        weights: str | Path | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        checks.one_of(padding, "padding", ("same", "original"))
        widths = checks.wholes(widths, "widths", count=len(DEPTHS))
        filters = None if filters is None else checks.whole(filters, "filters")
        mean = checks.numbers(mean, "mean", count=3)
        dropout = checks.fraction(dropout, "dropout", one=False)
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(mean, (1, 1, 1), bgr=True, name="normalize")(image)
        if padding == "original":
            x = layers.ZeroPadding2D(99, name="pad")(x)  # 99 and conv1_1's own 1 make Caffe's pad of 100
        stages = {}
        for block, (width, count) in enumerate(zip(widths, DEPTHS, strict=True), start=1):
            for number in range(1, count + 1):
                x = layers.Conv2D(
                    width, 3, padding="same", activation="relu", name=f"block{block}_conv{number}"
                )(x)
            x = layers.MaxPooling2D(2, padding="same", name=f"block{block}_pool")(x)
            stages[f"stage{block}"] = x
        if filters is not None:
            edges = "same" if padding == "same" else "valid"
            x = layers.Conv2D(filters, 7, padding=edges, activation="relu", name="fc6")(x)
            x = layers.Dropout(dropout, name="drop6")(x)
            x = layers.Conv2D(filters, 1, activation="relu", name="fc7")(x)
            stages["fc7"] = layers.Dropout(dropout, name="drop7")(x)
        super().__init__(image, stages, name=name, trainable=trainable)
        self.padding, self.filters, self.dropout = padding, filters, dropout
        self.widths, self.mean = widths, mean
        if weights is not None:
            dense = filters is not None
            named = weights == "imagenet"
            weight_files.load(self, weight_files.keras_vgg16_imagenet(dense) if named else weights)

    def get_config(self) -> dict[str, Any]:
        own = {
            "padding": self.padding,
            "widths": self.widths,
            "filters": self.filters,
            "mean": self.mean,
            "dropout": self.dropout,
            "weights": None,
        }
        return {**super().get_config(), **own}
