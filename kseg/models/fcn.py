"""Fully convolutional networks (Shelhamer, Long and Darrell)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.layers import BilinearUpsampling, CropLike
from kseg.models.structure.segmenter import Segmenter

# Offsets of the released networks, for an image padded by 100: the last one cuts to the image, those before cut the
# scores of pool4 and pool3 to the upsampled map.
CROPS = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}
SKIPS = {32: (), 16: ("stage4",), 8: ("stage4", "stage3")}


@keras.saving.register_keras_serializable(package="kseg")
class FCN(Segmenter):
    """The fully convolutional networks FCN-32s, FCN-16s and FCN-8s.

    A 1x1 convolution scores the deepest features. The scores are upsampled by two and summed with the 1x1
    scores of stage 4 (16s) and then of stage 3 (8s), and the sum is upsampled to the image. Score layers
    start at zero, so a new skip connection changes nothing at first, and layers have the same names at every
    stride, so 16s can start from a trained 32s, and 8s from 16s (`kseg.training.initialise_from`).

    Args:
        backbone: a `Backbone` with "stage3" (stride 8), "stage4" (stride 16) and a deepest stage of stride
            32. `VGG16(padding="original")` gives the released network with its crop offsets; with "same"
            padding the maps align by themselves.
        num_classes: number of classes.
        stride: 32, 16 or 8: the stride of the map that is upsampled to the image.
        learned_upsampling: which upsampling kernels are trained: "none" (the release: learning rate 0),
            "intermediate" (the paper: all but the last) or "all".
        skip_scales: fixed factors on stage 4 and stage 3 before they are scored; (0.01, 0.0001) makes the "at
            once" network, which trains in one stage.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017, section 4; the
        released `voc-fcn*/net.py`.

    Example:

    >>> backbone = kseg.backbones.VGG16(padding="same", widths=(4, 4, 8, 8, 8), filters=16)
    >>> kseg.models.FCN(backbone, num_classes=3, stride=16).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        stride: int = 8,
        learned_upsampling: str = "none",
        skip_scales: Sequence[float] = (1.0, 1.0),
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        stride = checks.one_of(stride, "stride", tuple(SKIPS))
        checks.one_of(learned_upsampling, "learned_upsampling", ("none", "intermediate", "all"))
        skip_scales = checks.numbers(skip_scales, "skip_scales", count=2)
        original = backbone.padding == "original"
        edges, crops = ("valid", CROPS[stride]) if original else ("same", (0,) * len(CROPS[stride]))
        image, between, own = backbone.input, learned_upsampling != "none", backbone.free_name

        x = _score(num_classes, own("score_fr"))(backbone.deepest)
        for stage, scale, crop in zip(SKIPS[stride], skip_scales, crops, strict=False):
            pool = stage.replace("stage", "pool")
            x = BilinearUpsampling(2, between, edges, name=own(f"upsampling_{pool}"))(x)
            skip = backbone.stages[stage]
            if scale != 1:
                skip = layers.Rescaling(scale, name=own(f"scale_{pool}"))(skip)
            skip = _score(num_classes, own(f"score_{pool}"))(skip)
            if original:
                skip = CropLike(crop, name=own(f"crop_{pool}"))([skip, x])
            else:  # a map of odd size doubles to one more than the skip has
                x = CropLike(crop, name=own(f"crop_{pool}"))([x, skip])
            x = layers.Add(name=own(f"fuse_{pool}"))([x, skip])
        last = learned_upsampling == "all"
        x = BilinearUpsampling(stride, last, edges, name=own(f"upsampling_{stride}s"), dtype="float32")(x)
        logits = CropLike(crops[-1], name=own("logits"), dtype="float32")([x, image])

        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.stride, self.learned_upsampling = stride, learned_upsampling
        self.skip_scales = skip_scales

    def get_config(self) -> dict[str, Any]:
        own = {
            "stride": self.stride,
            "learned_upsampling": self.learned_upsampling,
            "skip_scales": self.skip_scales,
        }
        return {**super().get_config(), **own}


def _score(num_classes: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(num_classes, 1, kernel_initializer="zeros", name=name)
