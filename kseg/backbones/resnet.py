"""ResNet with holes instead of late strides, the encoder of DeepLab v2 and v3 and of PSPNet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.blocks.residual import ResidualBlocks
from kseg.backbones.construction import draws_graph
from kseg.errors import ModelError, SettingsError
from kseg.layers import BatchNormalization, Normalize

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    269: (3, 30, 48, 8),
}
BASIC = (18, 34)  # two 3x3 convolutions a block; the others have bottlenecks
MEAN = (123.68, 116.779, 103.939)
EPSILON = 1.001e-5  # keras.applications'; Caffe's and PyTorch's is 1e-5
# The arguments with which a ResNet is PyTorch's (torchvision, timm, semseg, smp).
TORCH = {
    "stride_in": "3x3",
    "ceil_pooling": False,
    "mean": (123.675, 116.28, 103.53),
    "std": (58.395, 57.12, 57.375),
    "bgr": False,
    "epsilon": 1e-5,
}


@keras.saving.register_keras_serializable(package="kseg")
class ResNet(Backbone):
    """ResNet (He et al. 2016) as DeepLab v2 and v3 and PSPNet use it, and in the variants of published weights.

    Layers are named as in keras.applications (`conv2_block1_1_conv` ...). Convolutions have no biases: those
    of keras.applications' weights are added to the moving means, which gives the same features. The defaults
    are Caffe's network; `**kseg.backbones.TORCH` makes it PyTorch's.

    Args:
        depth: 18 or 34 (basic blocks), 50, 101, 152 or 269 (bottlenecks).
        stem: "7x7" (one convolution, 64 filters) or "deep" (three 3x3).
        stem_filters: filters of the deep stem's three convolutions; None is (filters, filters, 2 filters),
            PSPNet's 64, 64 and 128. mmsegmentation's and timm's V1c and V1d have (32, 32, 64).
        output_stride: 32, 16 or 8. Instead of striding, stage 5 (and, for 8, stage 4) is then dilated, at
            rates 2 and 4.
        last_stage: the deepest stage that is drawn, "stage5", "stage4" or "stage3"; the network ends with it
            (segmentation_models.pytorch's PSPNet ends with stage 3).
        first_rate: rate of the first block of a dilated stage: "stage", the rate of the whole stage (Caffe,
            semseg, smp), or "previous", the rate of the stage before (torchvision, mmsegmentation).
        rate_in: which of a basic block's two convolutions are dilated: "both" (smp) or "first" (mmsegmentation).
        multi_grid: factors on the rates of stage 5's blocks, such as (1, 2, 4) in DeepLab v3; None is 1 for all.
        stride_in: "1x1", the first convolution of a bottleneck (original, Caffe, keras.applications), or "3x3"
            (PyTorch).
        shortcut: "convolution" (a 1x1 convolution strides), or "average" (V1d: an average pooling strides before
            it).
        ceil_pooling: the stem's pooling rounds up, as Caffe's does; False rounds down, as keras.applications
            and PyTorch do. They differ by a last row and column where a side of the pooled map is even.
        filters: width of the stem; all others are multiples of it.
        mean, std: of the images, (red, green, blue) in 0-255: the network sees `(image - mean) / std`.
        bgr: True gives the network blue, green, red (Caffe, keras.applications) instead of red, green, blue
            (PyTorch).
        epsilon: epsilon of BatchNormalization.
        momentum: momentum of BatchNormalization (the share of the old average that is kept).
        synchronized: whether BatchNormalization averages over all replicas of a distribution strategy.
        frozen_normalization: True keeps BatchNormalization untrained and on its moving statistics, as in
            DeepLab v2; sensible with pretrained weights.
        weights: None (random), "imagenet" (Keras's verified download; depth 50, 101 or 152 with the 7x7
            stem), a keras.applications ResNet to copy from, or a local file: an .h5 file of
            keras.applications, or an .npz or .weights.h5 file of this network.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        SettingsError: an argument out of its range, or one that the others leave without effect.
        ModelError: weights that cannot be had.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        A dict of the stages "stage1" (stem, stride 2) and "stage2" (4) to "stage5" (32, or the output
        stride).

    Reference:
        He, K. et al., "Deep residual learning for image recognition", CVPR 2016; He, T. et al., "Bag of
        tricks for image classification with convolutional neural networks", CVPR 2019 (V1c, V1d); the
        released deploy files of DeepLab v2 and PSPNet.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=8, filters=4)
    >>> {name: features.shape[-1] for name, features in backbone.stages.items()}
    {'stage1': 4, 'stage2': 16, 'stage3': 32, 'stage4': 64, 'stage5': 128}
    """

    @draws_graph
    def __init__(
        self,
        depth: int = 50,
        *,
        stem: str = "7x7",
        stem_filters: Sequence[int] | None = None,
        output_stride: int = 32,
        last_stage: str = "stage5",
        first_rate: str = "stage",
        rate_in: str = "both",
        multi_grid: Sequence[int] | None = None,
        stride_in: str = "1x1",
        shortcut: str = "convolution",
        ceil_pooling: bool = True,
        filters: int = 64,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = (1.0, 1.0, 1.0),
        bgr: bool = True,
        epsilon: float = EPSILON,
        momentum: float = 0.95,
        synchronized: bool = False,
        frozen_normalization: bool = False,
        weights: str | Path | keras.Model | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        depth, filters = checks.one_of(depth, "depth", tuple(BLOCKS)), checks.whole(filters, "filters")
        blocks = ResidualBlocks(
            depth in BASIC, first_rate, rate_in, stride_in, shortcut, epsilon, momentum, synchronized
        )
        if stem_filters is not None:
            if stem != "deep":
                raise SettingsError("`stem_filters` are those of stem='deep'; the 7x7 stem has `filters`.")
            stem_filters = checks.wholes(stem_filters, "stem_filters", count=3)
        if multi_grid is not None:
            if last_stage != "stage5":
                raise SettingsError(
                    f"`multi_grid` is for stage 5, which last_stage={last_stage!r} leaves out."
                )
            multi_grid = checks.wholes(multi_grid, "multi_grid", count=BLOCKS[depth][3])
        settings = {
            "depth": depth,
            "stem": checks.one_of(stem, "stem", ("7x7", "deep")),
            "stem_filters": stem_filters,
            "output_stride": checks.one_of(output_stride, "output_stride", (32, 16, 8)),
            "last_stage": checks.one_of(last_stage, "last_stage", ("stage5", "stage4", "stage3")),
            "multi_grid": multi_grid,
            "first_rate": first_rate,
            "rate_in": rate_in,
            "stride_in": stride_in,
            "shortcut": shortcut,
            "ceil_pooling": checks.flag(ceil_pooling, "ceil_pooling"),
            "filters": filters,
            "mean": checks.numbers(mean, "mean", count=3),
            "std": checks.numbers(std, "std", count=3, above=0),
            "bgr": checks.flag(bgr, "bgr"),
            "epsilon": float(epsilon),
            "momentum": float(momentum),
            "synchronized": bool(synchronized),
            "frozen_normalization": checks.flag(frozen_normalization, "frozen_normalization"),
        }
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(mean, std, bgr, name="normalize")(image)
        widths = (stem_filters or (filters, filters, 2 * filters)) if stem == "deep" else (filters,)
        before_pooling, x = blocks.stem(x, widths, ceil_pooling)
        stages = blocks.stages(x, BLOCKS[depth], filters, output_stride, last_stage, multi_grid)
        super().__init__(image, {"stage1": before_pooling, **stages}, name=name, trainable=trainable)
        self._settings = settings
        self.depth, self.stem, self.output_stride, self.filters = depth, stem, output_stride, filters
        self.stem_filters, self.multi_grid = stem_filters, multi_grid
        if frozen_normalization:
            for layer in self.layers:
                if isinstance(layer, BatchNormalization):
                    layer.trainable = False
        if weights is not None:
            _load(self, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings, "weights": None}


def _load(backbone: ResNet, weights: str | Path | keras.Model) -> None:
    """Give a network the weights of a keras.applications ResNet or of a file."""
    if isinstance(weights, str) and weights == "imagenet":
        weights = _imagenet_classifier(backbone)
    if isinstance(weights, keras.Model):
        _copy(weights, backbone)
    else:
        _absorb(backbone, weight_files.load(backbone, weights))


def _imagenet_classifier(backbone: ResNet) -> keras.Model:
    classifiers = {
        50: keras.applications.ResNet50,
        101: keras.applications.ResNet101,
        152: keras.applications.ResNet152,
    }
    if backbone.stem != "7x7" or backbone.filters != 64 or backbone.depth not in classifiers:
        raise ModelError(
            "Keras has ImageNet weights for ResNet-50, 101 and 152 with the 7x7 stem, not for "
            f"ResNet-{backbone.depth} with the {backbone.stem} stem of {backbone.filters} filters; "
            "give weights=None or a local weights file."
        )
    try:
        return classifiers[backbone.depth](include_top=False, weights="imagenet")
    except Exception as error:  # get_file raises plain Exception
        raise ModelError(
            f"cannot download the ImageNet weights of ResNet-{backbone.depth} ({error}); "
            "give weights=None or a local weights file."
        ) from error


def _copy(classifier: keras.Model, backbone: ResNet) -> None:
    """The weights of a keras.applications ResNet by layer name; its biases move into the moving means."""
    theirs = {layer.name: layer for layer in classifier.layers}
    weight_files.check_depth(
        backbone, [name for name, layer in theirs.items() if layer.weights], classifier.name
    )
    pairs = [(layer, theirs.get(layer.name)) for layer in backbone.layers if layer.weights]
    for layer, source in pairs:
        shapes = [tuple(w.shape) for w in source.weights] if source else []
        if [tuple(w.shape) for w in layer.weights] != shapes[: len(layer.weights)]:
            raise ModelError(
                f"{classifier.name} has no layer {layer.name} of the shape that {backbone.name} needs: "
                "copy from the keras.applications ResNet of the same depth, with the 7x7 stem."
            )
    for layer, source in pairs:
        for variable, value in zip(layer.weights, source.weights, strict=False):
            variable.assign(value)
    _absorb(backbone, {f"{name}/bias": getattr(layer, "bias", None) for name, layer in theirs.items()})


def _absorb(backbone: ResNet, biases: dict[str, Any]) -> None:
    """Move biases of convolutions, by "<layer>/bias", into the moving means after them."""
    for layer in backbone.layers:
        bias = biases.get(layer.name.replace("_bn", "_conv") + "/bias")
        if isinstance(layer, BatchNormalization) and bias is not None:
            layer.moving_mean.assign(layer.moving_mean - bias)
