"""PSPNet (Zhao, Shi, Qi, Wang and Jia)."""

import keras
from keras import layers

from kseg.backbones.construction import draws_graph, graph_settings
from kseg.layers import BatchNormalization, PyramidPooling
from kseg.models.deeplab_v1 import enlarge
from kseg.models.segmenter import Segmenter


@keras.saving.register_keras_serializable(package="kseg")
class PSPNet(Segmenter):
    """PSPNet: pyramid pooling on a dilated backbone, a 3x3 convolution, and a 1x1 convolution that scores.

    Args:
        backbone: a `Backbone` with `output_stride`, in the paper `ResNet(stem="deep", output_stride=8)`; its
            deepest stage is pooled.
        num_classes: number of classes.
        bins: levels of the pyramid, each a grid of n x n bins; their order is that of the concatenation (the
            released Caffe nets have (6, 3, 2, 1)). None at all, () or None, is the paper's baseline.
        filters: width of each level and of the 3x3 convolution.
        mode: "average" or "max" pooling.
        reduce: a 1x1 convolution reduces each level to `filters`; False keeps the backbone's channels.
        dropout: rate before the scores.
        momentum: of the head's BatchNormalization (the share of the old average that is kept).
        synchronized: the head's BatchNormalization averages over all replicas of a distribution strategy.
        align_corners: as in `DeepLabV1`, also for enlarging the levels.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input: `(batch, height, width, 3)`, RGB 0-255. Output: float32 logits `(batch, height, width,
    num_classes)`. The paper's second loss on stage 4 belongs to training: `with_auxiliary_head`.

    Source: Zhao et al., "Pyramid scene parsing network", CVPR 2017, section 3; the released deploy files.
    """

    @draws_graph
    def __init__(
        self,
        backbone,
        num_classes,
        *,
        bins=(1, 2, 3, 6),
        filters=512,
        mode="average",
        reduce=True,
        dropout=0.1,
        momentum=0.95,
        synchronized=False,
        align_corners=True,
        name=None,
        trainable=True,
        dtype=None,
    ):
        image = backbone.input
        normalization = {"momentum": momentum, "synchronized": synchronized}
        x, bins = backbone.deepest, () if bins in (None, []) else bins
        if bins != ():
            x = PyramidPooling(filters, bins, mode, reduce, align_corners, name="pyramid", **normalization)(x)
        x = _scores(x, filters, num_classes, dropout, normalization, "")
        logits = enlarge(x, image, backbone.output_stride, align_corners)
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.bins, self.filters, self.mode, self.reduce = tuple(bins), filters, mode, bool(reduce)
        self.dropout, self.momentum, self.synchronized = dropout, momentum, bool(synchronized)
        self.align_corners = bool(align_corners)

    def get_config(self):
        own = {
            "bins": self.bins,
            "filters": self.filters,
            "mode": self.mode,
            "reduce": self.reduce,
            "dropout": self.dropout,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
            "align_corners": self.align_corners,
        }
        return {**super().get_config(), **own}


@graph_settings()
def with_auxiliary_head(model, filters=None):
    """A twin of a `PSPNet` for training, with the paper's second head, on the last stage but one (stage 4).

    It shares every layer with `model`, so training the twin trains `model`, and `model` is what is saved:

        twin = with_auxiliary_head(model)
        weights = {"logits": 1.0, "auxiliary": 0.4}
        twin.compile(optimizer, {"logits": loss, "auxiliary": loss}, loss_weights=weights)

    Args:
        model: a `PSPNet`.
        filters: width of the head's 3x3 convolution; None: half of the model's, as in the paper (256 to 512).

    Returns:
        A Keras model from the image to a dict of two logits tensors of the image's size, "logits" (the
        model's own) and "auxiliary".
    """
    stage, image = list(model.backbone.stages.values())[-2], model.backbone.input
    normalization = {"momentum": model.momentum, "synchronized": model.synchronized}
    filters = filters or model.filters // 2
    x = _scores(stage, filters, model.num_classes, model.dropout, normalization, "auxiliary_")
    stride = model.backbone.output_stride
    logits = enlarge(x, image, min(stride, 16), model.align_corners, "auxiliary")
    return keras.Model(image, {"logits": model.output, "auxiliary": logits}, name=f"{model.name}_training")


def _scores(x, filters, num_classes, dropout, normalization, prefix):
    """3x3 convolution, normalisation, ReLU, dropout, and the 1x1 score layer."""
    x = layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{prefix}conv"
    )(x)
    x = BatchNormalization(epsilon=1e-5, name=f"{prefix}bn", **normalization)(x)
    x = layers.ReLU(name=f"{prefix}relu")(x)
    x = layers.Dropout(dropout, name=f"{prefix}dropout")(x)
    return layers.Conv2D(num_classes, 1, kernel_initializer="he_normal", name=f"{prefix}score")(x)
