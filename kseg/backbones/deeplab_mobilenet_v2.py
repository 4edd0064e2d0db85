"""MobileNetV2 as DeepLab uses it, and narrower: the backbone for a few milliseconds on a CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.blocks.lite_blocks import LITE_STAGES, conv_bn, inverted_residuals
from kseg.backbones.construction import draws_graph
from kseg.layers import Normalize, PadToMultiple

# (repeats, kernel, stride of the first block, expansion, filters) of the seven groups of blocks, table 2
_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (3, 3, 2, 6, 32),
    (4, 3, 2, 6, 64),
    (3, 3, 1, 6, 96),
    (3, 3, 2, 6, 160),
    (1, 3, 1, 6, 320),
)
_EXPANSIONS = tuple(group[3] for group in _GROUPS)
_STEM_FILTERS = 32


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabMobileNetV2(Backbone):
    """MobileNetV2 without its classifier and without the 1280 channels in front of it, as DeepLab uses it.

    Args:
        width: factor on the number of channels, which is rounded to a multiple of 4 (DeepLab's rounding; the
            classifiers of 0.35 and 0.75 round to 8).
        expansions: of the blocks of the seven groups, (1, 6, 6, 6, 6, 6, 6) in the paper; smaller ones in the first
            groups, whose maps are large, save the most time (tools/people/slimming.py keeps a trained
            network's strongest channels).
        output_stride: 32, 16 or 8; strides beyond it become dilation.
        weights: None, or the path of an .npz or .weights.h5 file (see `kseg.backbones.weights.load`).
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255, any size. It is first filled up at the bottom and the right to a
        multiple of the output stride.

    Output shape:
        A dict of five stages at strides 2, 4, 8, 16 and 32. `stage1` to `stage4` are the expanded activations of
        the block that strides next (six times as wide as the block's input), `stage5` is the last block's output.

    Raises:
        SettingsError: another output stride, a width below 0.1, or not seven expansions.
        ModelError: weights that do not fit.

    Reference:
        Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", CVPR 2018. Batch normalisation
        has epsilon 1e-3, and the input is scaled to -1..1, as in the released code.

    Example:

    >>> backbone = kseg.backbones.DeepLabMobileNetV2(0.5)
    >>> {name: stage.shape[-1] for name, stage in backbone.stages.items()}
    {'stage1': 48, 'stage2': 72, 'stage3': 96, 'stage4': 288, 'stage5': 160}
    """

    @draws_graph
    def __init__(
        self,
        width: float = 1.0,
        *,
        expansions: Sequence[int] = _EXPANSIONS,
        output_stride: int = 32,
        weights: str | Path | None = None,
        name: str | None = "deeplab_mobilenet_v2",
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        output_stride = checks.one_of(output_stride, "output_stride", (8, 16, 32))
        width = checks.number(width, "width", least=0.1)
        expansions = checks.wholes(expansions, "expansions", count=len(_GROUPS))
        groups = [
            (*group[:3], expansion, _rounded(group[4] * width))
            for group, expansion in zip(_GROUPS, expansions, strict=True)
        ]
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(name="normalize")(image)
        x = PadToMultiple(output_stride, name="pad")(x)
        x = conv_bn(x, _rounded(_STEM_FILTERS * width), 3, "stem", strides=2)
        x, expanded = inverted_residuals(x, groups, output_stride, None)
        stages = {stage: expanded[layer] for stage, layer in LITE_STAGES.items()}
        super().__init__(image, {**stages, "stage5": x}, name=name, trainable=trainable)
        self.width, self.expansions = width, expansions
        self.output_stride, self.padding = output_stride, "image"
        if weights is not None:
            weight_files.load(self, weights)

    def get_config(self) -> dict[str, Any]:
        # weights=None: a reloaded network gets its weights from the saved file
        own = {
            "width": self.width,
            "expansions": self.expansions,
            "output_stride": self.output_stride,
            "weights": None,
        }
        return {**super().get_config(), **own}


def _rounded(filters: float) -> int:
    """The nearest multiple of 4."""
    return max(4, int(filters / 4 + 0.5) * 4)
