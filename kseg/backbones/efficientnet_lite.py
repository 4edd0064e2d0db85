"""EfficientNet-Lite: the fast backbone."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.blocks.inverted_residual import divisible
from kseg.backbones.blocks.lite_blocks import LITE_STAGES, conv_bn, inverted_residuals
from kseg.backbones.construction import draws_graph
from kseg.errors import ModelError
from kseg.layers import MaxPoolingWithArgmax2D, Normalize, PadToMultiple, ScaledImage

# variant: (width, depth), efficientnet_lite_builder.py
_SCALES = {
    "lite0": (1.0, 1.0),
    "lite1": (1.0, 1.1),
    "lite2": (1.1, 1.2),
    "lite3": (1.2, 1.4),
    "lite4": (1.4, 1.8),
    "lite0_slim": (1.0, 1.0),  # in files of the first versions
}
# expansion of the seven groups where it is not the published one: most of lite0's time goes into the first maps
_EXPANSIONS = {"lite0_slim": (1, 2, 2, 4, 4, 4, 4)}
# (repeats, kernel, stride of the first block, expansion, filters) of the seven groups of blocks
_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_FILTERS, _HEAD_FILTERS = 32, 1280
_STRIDES = {"stage3": 8, "stage4": 16, "stage5": 32}


@keras.saving.register_keras_serializable(package="kseg")
class EfficientNetLite(Backbone):
    """EfficientNet without squeeze-and-excitation and with ReLU6, made for phones and CPUs.

    "stage1" to "stage4" are the *expanded* activations of the block that strides next (96, 144, 240 and 672
    channels in lite0): they come after a ReLU6 and are wider than the projected ones, so a linear score layer
    can read more from them. "stage5" is the head's 1x1 convolution (1280 channels).

    The official code's stochastic depth and dropout, for training from scratch on ImageNet, are left out.

    Args:
        variant: "lite0" to "lite4".
        output_stride: 32, 16 or 8; strides beyond it become dilation, and the stages keep their names. On
            inputs whose sides are multiples of 32, the dilated features sampled at the old stride are the
            undilated ones.
        weights: "imagenet" (comes with kseg for lite0), None (random), or the path of an .npz or .weights.h5
            file (see `kseg.backbones.weights.load`).
        last_stage: "stage3", "stage4" or "stage5"; an earlier one leaves out what follows it. Ended at
            stage4, lite0 has 1.1 of its 3.4 million weights and two thirds of its computation.
        padding: "same" as in the release: on sizes that are not multiples of the stride, cells of the deep
            stages stand up to half a cell beside those of other sizes. "image" first pads the image to such a
            multiple (zeros after normalisation, at the bottom and the right), so that they stand in the same
            place at every size: for segmentation.
        image_scale: factor by which the image is resized before the first convolution; 0.75 leaves nine
            sixteenths of the computation, and of the detail.
        include_top: whether to add the classifier, as the entry "logits" (batch, num_classes) after the
            stages; needs stage5.
        num_classes: number of classes of that classifier.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        SettingsError: an unknown variant, output stride or last stage.
        ModelError: weights that are missing or do not fit.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255, any size.

    Output shape:
        A dict of the stages "stage1" to "stage5" at strides 2, 4, 8, 16 and 32 (or the output stride).

    Reference:
        Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; the
        released code, tensorflow/tpu models/official/efficientnet/lite (padding SAME, BatchNorm epsilon 1e-3,
        input `(x - 127) / 128`).

    Example:

    >>> backbone = kseg.backbones.EfficientNetLite("lite0", weights=None, output_stride=16)
    >>> [features.shape[-1] for features in backbone.stages.values()]
    [96, 144, 240, 672, 1280]
    """

    bottleneck = (1, "same")  # kernel and padding of the head, which a mirrored decoder begins with

    @draws_graph
    def __init__(
        self,
        variant: str = "lite0",
        *,
        output_stride: int = 32,
        weights: str | Path | None = "imagenet",
        last_stage: str = "stage5",
        padding: str = "same",
        image_scale: float = 1.0,
        include_top: bool = False,
        num_classes: int = 1000,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        checks.one_of(variant, "variant", tuple(_SCALES))
        output_stride = checks.one_of(output_stride, "output_stride", (32, 16, 8))
        include_top = checks.flag(include_top, "include_top")
        checks.one_of(last_stage, "last_stage", ("stage5",) if include_top else tuple(_STRIDES))
        checks.one_of(padding, "padding", ("same", "image"))
        image_scale = checks.number(image_scale, "image_scale", above=0)
        num_classes = checks.whole(num_classes, "num_classes")
        image = keras.Input((None, None, 3), name="image")
        normalize = Normalize(mean=(127, 127, 127), std=(128, 128, 128), name="normalize")
        x = normalize(image if image_scale == 1 else ScaledImage(image_scale, name="scaled_image")(image))
        if padding == "image":
            x = PadToMultiple(min(_STRIDES[last_stage], output_stride), name="pad")(x)
        x = conv_bn(x, _STEM_FILTERS, 3, "stem", strides=2)
        x, found = inverted_residuals(x, _groups(variant), output_stride, LITE_STAGES.get(last_stage))
        stages = {stage: found[layer] for stage, layer in LITE_STAGES.items() if layer in found}
        if last_stage == "stage5":
            stages["stage5"] = x = conv_bn(x, _HEAD_FILTERS, 1, "head")
        if include_top:
            pooled = layers.GlobalAveragePooling2D(name="avg_pool")(x)
            stages["logits"] = layers.Dense(num_classes, name="predictions")(pooled)
        super().__init__(image, stages, name=name or f"efficientnet_{variant}", trainable=trainable)
        self.variant, self.output_stride = variant, output_stride
        self.padding, self.image_scale = padding, image_scale
        self.last_stage, self.include_top, self.num_classes = last_stage, include_top, num_classes
        if weights is not None:
            if weights == "imagenet":
                if variant != "lite0" or include_top:
                    top = " with its classifier" if include_top else ""
                    raise ModelError(
                        f"kseg carries the ImageNet features of EfficientNet-Lite0 only, not {variant}{top}; "
                        "give weights=None or the path of an .npz file."
                    )
                weights = weight_files.packaged("efficientnet_lite0.npz")
            weight_files.load(self, weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the maps that `switches` looks for maxima in, shallow first."""
        return tuple(self._narrow(stage).shape[-1] for stage in LITE_STAGES)

    @property
    def stride_of_switches(self) -> int | float:
        """Pixels from cell to cell of the first of these maps."""
        return self.stride_of("stage1")

    def switches(self, stage: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Where 2x2 windows of the map that a strided block reads have their maxima, and that map.

        These blocks stride without pooling; the switches are what a pooling before "stage1" ... "stage4"
        would keep.

        Args:
            stage: name of the stage that the block begins.

        Returns:
            Two tensors: indices as `MaxPoolingWithArgmax2D` gives them, and the map.
        """
        narrow = self._narrow(stage)
        return MaxPoolingWithArgmax2D(2, padding="same", name=f"{stage}_switches")(narrow)[1], narrow

    def _narrow(self, stage: str) -> keras.KerasTensor:
        if self.last_stage != "stage5" or self.output_stride != 32:
            raise ModelError(
                "EfficientNetLite has switches at output_stride=32 and last_stage='stage5' only; got "
                f"{self.output_stride} and {self.last_stage!r}."
            )
        return self.get_layer(f"{LITE_STAGES[stage]}_conv").input

    def get_config(self) -> dict[str, Any]:
        # weights=None: a reloaded or cloned network gets its weights from the saved file, not from ImageNet
        own = {
            "variant": self.variant,
            "output_stride": self.output_stride,
            "weights": None,
            "last_stage": self.last_stage,
            "padding": self.padding,
            "image_scale": self.image_scale,
            "include_top": self.include_top,
            "num_classes": self.num_classes,
        }
        return {**super().get_config(), **own}


def _groups(variant: str) -> Iterator[tuple[int, int, int, int, int]]:
    """Repeats, kernel, stride, expansion and filters of the groups, scaled."""
    width, depth = _SCALES[variant]
    expansions = _EXPANSIONS.get(variant, [group[3] for group in _GROUPS])
    for place, ((repeats, kernel, stride, _, filters), expansion) in enumerate(
        zip(_GROUPS, expansions, strict=True)
    ):
        ends = place in (0, len(_GROUPS) - 1)  # the Lite networks do not deepen the first and last group
        repeats = repeats if ends else math.ceil(repeats * depth)
        yield repeats, kernel, stride, expansion, divisible(filters * width)
