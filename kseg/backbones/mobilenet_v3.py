"""MobileNetV3, the light encoder of LR-ASPP."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.blocks.inverted_residual import InvertedResiduals, Row, divisible
from kseg.backbones.construction import draws_graph
from kseg.backbones.resnet import TORCH
from kseg.layers import Normalize

# kernel, channels inside and after it, stride, squeeze and excitation, activation (tables 1 and 2 of the paper)
ROWS = {
    "large": (
        (3, 16, 16, 1, False, "relu"),
        (3, 64, 24, 2, False, "relu"),
        (3, 72, 24, 1, False, "relu"),
        (5, 72, 40, 2, True, "relu"),
        (5, 120, 40, 1, True, "relu"),
        (5, 120, 40, 1, True, "relu"),
        (3, 240, 80, 2, False, "hard_silu"),
        (3, 200, 80, 1, False, "hard_silu"),
        (3, 184, 80, 1, False, "hard_silu"),
        (3, 184, 80, 1, False, "hard_silu"),
        (3, 480, 112, 1, True, "hard_silu"),
        (3, 672, 112, 1, True, "hard_silu"),
        (5, 672, 160, 2, True, "hard_silu"),
        (5, 960, 160, 1, True, "hard_silu"),
        (5, 960, 160, 1, True, "hard_silu"),
    ),
    "small": (
        (3, 16, 16, 2, True, "relu"),
        (3, 72, 24, 2, False, "relu"),
        (3, 88, 24, 1, False, "relu"),
        (5, 96, 40, 2, True, "hard_silu"),
        (5, 240, 40, 1, True, "hard_silu"),
        (5, 240, 40, 1, True, "hard_silu"),
        (5, 120, 48, 1, True, "hard_silu"),
        (5, 144, 48, 1, True, "hard_silu"),
        (5, 288, 96, 2, True, "hard_silu"),
        (5, 576, 96, 1, True, "hard_silu"),
        (5, 576, 96, 1, True, "hard_silu"),
    ),
}


@keras.saving.register_keras_serializable(package="kseg")
class MobileNetV3(Backbone):
    """MobileNetV3-Large and Small (Howard et al. 2019), as torchvision has them.

    Layers are named by blocks in torchvision's order: `stem_conv`, `block<i>_expand_conv`, `block<i>_dw_conv`,
    `block<i>_fc1`, `block<i>_fc2`, `block<i>_project_conv`, `last_conv`; normalisations end in `_bn`.

    Args:
        variant: "large" or "small".
        output_stride: 32, 16 or 8; strides beyond it become dilation.
        first_rate: rate of a block that no longer strides: "stage", the rate of the blocks after it
            (torchvision), or "previous", the rate of those before it.
        stage_block: which map is a stage: "last", that of the block before the next stride, or "first", that
            of the block that strides (torchvision's LR-ASPP, whose low-level stage has 40 channels at stride
            8).
        padding: "symmetric" (PyTorch) or "same" (TensorFlow).
        width: factor on all channels, which stay multiples of 8.
        mean, std: of the images, (red, green, blue) in 0-255: the network sees `(image - mean) / std`.
        epsilon, momentum: of BatchNormalization (Keras's momentum: the share of the old average that is kept).
        synchronized: whether BatchNormalization averages over all replicas of a distribution strategy.
        weights: None (random) or the path of an .npz or .weights.h5 file of this network.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        SettingsError: an argument out of its range.
        ModelError: weights that do not fit.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        A dict of the stages "stage1" (stride 2) to "stage5" (32, or the output stride; the last 1x1
        convolution, 960 channels in "large").

    Reference:
        Howard et al., "Searching for MobileNetV3", ICCV 2019; torchvision `models/mobilenetv3.py`.

    Example:

    >>> backbone = kseg.backbones.MobileNetV3("large", output_stride=16, width=0.25)
    >>> [features.shape[-1] for features in backbone.stages.values()]
    [8, 8, 16, 32, 240]
    """

    @draws_graph
    def __init__(
        self,
        variant: str = "large",
        *,
        output_stride: int = 32,
        first_rate: str = "stage",
        stage_block: str = "last",
        padding: str = "symmetric",
        width: float = 1.0,
        mean: Sequence[float] = TORCH["mean"],
        std: Sequence[float] = TORCH["std"],
        epsilon: float = 1e-3,
        momentum: float = 0.99,
        synchronized: bool = False,
        weights: str | Path | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        settings = {
            "variant": checks.one_of(variant, "variant", tuple(ROWS)),
            "output_stride": checks.one_of(output_stride, "output_stride", (32, 16, 8)),
            "first_rate": checks.one_of(first_rate, "first_rate", ("stage", "previous")),
            "stage_block": checks.one_of(stage_block, "stage_block", ("last", "first")),
            "padding": checks.one_of(padding, "padding", ("symmetric", "same")),
            "width": checks.number(width, "width", above=0),
            "mean": checks.numbers(mean, "mean", count=3),
            "std": checks.numbers(std, "std", count=3, above=0),
            "epsilon": checks.number(epsilon, "epsilon", above=0),
            "momentum": checks.fraction(momentum, "momentum"),
            "synchronized": checks.flag(synchronized, "synchronized"),
        }
        rows = [
            Row(kernel, divisible(inside * width), divisible(after * width), *rest)
            for kernel, inside, after, *rest in ROWS[variant]
        ]
        draw = InvertedResiduals(padding, epsilon, momentum, synchronized)
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(mean, std, name="normalize")(image)
        x = draw.convolution(x, divisible(16 * width), 3, "stem", 2, "hard_silu")
        x, stages = draw.stages(x, rows, output_stride, first_rate, stage_block)
        stages["stage5"] = draw.convolution(x, 6 * rows[-1].filters, 1, "last", 1, "hard_silu")
        super().__init__(image, stages, name=name, trainable=trainable)
        self.output_stride, self._settings = output_stride, settings
        if weights is not None:
            weight_files.load(self, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings, "weights": None}
