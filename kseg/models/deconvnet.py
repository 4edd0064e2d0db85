"""DeconvNet (Noh, Hong and Han)."""

import keras
from keras import layers

from kseg.backbones.vgg_bn import DEPTHS, KERNEL, normalised
from kseg.layers import CropLike, MaxUnpooling2D
from kseg.models.segmenter import Segmenter


@keras.saving.register_keras_serializable(package="kseg")
class DeconvNet(Segmenter):
    """Deconvolution network: the mirror image of its encoder.

    Where the encoder pools, the decoder unpools: every value goes back to the place its maximum came from and
    the rest is zero; transposed convolutions, each with batch normalisation and ReLU, fill in the shape. The
    last convolution of a stage has the width of the next shallower one.

    Args:
        backbone: a `VGG16BatchNorm`. As published (`filters=4096`, `fc6_padding="valid"`) the net sees
            224x224 pixels through a single value 4096 wide; the same weights take any size: larger images
            are worked through fully convolutionally, below 193 pixels the deepest map is filled up with
            zeros. A backbone with `filters=None` has no bottleneck, and the decoder starts at "stage5".
        num_classes: number of classes.
        kernel_std: standard deviation of the Gaussian that the decoder's kernels start from (the release:
            0.01); None takes He's, which suits nets of other widths.
        **kwargs: Keras's `name` and `trainable`.

    Input: `(batch, height, width, 3)`, RGB 0-255. Output: float32 logits `(batch, height, width, num_classes)`.
    Unpooling restores odd sizes, so no size needs padding.

    Source: Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, section 3;
    released `stage_1_train.prototxt`.
    """

    def __init__(self, backbone, num_classes, *, kernel_std=0.01, **kwargs):
        image, widths, x = backbone.input, backbone.widths, backbone.deepest
        if backbone.filters is not None:
            x = _deconvolution(x, widths[-1], KERNEL, "6", kernel_std, backbone.fc6_padding)
            # A map that the backbone filled up to fc6's window is cut back.
            x = CropLike(name="crop6")([x, backbone.stages["stage5"]])
        for stage in range(len(widths), 0, -1):
            argmax, pooled_from = backbone.switches(f"stage{stage}")
            x = MaxUnpooling2D(2, padding="same", name=f"unpool{stage}")([x, argmax, pooled_from])
            width, shallower = widths[stage - 1], widths[max(stage - 2, 0)]
            for number in range(1, DEPTHS[stage - 1] + 1):
                last = number == DEPTHS[stage - 1]
                x = _deconvolution(x, shallower if last else width, 3, f"{stage}_{number}", kernel_std)
        logits = layers.Conv2D(
            num_classes, 1, kernel_initializer=_initializer(kernel_std), name="logits", dtype="float32"
        )(x)
        super().__init__(image, logits, backbone=backbone, num_classes=num_classes, **kwargs)
        self.kernel_std = kernel_std

    def get_config(self):
        return {**super().get_config(), "kernel_std": self.kernel_std}


def _deconvolution(x, width, size, place, kernel_std, padding="same"):
    x = layers.Conv2DTranspose(
        width, size, padding=padding, kernel_initializer=_initializer(kernel_std), name=f"deconv{place}"
    )(x)
    return normalised(x, f"debn{place}")


def _initializer(std):
    return keras.initializers.HeNormal() if std is None else keras.initializers.RandomNormal(stddev=std)
