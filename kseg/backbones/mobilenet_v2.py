"""MobileNetV2, the light encoder of DeepLab v3 and v3+."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.blocks.inverted_residual import InvertedResiduals, Row, divisible
from kseg.backbones.construction import draws_graph
from kseg.layers import Normalize

# expansion, channels, repeats, stride of the first (table 2 of the paper)
GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
HALF = (127.5, 127.5, 127.5)


@keras.saving.register_keras_serializable(package="kseg")
class MobileNetV2(Backbone):
    """MobileNetV2 (Sandler et al. 2018) in TensorFlow's and in PyTorch's form.

    The defaults are TensorFlow's (slim, research/deeplab, Hugging Face's copies of them); torchvision's is
    `padding="symmetric", mean=TORCH["mean"], std=TORCH["std"], epsilon=1e-5`. Layers are named by blocks in order:
    `stem_conv`, `block<i>_expand_conv`, `block<i>_dw_conv`, `block<i>_project_conv`, `last_conv`; normalisations end
    in `_bn`.

    Args:
        output_stride: 32, 16 or 8; strides beyond it become dilation.
        first_rate: rate of a block that no longer strides: "previous", the rate of the blocks before it
            (TensorFlow), or "stage", the rate of those after it.
        stage_block: which map is a stage: "last", that of the block before the next stride, or "first", that
            of the block that strides.
        padding: "same" (TensorFlow) or "symmetric" (PyTorch).
        last_filters: filters of the last 1x1 convolution, 1280 in the classifier; None leaves it out, as
            DeepLab does.
        width: factor on all other channels, which stay multiples of 8.
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
        A dict of the stages "stage1" (stride 2) to "stage5" (32, or the output stride).

    Reference:
        Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018; released code
        tensorflow/models research/slim `nets/mobilenet`.

    Example:

    >>> backbone = kseg.backbones.MobileNetV2(output_stride=8, last_filters=None, width=0.25)
    >>> [features.shape[-1] for features in backbone.stages.values()]
    [8, 8, 8, 24, 80]
    """

    @draws_graph
    def __init__(
        self,
        *,
        output_stride: int = 32,
        first_rate: str = "previous",
        stage_block: str = "last",
        padding: str = "same",
        last_filters: int | None = 1280,
        width: float = 1.0,
        mean: Sequence[float] = HALF,
        std: Sequence[float] = HALF,
        epsilon: float = 1e-3,
        momentum: float = 0.99,
        synchronized: bool = False,
        weights: str | Path | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        settings = {
            "output_stride": checks.one_of(output_stride, "output_stride", (32, 16, 8)),
            "first_rate": checks.one_of(first_rate, "first_rate", ("stage", "previous")),
            "stage_block": checks.one_of(stage_block, "stage_block", ("last", "first")),
            "padding": checks.one_of(padding, "padding", ("symmetric", "same")),
            "last_filters": None if last_filters is None else checks.whole(last_filters, "last_filters"),
            "width": checks.number(width, "width", above=0),
            "mean": checks.numbers(mean, "mean", count=3),
            "std": checks.numbers(std, "std", count=3, above=0),
            "epsilon": checks.number(epsilon, "epsilon", above=0),
            "momentum": checks.fraction(momentum, "momentum"),
            "synchronized": checks.flag(synchronized, "synchronized"),
        }
        draw = InvertedResiduals(padding, epsilon, momentum, synchronized)
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(mean, std, name="normalize")(image)
        x = draw.convolution(x, divisible(32 * width), 3, "stem", 2, "relu6")
        rows, channels = [], x.shape[-1]
        for expansion, filters, repeats, stride in GROUPS:
            for repeat in range(repeats):
                own = divisible(filters * width)
                step = stride if repeat == 0 else 1
                rows.append(Row(3, expansion * channels, own, step, False, "relu6"))
                channels = own
        x, stages = draw.stages(x, rows, output_stride, first_rate, stage_block)
        if last_filters is not None:
            x = draw.convolution(x, last_filters, 1, "last", 1, "relu6")
        super().__init__(image, {**stages, "stage5": x}, name=name, trainable=trainable)
        self.output_stride, self._settings = output_stride, settings
        if weights is not None:
            weight_files.load(self, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings, "weights": None}
