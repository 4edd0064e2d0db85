"""VGG16 with batch normalisation and pooling switches, the encoder of DeconvNet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.backbones.vgg import DEPTHS, MEAN, VGG16, WIDTHS
from kseg.errors import ModelError
from kseg.layers import BatchNormalization, MaxPoolingWithArgmax2D, Normalize, PadToLeast

KERNEL = 7  # of fc6
EPSILON = 1e-5  # Keras's 1e-3 would outweigh the variance after kernels of standard deviation 0.01


@keras.saving.register_keras_serializable(package="kseg")
class VGG16BatchNorm(Backbone):
    """VGG16 (Simonyan and Zisserman 2015) with batch normalisation after every convolution, fully convolutional.

    Five stages of 3x3 convolutions, each followed by batch normalisation and ReLU, and each stage closed by a
    2x2 maximum pooling that rounds odd sizes up and keeps the places of its maxima; then fc6 (7x7) and fc7
    (1x1) as convolutions, without dropout. Convolutions are named as in keras.applications (`block1_conv1`
    ... `fc6`, `fc7`), so that VGG16's weights fit.

    Args:
        widths: channels of the five stages.
        filters: width of fc6 and fc7; None leaves both out.
        fc6_padding: "valid" (the published network: a map of 7x7, from 224x224 pixels, becomes one value;
            maps below 7x7, from images below 193 pixels, are padded with zeros) or "same" (keeps the size).
        mean: mean that is subtracted from the image, (red, green, blue) in 0-255; the released DeconvNet has
            (122.67891434, 116.66876762, 104.00698793).
        weights: None (random), "imagenet" or a local weights file of VGG16 without batch normalisation; only
            with the published widths.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        ModelError: weights that cannot be had or are for other widths.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        A dict of the stages "stage1" ... "stage5" (strides 2 to 32) and, unless `filters=None`, "fc7".

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015, section 3; the
        released `stage_1_train.prototxt`.

    Example:

    >>> backbone = kseg.backbones.VGG16BatchNorm(widths=(4, 4, 8, 8, 8), filters=None)
    >>> list(backbone.stages)
    ['stage1', 'stage2', 'stage3', 'stage4', 'stage5']
    """

    output_stride = 32
    stride_of_switches = 1  # pixels from cell to cell of the map that the first pooling sees

    @draws_graph
    def __init__(
        self,
        *,
        widths: Sequence[int] = WIDTHS,
        filters: int | None = 4096,
        fc6_padding: str = "valid",
        mean: Sequence[float] = MEAN,
        weights: str | Path | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        checks.one_of(fc6_padding, "fc6_padding", ("valid", "same"))
        widths = checks.wholes(widths, "widths", count=len(DEPTHS))
        filters = None if filters is None else checks.whole(filters, "filters")
        mean = checks.numbers(mean, "mean", count=3)
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(mean, (1, 1, 1), bgr=True, name="normalize")(image)
        stages = {}
        for block, (width, count) in enumerate(zip(widths, DEPTHS, strict=True), start=1):
            for number in range(1, count + 1):
                x = layers.Conv2D(width, 3, padding="same", name=f"block{block}_conv{number}")(x)
                x = normalised(x, f"bn{block}_{number}")
            x, _ = MaxPoolingWithArgmax2D(2, padding="same", name=f"block{block}_pool")(x)
            stages[f"stage{block}"] = x
        if filters is not None:
            if fc6_padding == "valid":
                x = PadToLeast(KERNEL, name="pad6")(x)
            x = layers.Conv2D(filters, KERNEL, padding=fc6_padding, name="fc6")(x)
            x = normalised(x, "bn6")
            x = layers.Conv2D(filters, 1, name="fc7")(x)
            stages["fc7"] = normalised(x, "bn7")
        super().__init__(image, stages, name=name, trainable=trainable)
        self.widths, self.filters, self.fc6_padding, self.mean = widths, filters, fc6_padding, mean
        if weights is not None:
            if widths != WIDTHS:
                raise ModelError(
                    f"VGG16's weights are for widths {WIDTHS}, this network has {widths}; give weights=None."
                )
            for layer in VGG16(filters=filters, weights=weights).layers:
                if isinstance(layer, layers.Conv2D):
                    self.get_layer(layer.name).set_weights(layer.get_weights())

    @property
    def bottleneck(self) -> tuple[int, str] | None:
        """Kernel and padding of fc6, which a mirrored decoder begins with; None without it."""
        return None if self.filters is None else (KERNEL, self.fc6_padding)

    def switches(self, stage: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Where the pooling that closes a stage found its maxima, and the map it pooled.

        Args:
            stage: name of the stage, "stage1" ... "stage5".

        Returns:
            Two tensors: indices as `MaxPoolingWithArgmax2D` gives them, and the map before the pooling.
        """
        pool = self.get_layer(stage.replace("stage", "block") + "_pool")
        return pool.output[1], pool.input

    def get_config(self) -> dict[str, Any]:
        own = {
            "widths": self.widths,
            "filters": self.filters,
            "fc6_padding": self.fc6_padding,
            "mean": self.mean,
            "weights": None,
        }
        return {**super().get_config(), **own}


def normalised(x, name):
    """Batch normalisation of a given name ("bn1_2"), and ReLU."""
    shift = keras.initializers.Constant(0.001)  # as released
    x = BatchNormalization(epsilon=EPSILON, beta_initializer=shift, name=name)(x)
    return layers.ReLU(name=name.replace("bn", "relu"))(x)
