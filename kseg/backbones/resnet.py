"""ResNet with holes instead of late strides, the encoder of DeepLab v2 and PSPNet."""

import keras
from keras import layers

from kseg.backbones import weights as weight_files
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.errors import ModelError
from kseg.layers import AtrousConv2D, BatchNormalization, Normalize

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 269: (3, 30, 48, 8)}
MEAN = (123.68, 116.779, 103.939)
EPSILON = 1.001e-5  # keras.applications'; Caffe's is 1e-5


@keras.saving.register_keras_serializable(package="kseg")
class ResNet(Backbone):
    """ResNet-50, 101, 152 and 269 of bottleneck blocks (He et al. 2016), as DeepLab v2 and PSPNet use them.

    Layers are named as in keras.applications (`conv2_block1_1_conv` ...). Convolutions have no biases: those
    of keras.applications' weights go into the moving means, which gives the same features.

    Args:
        depth: 50, 101, 152 or 269.
        stem: "7x7" (one convolution, 64 filters) or "deep" (three 3x3 of 64, 64 and 128, as in PSPNet).
        output_stride: 32, 16 or 8. Stage 5, and for 8 stage 4, then dilate where they would stride: rates 2
            and 4 in all of a stage's blocks, as released.
        stride_in: "1x1", the first convolution of a block (original, Caffe, keras.applications), or "3x3"
            (PyTorch).
        ceil_pooling: the stem's pooling rounds up, as Caffe's does; False rounds down, as keras.applications
            and PyTorch do. They differ by a last row and column where a side of the pooled map is even.
        filters: width of the stem; all others are multiples of it.
        momentum: of BatchNormalization (the share of the old average that is kept).
        synchronized: BatchNormalization averages over all replicas of a distribution strategy.
        frozen_normalization: BatchNormalization is not trained and always uses its moving statistics, as in
            DeepLab v2; sensible with pretrained weights.
        weights: None (random), "imagenet" (Keras's verified download; depth 50, 101 or 152 with the 7x7
            stem), a keras.applications ResNet (from which they are copied), or a local weights file: an .h5 file of
            keras.applications, or an .npz or .weights.h5 file of this network.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input: `(batch, height, width, 3)`, RGB 0-255. Stages: "stage1" (stem, stride 2), "stage2" (4) to "stage5"
    (32, or the output stride).

    Raises:
        ModelError: unknown depth, stem or output stride, or weights that cannot be had.

    Sources: He et al., "Deep residual learning", CVPR 2016; released deploy files of DeepLab v2 and PSPNet.
    """

    @draws_graph
    def __init__(
        self,
        depth=50,
        *,
        stem="7x7",
        output_stride=32,
        stride_in="1x1",
        ceil_pooling=True,
        filters=64,
        momentum=0.95,
        synchronized=False,
        frozen_normalization=False,
        weights=None,
        name=None,
        trainable=True,
        dtype=None,
    ):
        _check(depth=depth, stem=stem, output_stride=output_stride, stride_in=stride_in)
        draw = _Drawing(stride_in, momentum, synchronized)
        image = keras.Input((None, None, 3), name="image")
        x = Normalize(MEAN, (1, 1, 1), bgr=True, name="normalize")(image)
        x = draw.deep_stem(x, filters) if stem == "deep" else draw.plain_stem(x, filters)
        stages = {"stage1": x}
        margin = (1, 2) if ceil_pooling else (1, 1)
        x = layers.ZeroPadding2D((margin, margin), name="pool1_pad")(x)  # zeros lose against any ReLU
        x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
        stride = 4
        for stage, count in enumerate(BLOCKS[depth], start=2):
            wanted = 2**stage
            step = 2 if stride < wanted <= output_stride else 1
            stride *= step
            x = draw.stage(x, stage, count, filters * 2 ** (stage - 2), step, rate=wanted // stride)
            stages[f"stage{stage}"] = x
        super().__init__(image, stages, name=name, trainable=trainable)
        self.depth, self.stem, self.output_stride, self.stride_in = depth, stem, output_stride, stride_in
        self.ceil_pooling, self.filters, self.momentum = bool(ceil_pooling), filters, momentum
        self.synchronized, self.frozen_normalization = bool(synchronized), bool(frozen_normalization)
        if frozen_normalization:
            for layer in self._normalizations():
                layer.trainable = False
        if weights is not None:
            self._load(weights)

    def get_config(self):
        own = {
            "depth": self.depth,
            "stem": self.stem,
            "output_stride": self.output_stride,
            "stride_in": self.stride_in,
            "ceil_pooling": self.ceil_pooling,
            "filters": self.filters,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
            "frozen_normalization": self.frozen_normalization,
            "weights": None,
        }
        return {**super().get_config(), **own}

    def _normalizations(self):
        return [layer for layer in self.layers if isinstance(layer, BatchNormalization)]

    def _load(self, weights):
        if isinstance(weights, keras.Model):
            _copy(weights, self)
        elif weights == "imagenet":
            _copy(_imagenet_classifier(self), self)
        else:
            _absorb(self, weight_files.load(self, weights))


class _Drawing:
    """Draws convolutions, blocks and stages; holds what they share."""

    def __init__(self, stride_in, momentum, synchronized):
        self.stride_in = stride_in
        self.normalization = {"epsilon": EPSILON, "momentum": momentum, "synchronized": synchronized}

    def plain_stem(self, x, filters):
        return self.conv(x, filters, 7, "conv1", stride=2)

    def deep_stem(self, x, filters):
        x = self.conv(x, filters, 3, "conv1_1", stride=2)
        x = self.conv(x, filters, 3, "conv1_2")
        return self.conv(x, 2 * filters, 3, "conv1_3")

    def stage(self, x, stage, count, filters, stride, rate):
        for block in range(1, count + 1):
            first = block == 1
            x = self.block(x, filters, f"conv{stage}_block{block}", stride if first else 1, rate, first)
        return x

    def block(self, x, filters, name, stride, rate, project):
        """1x1 to fewer channels, 3x3, 1x1 to four times as many, added to the input or its projection."""
        shortcut = self.conv(x, 4 * filters, 1, f"{name}_0", stride, activation=False) if project else x
        early, late = (stride, 1) if self.stride_in == "1x1" else (1, stride)
        x = self.conv(x, filters, 1, f"{name}_1", early)
        x = self.conv(x, filters, 3, f"{name}_2", late, rate)
        x = self.conv(x, 4 * filters, 1, f"{name}_3", activation=False)
        x = layers.Add(name=f"{name}_add")([shortcut, x])
        return layers.ReLU(name=f"{name}_out")(x)

    def conv(self, x, filters, size, name, stride=1, rate=1, activation=True):
        """Convolution `<name>_conv` with symmetric padding, normalisation `<name>_bn`, ReLU `<name>_relu`."""
        shared = {"use_bias": False, "kernel_initializer": "he_normal", "name": f"{name}_conv"}
        if rate > 1:
            x = AtrousConv2D(filters, size, rate, **shared)(x)
        elif stride > 1 and size > 1:  # "same" would pad even sizes on one side
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
            x = layers.Conv2D(filters, size, stride, **shared)(x)
        else:
            x = layers.Conv2D(filters, size, stride, padding="same", **shared)(x)
        x = BatchNormalization(name=f"{name}_bn", **self.normalization)(x)
        return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _check(**arguments):
    known = {
        "depth": tuple(BLOCKS),
        "stem": ("7x7", "deep"),
        "output_stride": (32, 16, 8),
        "stride_in": ("1x1", "3x3"),
    }
    for name, value in arguments.items():
        if value not in known[name]:
            raise ModelError(
                f"ResNet({name}=...) is one of {', '.join(map(str, known[name]))}, not {value!r}."
            )


def _imagenet_classifier(backbone):
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


def _copy(classifier, backbone):
    """The numbers of a keras.applications ResNet by layer name; its biases move into the moving means."""
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


def _absorb(backbone, biases):
    """Move biases of convolutions, by "<layer>/bias", into the moving means behind them."""
    for layer in backbone.layers:
        bias = biases.get(layer.name.replace("_bn", "_conv") + "/bias")
        if isinstance(layer, BatchNormalization) and bias is not None:
            layer.moving_mean.assign(layer.moving_mean - bias)
