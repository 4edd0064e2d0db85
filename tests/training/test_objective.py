"""The form of a model in training: its losses by NumPy, and that outside of training it is the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.backbones import Backbone, DeepLabVGG16
from kseg.errors import ModelError, SettingsError
from kseg.losses import CrossEntropy
from kseg.metrics import MeanIoU
from kseg.models import DeepLabV1, DeepLabV2, MultiScale, PSPNet
from kseg.training import RECIPES, Recipe, objective, objective_of
from kseg.training.compilation import freeze, optimizer_of

RNG = np.random.default_rng(0)
CLASSES = 3


@keras.saving.register_keras_serializable(package="test_twin")
class Tiny(Backbone):
    """Three convolutions of stride 2 and one of 1, symmetric: 8 k + 1 pixels make k + 1 cells, cell i at pixel 8 i."""

    output_stride = 8

    def __init__(self, name="tiny"):
        image = keras.Input((None, None, 3), name="image")
        x = keras.layers.Rescaling(1 / 127, -1, name="normalize")(image)
        stages = {}
        for number, stride in ((2, 2), (3, 2), (4, 2), (5, 1)):
            x = keras.layers.ZeroPadding2D(1)(x)
            x = keras.layers.Conv2D(4, 3, stride, activation="relu", name=f"conv{number}")(x)
            stages[f"stage{number}"] = x
        super().__init__(image, stages, name=name)


def deeplab(**arguments):
    return randomised(DeepLabV2(Tiny(), CLASSES, rates=(1, 2), **arguments))


def randomised(model):
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape) * 0.3)
    return model


def batch(height, width):
    labels = RNG.integers(0, CLASSES, (2, height, width))
    labels[RNG.random(labels.shape) < 0.2] = 255
    return RNG.uniform(0, 255, (2, height, width, 3)).astype("float32"), labels.astype("uint8")


def cross_entropy(labels, logits):
    """The mean over labelled pixels, in float64."""
    logits = np.asarray(logits, np.float64)
    each = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[..., None] % CLASSES, -1)[..., 0]
    )
    return each[labels != 255].mean()


def loss_of(model, recipe, image, labels):
    twin = objective_of(model, recipe).model
    twin.compile("sgd", CrossEntropy())
    return float(twin.compute_loss(image, labels, twin(image, training=True)))


def aligned(x, size, axes=(1, 2)):
    """Bilinear with aligned corners."""
    for axis, length in zip(axes, size, strict=True):
        places = np.linspace(0, x.shape[axis] - 1, length)
        x = np.apply_along_axis(lambda line, p=places: np.interp(p, np.arange(len(line)), line), axis, x)
    return x


def test_without_settings_it_is_the_model():
    model = deeplab()
    twin = objective_of(model, Recipe())
    assert twin.model is model
    assert twin.own_layers == ()


@pytest.mark.parametrize("size", [(33, 41), (32, 45), (8, 10)])
@pytest.mark.parametrize("stride", [8, 3, 1])
def test_label_stride(size, stride):
    model, (image, labels) = deeplab(), batch(*size)
    expected = cross_entropy(labels[:, ::stride, ::stride], np.asarray(model(image))[:, ::stride, ::stride])
    got = loss_of(model, Recipe(label_stride=stride), image, labels)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_scores_themselves_are_scored_where_the_model_has_them():
    twin = objective_of(deeplab(), Recipe(label_stride=8)).model
    assert "logits" not in [layer.name for layer in twin.graph.layers]
    assert twin(batch(33, 41)[0], training=True)["logits"].shape == (2, 5, 6, CLASSES)


def scores_at(model, image, size):
    """Scores of the image brought to a size of 8 k + 1 pixels: they are the logits at every eighth."""
    return np.asarray(model(aligned(image, size).astype("float32")))[:, ::8, ::8]


def four_losses(model, image, labels):
    """Of 33x41 pixels at 1, 0.75 and 0.5, which have 5x6, 4x5 and 3x3 cells, and of their maximum."""
    sizes = {(33, 41): (5, 6), (25, 33): (4, 5), (17, 17): (3, 3)}
    losses, maps = [], []
    for size, cells in sizes.items():
        scores = scores_at(model, image, size)
        assert scores.shape[1:3] == cells
        rows, columns = (
            np.round(np.linspace(0, n - 1, m)).astype(int) for n, m in zip((33, 41), cells, strict=True)
        )
        losses.append(cross_entropy(labels[:, rows][:, :, columns], scores))
        maps.append(aligned(scores, (5, 6)))
    return [*losses, cross_entropy(labels[:, ::8, ::8], np.max(maps, axis=0))], np.max(maps, axis=0)


def test_multi_scale_inputs_have_four_losses():
    model, (image, labels) = deeplab(), batch(33, 41)
    expected, _ = four_losses(model, image, labels)
    recipe = Recipe(input_scales=(0.5, 0.75, 1), label_stride=8)
    np.testing.assert_allclose(loss_of(model, recipe, image, labels), sum(expected), rtol=1e-4)
    assert len(expected) == 4


@pytest.mark.parametrize("size", [(33, 41), (30, 47)])
@pytest.mark.parametrize("align_corners", [True, False])
def test_multi_scale_losses_at_full_size(size, align_corners):
    """At least the term of scale 1 and that of the maximum are those of the model and of its wrapper."""
    model, (image, labels) = deeplab(align_corners=align_corners), batch(*size)
    recipe = Recipe(input_scales=(0.5, 1))
    outputs = objective_of(model, recipe).model(image, training=True)
    assert {name: one.shape[1:3] for name, one in outputs.items()} == dict.fromkeys(
        ("fused", "at_0_5", "at_1"), size
    )
    fused = np.asarray(MultiScale(model, (0.5, 1))(image))
    np.testing.assert_allclose(np.asarray(outputs["fused"]), fused, rtol=1e-5, atol=1e-6)
    if size == (33, 41) or not align_corners:
        np.testing.assert_allclose(
            np.asarray(outputs["at_1"]), np.asarray(model(image)), rtol=1e-4, atol=1e-5
        )
    expected = sum(cross_entropy(labels, one) for one in map(np.asarray, outputs.values()))
    np.testing.assert_allclose(loss_of(model, recipe, image, labels), expected, rtol=1e-5)


def test_the_auxiliary_head_is_trained_beside_the_model():
    backbone = Tiny()
    model = randomised(PSPNet(backbone, CLASSES, bins=(1, 2), filters=4, dropout=0.0))
    twin = objective_of(model, Recipe(auxiliary_weight=0.4, label_stride=8))
    assert [layer.name for layer in twin.own_layers] == ["auxiliary_conv", "auxiliary_bn", "auxiliary_score"]
    theirs = {id(v) for v in model.variables}
    assert {v.path for v in twin.model.trainable_variables if id(v) not in theirs} == {
        v.path for layer in twin.own_layers for v in layer.trainable_variables
    }
    image, labels = batch(33, 41)
    twin.model.compile("sgd", CrossEntropy())
    outputs = twin.model(image, training=True)
    own, auxiliary = (cross_entropy(labels[:, ::8, ::8], outputs[name]) for name in ("logits", "auxiliary"))
    got = float(twin.model.compute_loss(image, labels, outputs))
    np.testing.assert_allclose(got, own + 0.4 * auxiliary, rtol=1e-5)


def test_fit_trains_the_model_and_evaluates_it_as_it_is_saved(tmp_path):
    model, (image, labels) = deeplab(), batch(33, 41)
    before = [np.array(v) for v in model.trainable_variables]
    twin = objective_of(model, Recipe(input_scales=(0.5, 1), label_stride=8)).model
    twin.compile(keras.optimizers.SGD(0.01), CrossEntropy(), metrics=[MeanIoU(CLASSES)], jit_compile=False)
    unsized = tf.data.Dataset.from_tensors((image, labels)).map(  # whole images: sizes known at run time only
        lambda x, y: (tf.ensure_shape(x, (None, None, None, 3)), tf.ensure_shape(y, (None, None, None)))
    )
    history = twin.fit(unsized, epochs=3, validation_data=unsized, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert all(
        np.abs(np.asarray(v) - b).max() > 0 for v, b in zip(model.trainable_variables, before, strict=True)
    )
    model.save(tmp_path / "model.keras")
    saved = keras.saving.load_model(tmp_path / "model.keras")
    logits = np.asarray(saved(image))
    np.testing.assert_allclose(history["val_loss"][-1], cross_entropy(labels, logits), rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(twin(image)), logits)


def test_half_precision():
    with_half = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = deeplab()
        image, labels = batch(33, 41)
        half = loss_of(model, Recipe(label_stride=8, input_scales=(0.5, 1)), image, labels)
    finally:
        keras.config.set_dtype_policy(with_half)
    twin = deeplab()
    for mine, other in zip(twin.variables, model.variables, strict=True):
        mine.assign(other)
    whole = loss_of(twin, Recipe(label_stride=8, input_scales=(0.5, 1)), image, labels)
    np.testing.assert_allclose(half, whole, rtol=0.03)


def test_models_and_settings_that_do_not_fit():
    image = keras.Input((None, None, 3))
    plain = keras.Model(image, keras.layers.Conv2D(CLASSES, 1)(image))
    with pytest.raises(ModelError, match="DilatedFCN"):
        objective_of(deeplab(), Recipe(auxiliary_weight=0.4))
    with pytest.raises(ModelError, match="own models"):
        objective_of(plain, Recipe(input_scales=(0.5, 1)))
    with pytest.raises(SettingsError, match="different"):
        objective_of(deeplab(), Recipe(input_scales=(1, 1)))
    out = objective_of(plain, Recipe(label_stride=4)).model(np.zeros((1, 9, 9, 3)), training=True)
    assert out["logits"].shape == (1, 9, 9, CLASSES)


@pytest.mark.full
@pytest.mark.parametrize("auxiliary", [None, 0.4])
@pytest.mark.parametrize("align_corners", [True, False])
def test_large_logits_are_trained_strip_by_strip_to_the_same_loss(auxiliary, align_corners, monkeypatch):
    model = randomised(PSPNet(Tiny(), CLASSES, filters=4, dropout=0, align_corners=align_corners))
    recipe = Recipe(auxiliary_weight=auxiliary, size=(41, 33), batch_size=2)
    images, labels = batch(41, 33)
    found = []
    for limit in (2**27, 0):
        monkeypatch.setattr(objective, "STRIP_BYTES", limit)
        keras.utils.set_random_seed(5)
        chosen = objective_of(model, recipe)
        chosen.model.compile("sgd", CrossEntropy(), metrics=[MeanIoU(CLASSES)])
        with tf.GradientTape() as tape:
            outputs = chosen.model(images, training=True)
            loss = chosen.model.compute_loss(images, labels, outputs)
        scores = chosen.model.compute_metrics(images, labels, outputs)
        held = [value.shape[1:3] for value in tf.nest.flatten(outputs)]
        assert all(shape == ((41, 33) if limit else (6, 5)) for shape in held)
        found.append((loss, scores["mean_iou"], *tape.gradient(loss, model.trainable_variables)))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


def test_small_logits_need_no_other_model():
    model = PSPNet(Tiny(), CLASSES, filters=4)
    assert objective_of(model, Recipe(size=(41, 33))).model is model
    assert objective_of(model, Recipe(size=None, batch_size=1)).model is model


@pytest.mark.slow
def test_the_second_stage_of_msc_trains_only_what_it_adds():
    """Chen et al. 2015, section 3.3: the other weights stay as the first stage left them."""
    backbone = DeepLabVGG16(filters=4, dropout=0.0, name="vgg16")
    model = DeepLabV1(backbone, CLASSES, multi_scale=True, dropout=0.0)
    recipe = RECIPES["deeplabv1_voc_msc"].replace(learning_rate=0.1)
    before = {v.path: np.array(v) for v in model.variables}
    freeze(model, recipe)
    trained = objective_of(model, recipe).model
    trained.compile(optimizer_of(model, model.layers, recipe, 10), CrossEntropy(), jit_compile=False)
    trained.train_on_batch(*batch(33, 41))
    kept = {v.path for v in backbone.variables}
    for variable in model.variables:
        changed = np.abs(np.asarray(variable) - before[variable.path]).max() > 0
        assert changed != (variable.path in kept), variable.path
    added = {v.path.split("/")[0] for v in model.trainable_variables}
    branches = ("image", "pool1", "pool2", "pool3", "pool4")
    assert added == {"fc8", *(f"{name}_conv{n}" for name in branches for n in (1, 2))}
