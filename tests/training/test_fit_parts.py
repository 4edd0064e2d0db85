"""`fit` with a loss, an optimizer, metrics and callbacks of one's own, as Keras's `fit` takes them."""

import json

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, Dice
from kseg.training import History, fit


def own(labels, logits):
    """One number a pixel."""
    return keras.ops.sparse_categorical_crossentropy(labels, logits, from_logits=True) ** 1.5


@pytest.mark.full
@pytest.mark.parametrize(
    "loss",
    [
        Dice(),
        "cross_entropy + 0.5 * lovasz",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        own,
    ],
    ids=["dice", "sum", "keras", "own"],
)
def test_any_loss_learns(network, train, val, tmp_path, small_recipe, loss):
    recipe = small_recipe.replace(sampling=None, epochs=5, validate_every=5)
    rows = fit(network(), recipe, train, val, tmp_path, loss=loss, tensorboard=False, verbose=False)
    assert rows[-1]["val_mean_iou"] > 0.6  # the classes have their own colours
    assert np.isfinite([row["loss"] for row in rows]).all()
    assert "loss" in json.loads((tmp_path / "recipe.json").read_text())["recipe"]


def mean_logit(labels, logits):
    return keras.ops.mean(logits)


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.params["epochs"] and batch == 2 and self.epoch == 1:
            raise Killed

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


@pytest.mark.full
@pytest.mark.parametrize("loss", [own, "focal + dice"])
def test_a_loss_of_ones_own_goes_on_bit_equal(network, train, val, tmp_path, small_recipe, loss):
    recipe = small_recipe.replace(sampling=None, epochs=2, steps_per_epoch=4, accumulate=2, batch_size=2)
    settings = {"loss": loss, "tensorboard": False, "verbose": False, "checkpoint_every": "1"}
    whole, resumed = network(), network()
    expected = fit(whole, recipe, train, val, tmp_path / "a", **settings)
    with pytest.raises(Killed):
        fit(network(), recipe, train, val, tmp_path / "b", callbacks=[Kill()], **settings)
    rows = fit(resumed, recipe, train, val, tmp_path / "b", **settings)
    for one, two in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [{**row, "seconds": 0} for row in rows] == [{**row, "seconds": 0} for row in expected]
    with pytest.raises(SettingsError, match="loss"):
        fit(network(), recipe, train, val, tmp_path / "b", **{**settings, "loss": "dice"})


@pytest.mark.full
def test_optimizer_metrics_callbacks_and_the_best_weights(network, train, val, tmp_path, small_recipe):
    recipe = small_recipe.replace(sampling=None, epochs=6)
    stop = keras.callbacks.EarlyStopping(monitor="val_mean_iou", patience=0, min_delta=2.0)
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logged.append((epoch, dict(logs))))
    logged, model = [], network()
    history = fit(
        model,
        recipe,
        train,
        val,
        tmp_path,
        optimizer=keras.optimizers.Lion(0.003),
        metrics=[keras.metrics.MeanMetricWrapper(mean_logit, name="mean_logit")],
        callbacks=[seen, stop],
        restore_best=True,
        tensorboard=False,
        verbose=False,
    )
    assert isinstance(history, History)
    assert len(history) == len(logged) == 2  # nothing is better by 2
    assert type(model.optimizer).__name__ == "Lion"
    assert {"loss", "mean_iou", "mean_logit", "val_loss", "val_mean_iou"} <= set(logged[0][1])
    assert history.history["val_mean_iou"] == [logs["val_mean_iou"] for _, logs in logged]
    again = fit(
        network(), recipe.replace(epochs=3), train, val, tmp_path, optimizer=keras.optimizers.Lion(0.003),
        metrics=[keras.metrics.MeanMetricWrapper(mean_logit, name="mean_logit")],
        restore_best=True, tensorboard=False, verbose=False,
    )  # fmt: skip
    assert [row["epoch"] for row in again] == [1, 2, 3]
    with pytest.raises(SettingsError, match="optimizer"):
        fit(network(), recipe, train, val, tmp_path, tensorboard=False)


def test_the_best_weights_come_back(network, train, val, tmp_path, small_recipe):
    recipe = small_recipe.replace(sampling=None, epochs=2, ema=0.5)
    model = network()
    fit(model, recipe, train, val, tmp_path, restore_best=True, tensorboard=False, verbose=False)
    best = keras.saving.load_model(tmp_path / "best.keras")
    for one, two in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.full
def test_a_model_that_ends_in_a_softmax(network, train, val, tmp_path, small_recipe):
    """The same training as of its logits: probabilities are not taken for logits."""
    recipe = small_recipe.replace(sampling=None, epochs=2)
    plain = network()
    softened = network()
    softened = keras.Model(
        softened.input, keras.layers.Softmax(dtype="float32")(softened.output), name="small"
    )
    rows = [
        fit(model, recipe, train, val, tmp_path / str(number), tensorboard=False, verbose=False)
        for number, model in enumerate((plain, softened))
    ]
    for one, two in zip(*rows, strict=True):
        np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-2)
        np.testing.assert_allclose(one["val_loss"], two["val_loss"], rtol=2e-2)
    with pytest.raises(SettingsError, match="gives probabilities"):
        fit(softened, recipe, train, val, tmp_path / "c", loss=own, tensorboard=False)
    assert kseg.inference.inspect_model(softened).output == "probabilities"
    assert CrossEntropy(from_logits=False).get_config()["from_logits"] is False
