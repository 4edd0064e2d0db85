"""Stages that are computed twice: training is as without, down to moving statistics and dropout."""

import keras
import numpy as np
import pytest
from keras import layers

import kseg
from kseg.errors import SettingsError
from kseg.layers import BatchNormalization, DepthwiseConv2D
from kseg.models import Segmenter
from kseg.ops import depthwise
from kseg.training import Recipe, fit, objective_of
from kseg.training.rematerialization import Rematerialized

CLASSES = 3
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(0, 255, (4, 16, 24, 3)).astype("float32")
LABELS = RANDOM.integers(0, CLASSES, (4, 16, 24))
EXACT = keras.backend.backend() != "jax"  # whose compiler joins other operations in the second pass


@pytest.fixture(autouse=True)
def compiled_where_there_is_time(request, monkeypatch):
    """XLA takes seconds for a dilated depthwise convolution: it is Keras's but in the suite full."""
    if request.node.get_closest_marker("full") is None:
        monkeypatch.setattr(depthwise, "LEAST_PIXELS", 10**6)


def network(regularizer=None):
    """A head that reads the stages, a map from the midst of one, and the image."""
    keras.utils.set_random_seed(1)
    image = x = keras.Input((None, None, 3), name="image")
    stages = {}
    for number in (1, 2, 3):
        x = layers.Conv2D(4, 3, padding="same", name=f"conv{number}", activity_regularizer=regularizer)(x)
        if number == 2:  # whose training step is not Keras's: the second time it must be the same
            x = DepthwiseConv2D(3, padding="same", dilation_rate=2, name="dilated")(x)
        x = BatchNormalization(momentum=0.5, name=f"norm{number}")(x)
        inner = x = layers.ReLU(name=f"relu{number}")(x)
        stages[f"stage{number}"] = x = layers.Dropout(0.4, name=f"dropout{number}")(x)
    backbone = kseg.backbones.Backbone(image, stages)
    joined = layers.Concatenate(name="joined")([stages["stage1"], inner, x, image])
    logits = layers.Conv2D(CLASSES, 1, name="score")(joined)
    return Segmenter(image, logits, backbone=backbone, num_classes=CLASSES)


def trained(remat, steps=2, **settings):
    """The network after steps of Keras's own `fit`, and the losses."""
    model = network(**settings)
    training = objective_of(model, Recipe(remat=remat)).model
    training.compile(kseg.training.SGD(0.3, momentum=0.9), kseg.losses.CrossEntropy(), jit_compile=False)
    history = training.fit(IMAGES, LABELS, batch_size=4, epochs=steps, verbose=0).history
    return model, history["loss"]


def check_equal(one, other):
    assert len(one.variables) == len(other.variables)
    for left, right in zip(one.variables, other.variables, strict=True):
        left, right = keras.ops.convert_to_numpy(left.value), keras.ops.convert_to_numpy(right.value)
        if EXACT:
            np.testing.assert_array_equal(left, right)
        else:
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "remat", ["all", *(pytest.param(one, marks=pytest.mark.full) for one in [("stage1", "stage3"), ("stage2",)])]
)
def test_training_is_as_without_it(remat):
    model, losses = trained(remat)
    plain, expected = trained(None)
    check_equal(model, plain)
    np.testing.assert_allclose(losses, expected, rtol=0 if EXACT else 1e-5)
    assert any(np.any(np.asarray(layer.moving_mean)) for layer in model.layers if "norm" in layer.name)


@pytest.mark.full
def test_losses_that_layers_add_count():
    model, losses = trained("all", steps=1, regularizer=keras.regularizers.L2(0.1))
    plain, expected = trained(None, steps=1, regularizer=keras.regularizers.L2(0.1))
    check_equal(model, plain)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert losses[0] > trained("all", steps=1)[1][0]


@pytest.mark.tensorflow
@pytest.mark.full
def test_only_what_is_chosen_is_computed_again():
    import tensorflow as tf

    def convolutions(*chosen):
        model = network()
        again = Rematerialized(model, model.backbone.stages, chosen)

        @tf.function
        def gradient(image):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(again(image)[0])
            return tape.gradient(loss, model.trainable_variables)

        operations = gradient.get_concrete_function(tf.TensorSpec((2, 16, 24, 3))).graph.get_operations()
        return sum(operation.type == "Conv2D" for operation in operations)

    assert [convolutions("stage2"), convolutions("stage1", "stage3"), convolutions("all")] == [5, 6, 7]


def test_the_model_itself_stays_as_it_is(tmp_path):
    model, _ = trained("all", steps=1)
    model.save(tmp_path / "model.keras")
    names = [layer.name for layer in model.layers]
    again = kseg.models.load(tmp_path / "model.keras")
    assert [layer.name for layer in again.layers] == names
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(again(IMAGES)), keras.ops.convert_to_numpy(model(IMAGES))
    )


def test_what_cannot_be():
    with pytest.raises(
        SettingsError, match="remat names stage7, but the backbone's stages are stage1, stage2"
    ):
        objective_of(network(), Recipe(remat=("stage1", "stage7")))
    with pytest.raises(SettingsError, match="input_scales or remat"):
        Recipe(remat="all", input_scales=(0.5, 1.0))
    with pytest.raises(SettingsError, match="remat is 3"):
        Recipe(remat=3)
    image = keras.Input((None, None, 3))
    with pytest.raises(SettingsError, match="need a model with a `backbone`"):
        objective_of(keras.Model(image, layers.Conv2D(3, 1)(image)), Recipe(remat="all"))


@pytest.mark.tensorflow
@pytest.mark.full
def test_a_run_with_it_is_the_run_without(train, val, tmp_path, small_recipe):
    recipe, found = small_recipe.replace(epochs=1, batch_size=6), []
    for name, remat in (("with", "all"), ("without", None)):
        model = network()
        rows = fit(
            model, recipe.replace(remat=remat), train, val, tmp_path / name, tensorboard=False, verbose=False
        )
        found.append((model, {**rows[0], "seconds": 0}))
    check_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    loaded = kseg.models.load(tmp_path / "with" / "best.keras")
    for left, right in zip(loaded.get_weights(), found[1][0].get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.full
@pytest.mark.tensorflow
def test_a_run_that_goes_on_is_as_if_never_stopped(train, val, tmp_path, small_recipe):
    recipe = small_recipe.replace(epochs=2, batch_size=6, remat="all")
    fit(network(), recipe.replace(epochs=1), train, val, tmp_path / "a", tensorboard=False, verbose=False)
    model = network()
    fit(model, recipe, train, val, tmp_path / "a", tensorboard=False, verbose=False)
    whole = network()
    fit(whole, recipe, train, val, tmp_path / "b", tensorboard=False, verbose=False)
    check_equal(model, whole)
    with pytest.raises(SettingsError, match="holds another run; different: remat"):
        fit(network(), recipe.replace(remat=None), train, val, tmp_path / "a", verbose=False)
