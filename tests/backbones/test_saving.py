import keras
import numpy as np
import pytest

from kseg import backbones, models
from kseg.errors import ModelError
from tests.backbones.contracts import drawn_on, stages_of

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 41, 54, 3)).astype("float32")


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable(package="kseg_tests")
class Forgetful(keras.layers.Layer):
    """Registered, and its config lacks an argument."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable(package="kseg_tests")
class Scale(Forgetful):
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def twice(x):
    return 2 * x


def with_layer(layer):
    image = keras.Input((None, None, 3))
    return backbones.Backbone(image, stages_of(layer(image)))


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (
            lambda: Unregistered(name="mine"),
            r"'mine'.*class Unregistered is not registered.*register_keras_serial",
        ),
        (lambda: keras.layers.Lambda(twice, name="mine"), r"'mine' holds a Python lambda"),
        (lambda: Forgetful(2, name="mine"), r"'mine' \(Forgetful\) cannot be rebuilt"),
        (
            lambda: keras.layers.Conv2D(3, 1, activation=twice, name="mine"),
            r"'mine'.*function twice is not reg",
        ),
        (
            lambda: keras.Sequential([keras.Input((None, None, 3)), Unregistered(name="mine")]),
            "'mine'.*Unregist",
        ),
    ],
)
def test_what_cannot_be_loaded_is_not_saved(layer, what, tmp_path):
    backbone = with_layer(layer())
    model = models.LRASPP(backbone, 3, filters=2)
    for one in (model, backbone, drawn_on(backbone)):
        with pytest.raises(ModelError, match=what):
            one.save(tmp_path / "model.keras")
        with pytest.raises(ModelError, match=what):
            models.check_reloads(one)
    assert not any(tmp_path.iterdir())


def test_unregistered_inside_a_classifier_is_refused(tmp_path):
    image = keras.Input((32, 32, 3))
    x = Unregistered(name="mine")(stages_of(image)["stage5"])
    graph = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    model = models.LRASPP(backbones.from_classifier(graph), 3, filters=2)
    with pytest.raises(ModelError, match="'mine'"):
        model.save(tmp_path / "model.keras")


def test_registered_layers_are_saved(tmp_path):
    model = models.LRASPP(with_layer(Scale(0.5, name="mine")), 3, filters=2)
    model.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(IMAGE)), np.asarray(model(IMAGE)))


def test_custom_objects_are_for_loading(tmp_path):
    """What a user's own scope knows is saved; loading asks for it by name."""
    own = {"Unregistered": Unregistered}
    model = models.LRASPP(with_layer(Unregistered(name="mine")), 3, filters=2)
    with keras.saving.custom_object_scope(own):
        model.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="custom_objects"):
        models.load(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras", custom_objects=own)
    np.testing.assert_array_equal(np.asarray(again(IMAGE)), np.asarray(model(IMAGE)))
