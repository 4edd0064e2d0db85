"""PSPNet (Zhao, Shi, Qi, Wang and Jia)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.errors import ModelError
from kseg.layers import BatchNormalization, Conv2D, PyramidPooling
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of


@keras.saving.register_keras_serializable(package="kseg")
class PSPNet(Segmenter):
    """PSPNet: pyramid pooling on a dilated backbone, a 3x3 convolution, and a 1x1 convolution that scores.

    The paper's second loss on stage 4 belongs to training: see `with_auxiliary_head`.

    Args:
        backbone: a `Backbone` with `output_stride`, in the paper `ResNet(stem="deep", output_stride=8)`; its
            deepest stage is pooled.
        num_classes: number of classes.
        bins: levels of the pyramid, each a grid of n x n bins, in the order of the concatenation (the
            released Caffe networks use (6, 3, 2, 1)). () or None is the paper's baseline without a pyramid.
        filters: width of each level and of the 3x3 convolution.
        level_filters: width of each level; None means `filters`.
        mode: "average" or "max" pooling.
        reduce: whether a 1x1 convolution reduces each level to `filters`; False keeps the backbone's
            channels.
        normalize_global: whether the level of one bin has BatchNormalization; False gives it a bias instead
            (segmentation_models.pytorch; see `kseg.layers.PyramidPooling`).
        kernel: kernel size of the convolution after the pyramid, 3 or 1 (segmentation_models.pytorch).
        score_kernel: kernel size of the convolution that scores, 1 or 3 (segmentation_models.pytorch).
        dropout: dropout rate before the scores, in [0, 1).
        epsilon, momentum, synchronized: of the head's normalisation, as in `keras.layers.BatchNormalization`.
        align_corners: as in `DeepLabV1`; also used for upsampling the levels.
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`). None means "cells", or "centres" without `align_corners`.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        Zhao et al., "Pyramid scene parsing network", CVPR 2017, section 3; the released deploy files.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, stem="deep", output_stride=8, filters=4)
    >>> kseg.models.PSPNet(backbone, num_classes=3, filters=8).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        bins: Sequence[int] | None = (1, 2, 3, 6),
        filters: int = 512,
        level_filters: int | None = None,
        mode: str = "average",
        reduce: bool = True,
        normalize_global: bool = True,
        kernel: int = 3,
        score_kernel: int = 1,
        dropout: float = 0.1,
        epsilon: float = 1e-5,
        momentum: float = 0.95,
        synchronized: bool = False,
        align_corners: bool = True,
        upsampling: str | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        bins = checks.wholes(bins, "bins") if bins else ()
        normalization = {"epsilon": epsilon, "momentum": momentum, "synchronized": synchronized}
        head = ScoreHead(filters, kernel, score_kernel, dropout, normalization)
        x = backbone.deepest
        if bins:
            x = PyramidPooling(
                filters if level_filters is None else level_filters,
                bins,
                mode,
                reduce,
                align_corners,
                normalize_global=normalize_global,
                name=backbone.free_name("pyramid"),
                **normalization,
            )(x)
        way = upsampling or ("cells" if checks.flag(align_corners, "align_corners") else "centres")
        x = head(x, num_classes, backbone.free_name)
        logits = logits_of(x, backbone, backbone.deepest_stride, way)
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.bins, self.filters, self.mode, self.reduce = bins, filters, mode, bool(reduce)
        self.level_filters, self.normalize_global = level_filters, bool(normalize_global)
        self.kernel, self.score_kernel, self.dropout = kernel, score_kernel, dropout
        self.epsilon, self.momentum, self.synchronized = float(epsilon), momentum, bool(synchronized)
        self.align_corners, self.upsampling = bool(align_corners), upsampling

    def get_config(self) -> dict[str, Any]:
        own = {
            "bins": self.bins,
            "filters": self.filters,
            "level_filters": self.level_filters,
            "mode": self.mode,
            "reduce": self.reduce,
            "normalize_global": self.normalize_global,
            "kernel": self.kernel,
            "score_kernel": self.score_kernel,
            "dropout": self.dropout,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
            "align_corners": self.align_corners,
            "upsampling": self.upsampling,
        }
        return {**super().get_config(), **own}


@dataclass(frozen=True)
class ScoreHead:
    """A convolution with normalisation, ReLU and dropout, and the convolution that scores.

    Args:
        filters, kernel: of the convolution.
        score_kernel: of the one that scores.
        dropout: rate between them.
        normalization: arguments of BatchNormalization.
    """

    filters: int
    kernel: int
    score_kernel: int
    dropout: float
    normalization: dict[str, float | bool]

    def __post_init__(self) -> None:
        checks.whole(self.filters, "filters")
        checks.one_of(self.kernel, "kernel", (1, 3))
        checks.one_of(self.score_kernel, "score_kernel", (1, 3))
        checks.fraction(self.dropout, "dropout", one=False)
        checks.number(self.normalization["epsilon"], "epsilon", above=0)
        checks.fraction(self.normalization["momentum"], "momentum")
        checks.flag(self.normalization["synchronized"], "synchronized")

    def __call__(self, x, num_classes, free_name, prefix=""):
        """Scores of a map; the layers are called `<prefix>conv`, `<prefix>bn`, ... `<prefix>score`.

        Where the backbone has a layer of such a name, `free_name` gives another one.
        """
        he = {"padding": "same", "kernel_initializer": "he_normal"}
        x = layers.Conv2D(self.filters, self.kernel, use_bias=False, name=free_name(f"{prefix}conv"), **he)(x)
        x = BatchNormalization(name=free_name(f"{prefix}bn"), **self.normalization)(x)
        x = layers.ReLU(name=free_name(f"{prefix}relu"))(x)
        x = layers.Dropout(self.dropout, name=free_name(f"{prefix}dropout"))(x)
        return Conv2D(num_classes, self.score_kernel, name=free_name(f"{prefix}score"), **he)(x)


@keras.saving.register_keras_serializable(package="kseg")
class TwoHeaded(keras.Model):
    """What `with_auxiliary_head` makes and Keras loads; `kseg.models.load` gives the `segmenter` of its file.

    Attributes:
        segmenter: the network, all of whose layers are this one's too.
        second_head: `filters` and `stage`, as `with_auxiliary_head` takes them.
    """

    @draws_graph
    def __init__(
        self,
        segmenter: Segmenter,
        filters: int | None = None,
        stage: str | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        normalization = {
            key: getattr(segmenter, key, None) for key in ("epsilon", "momentum", "synchronized")
        }
        if None in normalization.values() or not hasattr(segmenter, "upsampling"):
            raise ModelError(
                "an auxiliary head is for PSPNet, DeepLabV3, DeepLabV3Plus and DilatedFCN; got "
                f"{type(segmenter).__name__}"
            )
        backbone, stages = segmenter.backbone, list(segmenter.backbone.stages)
        if stage is None and len(stages) < 2:
            raise ModelError(f"{backbone.name} has one stage, and an auxiliary head needs the last but one")
        stage = checks.one_of(stage, "stage", tuple(stages)) if stage else stages[-2]
        is_pspnet = isinstance(segmenter, PSPNet)
        usual = segmenter.filters // 2 if is_pspnet else 256
        filters = usual if filters is None else filters
        head = ScoreHead(filters, 3, 1, segmenter.dropout if is_pspnet else 0.1, normalization)
        x = head(backbone.stages[stage], segmenter.num_classes, backbone.free_name, "auxiliary_")
        way = segmenter.upsampling or ("cells" if getattr(segmenter, "align_corners", False) else "centres")
        logits = logits_of(x, backbone, backbone.stride_of(stage), way, "auxiliary")
        outputs = {"logits": segmenter.output, "auxiliary": logits}
        super().__init__(backbone.input, outputs, name=name or f"{segmenter.name}_training")
        self.segmenter, self.second_head = segmenter, (filters, stage)
        if not checks.flag(trainable, "trainable"):
            self.trainable = False

    def get_config(self) -> dict[str, Any]:
        filters, stage = self.second_head
        own = {"filters": filters, "stage": stage, "name": self.name, "trainable": self.trainable}
        return {"segmenter": keras.saving.serialize_keras_object(self.segmenter), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "TwoHeaded":
        segmenter = keras.saving.deserialize_keras_object(config["segmenter"], custom_objects)
        return cls(**{**config, "segmenter": segmenter})


def with_auxiliary_head(model: Segmenter, filters: int | None = None, stage: str | None = None) -> TwoHeaded:
    """Make a training model: a network with the PSPNet paper's second head, on the last stage but one (stage 4).

    It shares every layer with `model`, so training it trains `model`, and `model` is what you save:

        training_model = with_auxiliary_head(model)
        weights = {"logits": 1.0, "auxiliary": 0.4}
        training_model.compile(optimizer, {"logits": loss, "auxiliary": loss}, loss_weights=weights)

    Args:
        model: a `PSPNet`, `DeepLabV3`, `DeepLabV3Plus` or `DilatedFCN`; the second head uses its
            normalisation and upsampling.
        filters: width of the head's 3x3 convolution. None means half of a PSPNet's, as in the paper (256 for
            512), and 256 for the others.
        stage: the stage of the backbone that it stands on, such as "stage3"; None is the last but one.

    Returns:
        A Keras model from the image to a dict of two logits tensors of the image's size, "logits" (the
        model's own) and "auxiliary".

    Raises:
        ModelError: another model, or a backbone with a single stage.
        SettingsError: no such stage.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, stem="deep", output_stride=8, filters=4)
    >>> model = kseg.models.PSPNet(backbone, num_classes=3, filters=8)
    >>> sorted(kseg.models.with_auxiliary_head(model).output)
    ['auxiliary', 'logits']
    """
    return TwoHeaded(model, filters, stage)
