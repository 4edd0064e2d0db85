"""Every public class that can be saved gives the same output in a process that only imports kseg."""

import inspect
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import kseg
from kseg import backbones, layers, losses, metrics, models, training

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 41, 54, 3)).astype("float32")


def stages_of(image, width=4):
    """Five strided convolutions: a graph as a user draws one."""
    x, stages = image, {}
    for number in range(1, 6):
        x = keras.layers.Conv2D(width, 3, 2, "same", activation="relu", name=f"own{number}")(x)
        stages[f"stage{number}"] = x
    return stages


def own_backbone():
    image = keras.Input((None, None, 3))
    settings = {"output_stride": 16, "value_range": (0, 1), "name": "own", "trainable": False}
    return backbones.Backbone(image, stages_of(image), **settings)


def own_segmenter():
    """Two tensors of a ResNet, one of them inside of a stage, and layers that are no classes of kseg."""
    backbone = backbones.ResNet(50, filters=2, output_stride=8)
    inside = backbone.get_layer("conv2_block1_2_relu").output
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(backbone.stages["stage3"])
    x = layers.ResizeLike()([x, inside])
    x = keras.layers.Conv2D(3, 1, activation="tanh")(keras.ops.concatenate([x, inside], axis=-1))
    logits = layers.ResizeLike(dtype="float32")([x, backbone.input])
    return models.Segmenter(backbone.input, logits, backbone=backbone, num_classes=3, name="drawn")


def classifier():
    image = keras.Input((32, 32, 3))
    x = keras.layers.BatchNormalization()(stages_of(image)["stage4"])
    return keras.Model(image, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(x)))


def resnet(**changes):
    return backbones.ResNet(18, filters=2, **{"output_stride": 8, **changes})


def small_vgg(**changes):
    return backbones.VGG16(widths=(2, 2, 3, 3, 4), filters=4, **changes)


# Class -> instances with other than default arguments.
NETWORKS = {
    backbones.ChannelBackbone: [
        lambda: backbones.ChannelBackbone(
            backbones.DeepLabMobileNetV2(0.2), 3, value_range=(0, 500), mean=(90, 100, 110), std=70,
            first_convolution="mean", name="other",
        )
    ],
    backbones.DeepLabMobileNetV2: [
        lambda: backbones.DeepLabMobileNetV2(0.2, expansions=(1, 2, 3, 3, 2, 2, 2), output_stride=16, name="narrow")
    ],
    models.LiteFPN: [
        lambda: models.LiteFPN(
            backbones.DeepLabMobileNetV2(0.2), 3, context=5, levels=(("stage3", 6, 4), ("stage2", 5, 3)), decoder=2,
            dropout=0.3, momentum=0.7, synchronized=True,
        )
    ],
    backbones.Backbone: [own_backbone],
    backbones.ClassifierBackbone: [
        lambda: backbones.from_classifier(
            classifier(), 8, layers.Normalize((9.0,) * 3, (7.0,) * 3), name="of_classifier"
        ),
        lambda: backbones.from_classifier(classifier(), padding="same", stage_maps="last"),
    ],
    backbones.VGG16: [lambda: small_vgg(padding="original", mean=(1, 2, 3), dropout=0.25)],
    backbones.VGG16BatchNorm: [
        lambda: backbones.VGG16BatchNorm(
            widths=(2, 2, 3, 3, 4), filters=4, fc6_padding="same", mean=(1, 2, 3)
        )
    ],
    backbones.DeepLabVGG16: [
        lambda: backbones.DeepLabVGG16(
            widths=(2, 2, 3, 3, 4), kernel=4, rate=3, filters=5, mean=(1, 2, 3), pool_size=2, average=False,
            dropout=0.25,
        )
    ],
    backbones.ResNet: [
        lambda: backbones.ResNet(
            101, stem="deep", stem_filters=(1, 2, 3), output_stride=16, first_rate="previous", multi_grid=(1, 2, 3),
            stride_in="3x3", shortcut="average", ceil_pooling=False, filters=1, mean=(1, 2, 3), std=(4, 5, 6),
            bgr=False, epsilon=0.1, momentum=0.5, synchronized=True, frozen_normalization=True,
        ),
        lambda: backbones.ResNet(18, rate_in="first", output_stride=8, filters=2, last_stage="stage4"),
    ],
    backbones.EfficientNetLite: [
        lambda: backbones.EfficientNetLite(
            "lite1", output_stride=8, weights=None, last_stage="stage3", padding="image", image_scale=0.75
        ),
    ],
    backbones.MobileNetV3: [
        lambda: backbones.MobileNetV3(
            "small", output_stride=8, first_rate="previous", stage_block="first", padding="same", width=0.25,
            mean=(1, 2, 3), std=(4, 5, 6), epsilon=0.1, momentum=0.5, synchronized=True,
        )
    ],
    backbones.MobileNetV2: [
        lambda: backbones.MobileNetV2(
            output_stride=8, first_rate="stage", stage_block="first", padding="symmetric", last_filters=None,
            width=0.25, mean=(1, 2, 3), std=(4, 5, 6), epsilon=0.1, momentum=0.5, synchronized=True,
        )
    ],
    models.FCN: [
        lambda: models.FCN(
            small_vgg(), 3, stride=16, learned_upsampling="intermediate", skip_scales=(0.5, 0.25)
        )
    ],
    models.DeconvNet: [
        lambda: models.DeconvNet(
            backbones.VGG16BatchNorm(widths=(2, 2, 3, 3, 4), filters=4), 3, depths=(1, 2, 1, 1, 1), kernel_std=0.3
        )
    ],
    models.DeepLabV1: [
        lambda: models.DeepLabV1(
            backbones.DeepLabVGG16(widths=(2, 2, 3, 3, 4), filters=5), 3, multi_scale=True, dropout=0.25,
            align_corners=False, upsampling="size",
        )
    ],
    models.DeepLabV2: [
        lambda: models.DeepLabV2(
            resnet(), 3, rates=(1, 3), hidden=4, dropout=0.25, align_corners=False, upsampling="corners"
        )
    ],
    models.DeepLabV3: [
        lambda: models.DeepLabV3(
            resnet(), 3, rates=(2,), image_level=False, filters=5, projection=3, head=False, dropout=0.3,
            upsampling="cells", epsilon=0.1, momentum=0.5, synchronized=True,
        )
    ],
    models.DeepLabV3Plus: [
        lambda: models.DeepLabV3Plus(
            resnet(), 3, rates=(2, 3), image_level=False, filters=5, normalize_depthwise=False, projection=3, mix=True,
            low_level="stage1", low_level_filters=3, decoder_convolutions=1, dropout=0.3, align_corners=True,
            upsampling="size", epsilon=0.1, momentum=0.5, synchronized=True,
        ),
        lambda: models.DeepLabV3Plus(resnet(), 3, filters=5, separable=False, decoder_kernel=1),
    ],
    models.DilatedFCN: [
        lambda: models.DilatedFCN(
            resnet(), 3, convolutions=2, concatenate=True, filters=5, kernel=1, dropout=0.3, upsampling="cells",
            epsilon=0.1, momentum=0.5, synchronized=True,
        )
    ],
    models.PSPNet: [
        lambda: models.PSPNet(
            resnet(), 3, bins=(3, 1), filters=5, mode="max", reduce=False, kernel=1, score_kernel=3, dropout=0.3,
            epsilon=0.1, momentum=0.5, synchronized=True, align_corners=False, upsampling="size", level_filters=4,
            normalize_global=False,
        )
    ],
    models.UNet: [
        lambda: models.UNet(
            resnet(), 3, filters=(4, 3, 2), convolutions=1, score_kernel=1, epsilon=0.1, momentum=0.5,
            synchronized=True,
        )
    ],
    models.FPN: [
        lambda: models.FPN(
            resnet(), 3, stages=("stage2", "stage4"), pyramid_filters=4, filters=6, groups=3, dropout=0.3,
            upsampling="size", epsilon=0.1,
        )
    ],
    models.LRASPP: [
        lambda: models.LRASPP(
            resnet(), 3, filters=5, low_level="stage2", upsampling="cells", epsilon=0.1, momentum=0.5,
            synchronized=True,
        )
    ],
    models.MultiScale: [lambda: models.MultiScale(models.DeepLabV2(resnet(), 3, rates=(1,)), (1.0, 0.5))],
    models.Segmenter: [own_segmenter, lambda: drawn_on(own_backbone())],
}  # fmt: skip
LAYERS = {
    layers.AtrousConv2D: lambda: layers.AtrousConv2D(4, (2, 3), (3, 2), "valid", use_bias=False),
    layers.AtrousSpatialPyramidPooling: lambda: layers.AtrousSpatialPyramidPooling(3, (1, 4), 5, 0.25, "l2"),
    layers.BatchNormalization: lambda: layers.BatchNormalization(
        momentum=0.5, epsilon=0.1, synchronized=True
    ),
    layers.BilinearUpsampling: lambda: layers.BilinearUpsampling(3, True, "valid"),
    layers.Conv2D: lambda: layers.Conv2D(3, (3, 5), padding="same", dilation_rate=2),
    layers.DepthwiseConv2D: lambda: layers.DepthwiseConv2D((3, 5), padding="same", dilation_rate=2),
    layers.DilatedPooling2D: lambda: layers.DilatedPooling2D((2, 3), 3, ((1, 2), (0, 3)), "average"),
    layers.Normalize: lambda: layers.Normalize((1, 2, 3), (4, 5, 6), True),
    layers.PadToLeast: lambda: layers.PadToLeast(60),
    layers.PadToMultiple: lambda: layers.PadToMultiple(16, least=48),
    layers.PyramidPooling: lambda: layers.PyramidPooling(4, (1, 3), "max", True, False, 0.5, 0.1, True, "l2", False),
    layers.ScaledImage: lambda: layers.ScaledImage(0.5, 4),
}
PAIRS = {
    layers.CropLike: lambda: layers.CropLike(5),
    layers.ResizeLike: lambda: layers.ResizeLike("nearest", False, 1.5),
    layers.ZoomLike: lambda: layers.ZoomLike(4),  # of old files
}
SWITCHES = {layers.MaxPoolingWithArgmax2D, layers.MaxUnpooling2D}
OBJECTS = {
    losses.KerasLoss: lambda: losses.KerasLoss(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True), 7, (0.5, 1.0, 2.0)
    ),
    losses.WeightedSum: lambda: losses.WeightedSum([losses.CrossEntropy(), losses.Dice()], [1.0, 0.5]),
    layers.DepthToSpace: lambda: layers.DepthToSpace(3),
    losses.CrossEntropy: lambda: losses.CrossEntropy(7, (0.5, 1.0, 2.0), 0.5, None, 3, 0.4, "sum", 5),
    metrics.ConfusionMatrix: lambda: metrics.ConfusionMatrix(3, 7),
    metrics.MeanIoU: lambda: metrics.MeanIoU(3, 7),
    metrics.IoU: lambda: metrics.IoU(["a", "b"], 7, "own", None, False, 0.3, "multilabel"),
    metrics.Dice: lambda: metrics.Dice(["a", "b"], 7, "own", None, False, 0.3, "multilabel"),
    metrics.PixelAccuracy: lambda: metrics.PixelAccuracy(2, 7, "own", None, False, 0.3),
    metrics.BoundaryF1: lambda: metrics.BoundaryF1(2, 1.5, 7, "own", None, False, 0.3),
    training.SGD: lambda: training.SGD(0.5, 0.8, True, 0.1, {"a": 2.0}, 3.0),
    training.AdamW: lambda: training.AdamW(0.5, 0.1, {"a": 2.0}, 3.0),
    training.Poly: lambda: training.Poly(0.5, 10, 0.7, 3),
    training.Step: lambda: training.Step(0.5, 4, 0.3, 2),
}


def drawn_on(backbone):
    x = keras.layers.Conv2D(3, 1, name="score")(backbone.deepest)
    logits = layers.ResizeLike(dtype="float32", name="logits")([x, backbone.input])
    return models.Segmenter(backbone.input, logits, backbone=backbone, num_classes=3)


def of_layer(make):
    image = keras.Input((None, None, 3))
    return keras.Model(image, make()(image))


def of_pair(make):
    image = keras.Input((None, None, 3))
    like = keras.layers.MaxPooling2D(2)(image)
    return keras.Model(image, make()([image, like]))


def of_switches():
    image = keras.Input((None, None, 3))
    settings = ((3, 2), (2, 3), "valid")
    pooled, argmax = layers.MaxPoolingWithArgmax2D(*settings)(image)
    return keras.Model(image, layers.MaxUnpooling2D(*settings)([pooled, argmax, image]))


def saveable():
    """The public classes with a config."""
    found = []
    for part in kseg._PARTS:
        module = getattr(kseg, part)
        found += [v for n in module.__all__ if inspect.isclass(v := getattr(module, n))]
    return [kind for kind in found if hasattr(kind, "get_config")]


def with_no_arguments_but_sizes(kind):
    """An instance of a class that the tables do not have: all defaults."""
    required = {"num_classes": 3, "learning_rate": 0.1, "steps": 10, "every": 4, "classes": 3}
    names = inspect.signature(kind).parameters
    return kind(
        **{name: required[name] for name, p in names.items() if p.default is p.empty and name in required}
    )


def randomise(model, rng):
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            low, high = (0.5, 1.5) if variable.path.endswith(("variance", "gamma")) else (-0.5, 0.5)
            variable.assign(rng.uniform(low, high, variable.shape))


LOAD = """
import json, sys
import keras, numpy as np
import kseg
folder = sys.argv[1]
image = np.load(folder + "/image.npy")
wrong = []
for line in json.load(open(folder + "/models.json")):
    name, kind = line
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    found = keras.tree.flatten(model(image))
    expected = np.load(f"{folder}/{name}.npz")
    same = len(found) == len(expected.files) and all(
        np.array_equal(np.asarray(y), expected[f"arr_{i}"]) for i, y in enumerate(found)
    )
    if not same or type(model).__name__ != kind:
        wrong.append(name)
for text, expected in json.load(open(folder + "/objects.json")):
    again = keras.saving.deserialize_keras_object(json.loads(text))
    if json.dumps(keras.saving.serialize_keras_object(again), sort_keys=True) != expected:
        wrong.append(text)
assert not wrong, wrong
"""


@pytest.mark.full
def test_same_output_in_a_fresh_process(tmp_path):
    rng = np.random.default_rng(1)
    networks = [make() for makers in NETWORKS.values() for make in makers]
    networks += [of_layer(make) for make in LAYERS.values()] + [of_pair(make) for make in PAIRS.values()]
    networks.append(of_switches())
    lines = []
    for number, model in enumerate(networks):
        randomise(model, rng)
        model.save(tmp_path / f"{number}.keras")
        outputs = [np.asarray(y) for y in keras.tree.flatten(model(IMAGE))]
        assert all(np.isfinite(y).all() for y in outputs), type(model).__name__
        np.savez(tmp_path / f"{number}.npz", *outputs)
        lines.append([str(number), type(model).__name__])
    known = {*NETWORKS, *LAYERS, *PAIRS, *SWITCHES, *OBJECTS}
    objects = [make() for make in OBJECTS.values()]
    objects += [with_no_arguments_but_sizes(kind) for kind in saveable() if kind not in known]
    configs = [json.dumps(keras.saving.serialize_keras_object(o), sort_keys=True) for o in objects]
    (tmp_path / "objects.json").write_text(json.dumps([[text, text] for text in configs]))
    (tmp_path / "models.json").write_text(json.dumps(lines))
    np.save(tmp_path / "image.npy", IMAGE)
    command = [sys.executable, "-c", LOAD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


# Arguments that a config does not keep: weights lie in the file, tensors and layers in the graph.
KEPT_ELSEWHERE = {
    "weights",
    "image",
    "logits",
    "stages",
    "backbone",
    "model",
    "classifier",
    "trainable",
    "dtype",
}
UNTOUCHED = {  # and those whose other values the tables leave out
    backbones.EfficientNetLite: {"include_top", "num_classes"},  # of the classifier alone
    layers.PyramidPooling: {"reduce"},  # False leaves nothing to normalise: in PSPNet's row
    layers.ResizeLike: {"align_corners"},  # not beside a factor: in PSPNet's row
}
KERAS_S = {layers.BatchNormalization, layers.Conv2D, layers.DepthwiseConv2D}  # Keras's own arguments


@pytest.mark.parametrize("kind", [*NETWORKS, *LAYERS, *PAIRS], ids=lambda kind: kind.__name__)
def test_every_argument_is_kept(kind):
    """The config has each argument of the constructor, and the tables another value than its default."""
    makers = NETWORKS.get(kind) or [LAYERS.get(kind) or PAIRS.get(kind)]
    configs = [make().get_config() for make in makers]
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        skipped = name == "self" or parameter.kind is parameter.VAR_KEYWORD or name in KEPT_ELSEWHERE
        if skipped or kind in KERAS_S or name in UNTOUCHED.get(kind, ()):
            continue
        assert name in configs[0], name
        if parameter.default is not parameter.empty:
            assert any(as_text(c[name]) != as_text(parameter.default) for c in configs), name


def as_text(value):
    return json.dumps(value, default=str)
