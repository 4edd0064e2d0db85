"""DeepLab v1 (Chen, Papandreou, Kokkinos, Murphy and Yuille)."""

from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of

MULTI_SCALE_FILTERS = 128


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabV1(Segmenter):
    """DeepLab v1: a 1x1 convolution scores the map of a dilated backbone, and the scores are upsampled bilinearly.

    Args:
        backbone: a `Backbone` with `output_stride`, such as `DeepLabVGG16`; its deepest stage is scored.
        num_classes: number of classes.
        multi_scale: True builds the MSc network: the normalised image and stages 1 to 4 (`pool1` to `pool4`) each
            go through a 3x3 and a 1x1 convolution of 128 filters, with ReLU and dropout, and are scored
            together with the deepest stage. "dense" is its form for testing: the branches see every cell of their
            maps, not only those under the deepest stage's, and their scores are summed at the image's size.
        dropout: dropout rate in those branches, in [0, 1).
        align_corners: True puts cell i over pixel `output_stride * i` (backbones with symmetric padding, as
            in the release); False spreads the cells evenly over the image (EfficientNet-Lite).
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`). None means "cells", or "centres" without `align_corners`.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits. With aligned corners `logits[:, ::8, ::8]` are
        the scores before interpolation; the release computes its loss there, on the labels at the same
        places.

    Reference:
        Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR
        2015, section 3; the released `train.prototxt`, and `test.prototxt` for "dense".

    Example:

    >>> backbone = kseg.backbones.DeepLabVGG16(widths=(4, 4, 8, 8, 8), filters=16)
    >>> kseg.models.DeepLabV1(backbone, num_classes=3).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        multi_scale: bool | str = False,
        dropout: float = 0.5,
        align_corners: bool = True,
        upsampling: str | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        way = upsampling or ("cells" if checks.flag(align_corners, "align_corners") else "centres")
        dense = isinstance(multi_scale, str)
        multi_scale = checks.one_of(multi_scale, "multi_scale", (False, True, "dense"))
        dropout = checks.fraction(dropout, "dropout", one=False)
        image, x, own = backbone.input, backbone.deepest, backbone.free_name
        branches = {}
        if multi_scale:  # pixels from one cell of the map to the next, and cells of it to one of the deepest map
            sources = {"image": (backbone.get_layer("normalize").output, 1, 8)}
            for number, (stride, step) in enumerate(((2, 4), (4, 2), (8, 1), (8, 1)), start=1):
                sources[f"pool{number}"] = (backbone.stages[f"stage{number}"], stride, step)
            for source, (features, stride, step) in sources.items():
                branches[source] = _branch(source, features, 1 if dense else step, dropout, own), stride
        if branches and not dense:
            x = layers.Concatenate(name=own("multi_scale"))([x, *(features for features, _ in branches.values())])
        gaussian = keras.initializers.RandomNormal(stddev=0.01)  # as released
        x = layers.Conv2D(num_classes, 1, kernel_initializer=gaussian, name=own("fc8"))(x)
        logits = logits_of(x, backbone, backbone.deepest_stride, way, "fc8_upsampled" if dense else "logits")
        if dense:
            scores = [logits]
            for source, (features, stride) in branches.items():
                score = layers.Conv2D(num_classes, 1, kernel_initializer=gaussian, name=own(f"{source}_score"))
                scores.append(logits_of(score(features), backbone, stride, way, f"{source}_upsampled"))
            logits = layers.Add(name=own("logits"), dtype="float32")(scores)
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.multi_scale, self.dropout = multi_scale, dropout
        self.align_corners, self.upsampling = bool(align_corners), upsampling

    def get_config(self) -> dict[str, Any]:
        own = {
            "multi_scale": self.multi_scale,
            "dropout": self.dropout,
            "align_corners": self.align_corners,
            "upsampling": self.upsampling,
        }
        return {**super().get_config(), **own}


def _branch(name, x, stride, dropout, own):
    if stride > 1:  # the size that this many pixels a cell, rounded up as by Caffe's pooling, give
        x = layers.ZeroPadding2D(((1, stride), (1, stride)), name=own(f"{name}_pad"))(x)
    edges = "valid" if stride > 1 else "same"
    for size, step, padding, suffix in ((3, stride, edges, "conv1"), (1, 1, "same", "conv2")):
        x = layers.Conv2D(
            MULTI_SCALE_FILTERS,
            size,
            step,
            padding,
            activation="relu",
            kernel_initializer="he_normal",
            name=own(f"{name}_{suffix}"),
        )(x)
        x = layers.Dropout(dropout, name=own(f"{name}_{suffix}_drop"))(x)
    return x
