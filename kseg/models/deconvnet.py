"""DeconvNet (Noh, Hong and Han)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.backbones.vgg_bn import DEPTHS, normalised
from kseg.errors import ModelError
from kseg.layers import CropLike, MaxUnpooling2D, ResizeLike
from kseg.models.structure.segmenter import Segmenter


@keras.saving.register_keras_serializable(package="kseg")
class DeconvNet(Segmenter):
    """Deconvolution network: the mirror image of its encoder.

    Where the encoder pools, the decoder unpools: every value returns to the place its maximum came from, and
    all other places are zero. Transposed convolutions, each followed by batch normalisation and ReLU, then
    fill in the shape. The last convolution of a stage has the width of the next shallower stage.

    Args:
        backbone: a `VGG16BatchNorm`. As published (`filters=4096`, `fc6_padding="valid"`) the network sees
            224x224 pixels through a single cell of 4096 channels. The same weights take any size: larger
            images run fully convolutionally, and below 193 pixels the deepest map is padded with zeros. A
            backbone with `filters=None` has no bottleneck, and the decoder starts at "stage5". An
            `EfficientNetLite` works too: it pools nothing, so its switches are the maxima of the maps that
            its strided blocks read. They end at stride 2, from where the scores are upsampled bilinearly.
        num_classes: number of classes.
        depths: transposed convolutions after each unpooling, in the order of the backbone's stages; None takes
            VGG16's 2, 2, 3, 3, 3.
        kernel_std: standard deviation of the Gaussian that initialises the decoder's kernels (0.01 in the
            release); None uses He initialisation, which suits networks of other widths.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        ModelError: a backbone without switches, or `depths` that do not fit it.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255. Unpooling restores odd sizes, so no size needs padding.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015, section 3; the
        released `stage_1_train.prototxt`.

    Example:

    >>> backbone = kseg.backbones.VGG16BatchNorm(widths=(4, 4, 8, 8, 8), filters=None)
    >>> kseg.models.DeconvNet(backbone, num_classes=3).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        depths: Sequence[int] | None = None,
        kernel_std: float | None = 0.01,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        if not hasattr(backbone, "switches"):
            raise ModelError(
                f"DeconvNet unpools by the switches of its backbone; {type(backbone).__name__} has none: give a "
                "VGG16BatchNorm or an EfficientNetLite."
            )
        image, widths, x = backbone.input, backbone.widths, backbone.deepest
        depths = DEPTHS[: len(widths)] if depths is None else tuple(depths)
        if len(depths) != len(widths) or min(depths) < 1:
            raise ModelError(f"depths needs {len(widths)} numbers from 1 on, one a stage; got {depths}.")
        if backbone.bottleneck is not None:
            kernel, padding = backbone.bottleneck
            x = _deconvolution(x, widths[-1], kernel, "6", kernel_std, padding)
            # A map that the backbone filled up to fc6's window is cut back.
            x = CropLike(name="crop6")([x, backbone.stages["stage5"]])
        for stage in range(len(widths), 0, -1):
            argmax, pooled_from = backbone.switches(f"stage{stage}")
            x = MaxUnpooling2D(2, padding="same", name=f"unpool{stage}")([x, argmax, pooled_from])
            width, shallower = widths[stage - 1], widths[max(stage - 2, 0)]
            for number in range(1, depths[stage - 1] + 1):
                last = number == depths[stage - 1]
                x = _deconvolution(x, shallower if last else width, 3, f"{stage}_{number}", kernel_std)
        of_scores, stride = {"kernel_initializer": _initializer(kernel_std)}, backbone.stride_of_switches
        if stride == 1:
            logits = layers.Conv2D(num_classes, 1, name="logits", dtype="float32", **of_scores)(x)
        else:
            x = layers.Conv2D(num_classes, 1, name="score", **of_scores)(x)
            logits = ResizeLike(factor=stride, name="logits", dtype="float32")([x, image])
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.depths, self.kernel_std = depths, kernel_std

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "depths": self.depths, "kernel_std": self.kernel_std}


def _deconvolution(x, width, size, place, kernel_std, padding="same"):
    x = layers.Conv2DTranspose(
        width, size, padding=padding, kernel_initializer=_initializer(kernel_std), name=f"deconv{place}"
    )(x)
    return normalised(x, f"debn{place}")


def _initializer(std: float | None) -> keras.initializers.Initializer:
    return keras.initializers.HeNormal() if std is None else keras.initializers.RandomNormal(stddev=std)
