"""`fit` as a whole, on pictures of 24x33 pixels, and the same pieces in Keras's own compile and fit."""

import csv
import json
import os

import keras
import numpy as np
import pytest

import kseg
from kseg.data import pipeline
from kseg.errors import DataError, SettingsError
from kseg.metrics import confusion_matrix, mean_iou
from kseg.training import Recipe, fit


def test_learns_and_leaves_a_run_folder(network, train, val, tmp_path, capfd, small_recipe):
    history = fit(network(), small_recipe.replace(epochs=6, sampling=None), train, val, tmp_path / "run")
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    best = max(row["val_mean_iou"] for row in history)
    assert best > 0.7  # the classes have their own colours
    np.testing.assert_allclose(history[-1]["learning_rate"], 0.02 * (1 - 23 / 24) ** 0.9, rtol=1e-4)  # not 0
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("epoch")]
    assert len(lines) == 6

    folder = tmp_path / "run"
    assert {"recipe.json", "metrics.csv", "last.keras", "best.keras", "tensorboard"} == set(
        os.listdir(folder)
    )
    with open(folder / "metrics.csv") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2, 3, 4, 5, 6]
    run = json.loads((folder / "recipe.json").read_text())
    assert Recipe.from_dict(run["recipe"]) == small_recipe.replace(epochs=6, sampling=None)

    model = keras.saving.load_model(folder / "best.keras")
    confusion = sum(
        confusion_matrix(labels, np.asarray(model(image[None].astype("float32")))[0].argmax(-1), 3)
        for image, labels in map(val.load, range(len(val)))
    )
    np.testing.assert_allclose(mean_iou(confusion), best, rtol=1e-5)


@pytest.mark.full
def test_best_holds_the_averages(network, train, val, tmp_path, small_recipe):
    model = network()
    rows = fit(model, small_recipe.replace(epochs=1, ema=0.9), train, val, tmp_path, tensorboard=False)
    best = keras.saving.load_model(tmp_path / "best.keras")
    differ = [np.any(one != two) for one, two in zip(best.get_weights(), model.get_weights(), strict=True)]
    assert all(differ)
    confusion = sum(
        confusion_matrix(labels, np.asarray(best(image[None].astype("float32")))[0].argmax(-1), 3)
        for image, labels in map(val.load, range(len(val)))
    )
    np.testing.assert_allclose(mean_iou(confusion), rows[0]["val_mean_iou"], rtol=1e-5)
    last = keras.saving.load_model(tmp_path / "last.keras")
    for one, two in zip(last.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(SettingsError, match="needs validation data"):
        fit(network(), small_recipe.replace(ema=0.9), train, None, tmp_path / "b")


def test_without_validation_data(network, train, tmp_path, small_recipe):
    rows = fit(network(), small_recipe.replace(epochs=1), train, None, tmp_path)
    assert "val_loss" not in rows[0]
    assert not (tmp_path / "best.keras").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": None}, "batch holds one"),
        ({"mixed_precision": "mixed_bfloat16"}, "built in float32"),
        ({"class_weights": (1, 2)}, "2 class weights and blocks has 3 classes"),
        ({"freeze_backbone": True}, "backbone"),
        ({"head_multiplier": 10.0}, "backbone"),
    ],
)
def test_recipes_that_do_not_fit_the_model(network, train, val, tmp_path, changes, message, small_recipe):
    with pytest.raises(SettingsError, match=message):
        fit(network(), small_recipe.replace(**changes), train, val, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_number_of_classes(network, train, val, tmp_path, small_recipe):
    with pytest.raises(SettingsError, match="4 classes and blocks has 3"):
        fit(network(classes=4), small_recipe, train, val, tmp_path / "run")


def segmenter():
    """A Segmenter around a backbone of one stage."""
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="body")(image)
    x = keras.layers.BatchNormalization(name="norm", momentum=0.5)(x)
    backbone = kseg.backbones.Backbone(image, {"stage1": x})
    logits = keras.layers.Conv2D(3, 1, name="score")(x)
    return kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=3)


def test_frozen_backbone_keeps_weights_and_statistics(train, val, tmp_path, monkeypatch, small_recipe):
    model = segmenter()
    monkeypatch.setattr(
        kseg.training.run.checkpoint, "save", lambda *args, **kwargs: None
    )  # no class of its own
    before = {variable.path: variable.numpy() for variable in model.variables}
    fit(model, small_recipe.replace(freeze_backbone=True, epochs=1), train, val, tmp_path, tensorboard=False)
    changed = {path for path, old in before.items() if np.any(_of(model, path) != old)}
    assert changed == {"score/kernel", "score/bias"}
    assert model.classes == train.classes
    assert model.palette == train.palette


def test_frozen_stages_keep_weights_and_statistics(train, val, tmp_path, monkeypatch, small_recipe):
    model = segmenter()
    monkeypatch.setattr(kseg.training.run.checkpoint, "save", lambda *args, **kwargs: None)
    before = {variable.path: variable.numpy() for variable in model.variables}
    fit(
        model, small_recipe.replace(frozen_stages="stage1", epochs=1), train, val, tmp_path, tensorboard=False
    )
    changed = {path for path, old in before.items() if np.any(_of(model, path) != old)}
    assert changed == {"score/kernel", "score/bias"}
    with pytest.raises(SettingsError, match="stages are stage1"):
        fit(segmenter(), small_recipe.replace(frozen_stages="stage9"), train, val, tmp_path / "b")


@pytest.mark.full
def test_head_multiplier_reaches_the_head_only(train, val, tmp_path, monkeypatch, small_recipe):
    monkeypatch.setattr(kseg.training.run.checkpoint, "save", lambda *args, **kwargs: None)
    recipe = small_recipe.replace(
        optimizer="sgd", momentum=0.0, weight_decay=0.0, schedule="constant", learning_rate=0.001, epochs=1,
        steps_per_epoch=1, sampling=None, warmup_steps=0,
    )  # fmt: skip
    moved = []
    for changes in ({}, {"head_multiplier": 10, "bias_multiplier": 2}):
        model = segmenter()
        before = {variable.path: variable.numpy() for variable in model.trainable_variables}
        fit(model, recipe.replace(**changes), train, val, tmp_path / str(len(moved)), tensorboard=False)
        moved.append({path: _of(model, path) - old for path, old in before.items()})
    factors = {"body/kernel": 1, "body/bias": 2, "norm/gamma": 1, "score/kernel": 10, "score/bias": 20}
    for path, factor in factors.items():
        np.testing.assert_allclose(
            moved[1][path], factor * moved[0][path], rtol=1e-2, atol=1e-5, err_msg=path
        )


def _of(model, path):
    return next(variable.numpy() for variable in model.variables if variable.path == path)


def test_plain_keras(network, train, val):
    model = network()
    model.compile(
        optimizer=kseg.training.SGD(kseg.training.Poly(0.1, steps=40), momentum=0.9, l2=5e-4),
        loss=kseg.losses.CrossEntropy(),
        metrics=[kseg.metrics.MeanIoU(train.num_classes)],
    )
    batches = pipeline(train, batch_size=4, size=(16, 24), shuffle=True, epochs=None)
    history = model.fit(
        batches,
        steps_per_epoch=10,
        epochs=4,
        validation_data=pipeline(val, batch_size=1),
        verbose=0,
        shuffle=False,
    )
    assert history.history["val_mean_iou"][-1] > 0.6


def test_mixed_precision_trains_in_float16_with_scaling(network, train, val, tmp_path, small_recipe):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    fit(
        model,
        small_recipe.replace(mixed_precision="mixed_float16", epochs=1),
        train,
        val,
        tmp_path,
        tensorboard=False,
    )
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert all(np.isfinite(value).all() for value in model.get_weights())
    assert model.get_layer("body").compute_dtype == "float16"


@pytest.mark.full
def test_arrays_and_batches_train_as_the_data_set_does(network, train, val, tmp_path, small_recipe):
    recipe = small_recipe.replace(epochs=1, sampling=None)
    settings = {"tensorboard": False, "verbose": False}
    x, y = (np.stack(parts) for parts in zip(*train, strict=True))
    x_val, y_val = zip(*val, strict=True)
    expected = fit(network(), recipe, train, val, tmp_path / "expected", **settings)
    batches = [(x[:2], y[:2]), (x[2:], y[2:, ..., None])]
    for number, data in enumerate(((x, y), batches)):
        model = network()
        found = fit(model, recipe, data, (list(x_val), list(y_val)), tmp_path / str(number), **settings)
        assert [row["loss"] for row in found] == [row["loss"] for row in expected]
        assert [row["val_mean_iou"] for row in found] == [row["val_mean_iou"] for row in expected]
    wrong = np.where(np.arange(len(y))[:, None, None] == 1, 7, y)
    with pytest.raises(DataError, match="training data_00001: class id 7"):
        fit(network(), recipe, (x, wrong), None, tmp_path / "wrong", **settings)
    with pytest.raises(DataError, match=r"validation data, sample 0: .*one-hot"):
        fit(network(), recipe, (x, y), [(x, np.eye(256)[y])], tmp_path / "wrong", **settings)
