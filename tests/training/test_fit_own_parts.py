"""`fit` with what users bring: models, optimizers, callbacks and rates of their own."""

import keras
import numpy as np
import pytest

from kseg import data, models
from kseg.backbones import ResNet
from kseg.errors import SettingsError
from kseg.training import Recipe, fit

pytestmark = pytest.mark.tensorflow
RECIPE = Recipe(epochs=2, batch_size=2, size=(16, 16), steps_per_epoch=2, warmup_steps=0)
QUIET = {"verbose": False, "tensorboard": False}


@keras.saving.register_keras_serializable(package="kseg_tests")
class OwnNet(keras.Model):
    """Neither graph nor output shape until it is called."""

    def __init__(self, num_classes=2, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.first = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
        self.normalization = keras.layers.BatchNormalization()
        self.score = keras.layers.Conv2D(num_classes, 1)

    def call(self, image, training=None):
        x = self.first(keras.ops.cast(image, "float32") / 255)
        return self.score(self.normalization(x, training=training))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6, 20, 24, 3)).astype("uint8")
    return data.from_arrays(x, (x[..., 0] > 128).astype("uint8"), classes=["dark", "bright"])


@pytest.mark.full
def test_a_subclassed_model_trains_resumes_and_loads(images, tmp_path):
    model = OwnNet()
    first = fit(model, RECIPE, images, images, tmp_path / "run", metrics="accuracy", **QUIET)
    again = OwnNet()
    second = fit(again, RECIPE.replace(epochs=3), images, images, tmp_path / "run", metrics="accuracy", **QUIET)
    assert second[:2] == first[:2]
    assert len(second) == 3
    assert second.model is again
    assert second.history["sparse_categorical_accuracy"][:2] == [row["sparse_categorical_accuracy"] for row in first]
    loaded = models.load(tmp_path / "run" / "last.keras")
    image = np.random.default_rng(1).uniform(0, 255, (1, 20, 24, 3)).astype("float32")
    np.testing.assert_array_equal(loaded(image), again(image))


@pytest.mark.full
def test_learning_rates_by_part(images, tmp_path):
    model = models.DeepLabV3(ResNet(18, filters=1, output_stride=16), 2, filters=2, rates=(2,))
    before = [variable.numpy() for variable in model.trainable_variables]
    rates = {"backbone": 0.0, "stage5": 1.0}
    fit(model, RECIPE, images, None, tmp_path / "run", optimizer="adam", learning_rates=rates, **QUIET)
    moved = {
        variable.path.split("/")[0]
        for variable, value in zip(model.trainable_variables, before, strict=True)
        if not np.array_equal(variable, value)
    }
    names = {layer.name for stage in ("stage1", "stage2", "stage3", "stage4") for layer in stage_layers(model, stage)}
    assert moved
    assert not moved & names
    assert "score" in moved
    with pytest.raises(SettingsError, match="different: start learning_rates"):
        fit(model, RECIPE, images, None, tmp_path / "run", optimizer="adam", **QUIET)


def stage_layers(model, stage):
    return keras.Model(model.backbone.input, model.backbone.stages[stage]).layers


def test_callbacks_of_keras_stop_and_history_tells(images, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = dict(logs)
            self.model.stop_training = True

    stop = Stop()
    history = fit(OwnNet(), RECIPE, images, images, tmp_path / "run", callbacks=stop, restore_best=True, **QUIET)
    assert history.epoch == [0]
    assert history.params["epochs"] == 2
    assert {"loss", "mean_iou", "val_loss", "val_mean_iou"} <= stop.seen.keys()


def test_messages_speak_python(images, tmp_path):
    fit(OwnNet(), RECIPE, images, None, tmp_path / "run", **QUIET)
    with pytest.raises(SettingsError, match=r"another `out`, .* resume=False, which replaces") as caught:
        fit(OwnNet(), RECIPE.replace(seed=3), images, None, tmp_path / "run", **QUIET)
    assert "--" not in str(caught.value)
