"""`fit` as a whole, on pictures of 24x33 pixels, and the same pieces in Keras's own compile and fit."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.data import Dataset, pipeline
from kseg.errors import DataError, KsegError, SettingsError
from kseg.metrics import confusion_matrix, mean_iou
from kseg.training import Recipe, fit, read_metrics
from kseg.training.run.bad_data import files_of_step

RECIPE = Recipe(
    learning_rate=0.02,
    epochs=4,
    batch_size=4,
    size=(16, 24),
    scale=(0.8, 1.25),
    mirror=True,
    brightness=0.1,
    warmup_steps=2,
    sampling=0.5,
    seed=5,
)


class Killed(Exception):
    pass


def killed_in_epoch(epoch, monkeypatch, step=1):
    """Make the process 'die' during an epoch: nothing of fit runs after that."""
    begin = kseg.training.Progress.on_train_batch_end

    def die(self, batch, logs=None):
        if self._epoch == epoch and batch == step:
            raise Killed
        begin(self, batch, logs)

    monkeypatch.setattr(kseg.training.Progress, "on_train_batch_end", die)


def test_learns_and_leaves_a_run_folder(network, train, val, tmp_path, capfd):
    history = fit(network(), RECIPE.replace(epochs=6, sampling=None), train, val, tmp_path / "run")
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
    assert Recipe.from_dict(run["recipe"]) == RECIPE.replace(epochs=6, sampling=None)

    model = keras.saving.load_model(folder / "best.keras")
    confusion = sum(
        confusion_matrix(labels, np.asarray(model(image[None].astype("float32")))[0].argmax(-1), 3)
        for image, labels in map(val.load, range(len(val)))
    )
    np.testing.assert_allclose(mean_iou(confusion), best, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd", "learning_rate": 0.1, "validate_every": 3}])
def test_going_on_is_bit_equal_to_never_having_stopped(network, train, val, tmp_path, monkeypatch, changes):
    recipe = RECIPE.replace(**changes)
    whole = network()
    expected = fit(whole, recipe, train, val, tmp_path / "a", tensorboard=False)
    with monkeypatch.context() as patch:
        killed_in_epoch(2, patch)
        with pytest.raises(Killed):
            fit(network(), recipe, train, val, tmp_path / "b", tensorboard=False)
    keras.utils.set_random_seed(99)
    resumed = network()
    rows = fit(resumed, recipe, train, val, tmp_path / "b", tensorboard=False)
    for one, two in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for row, other in zip(rows, expected, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize(
    ("changes", "step", "done"),
    [
        ({}, 2, 2),
        ({"accumulate": 2, "batch_size": 2, "ema": 0.9, "optimizer": "sgd"}, 3, 4),
        ({"label_stride": 2}, 0, 0),
    ],
)
def test_going_on_in_the_midst_of_an_epoch_is_bit_equal(
    network, train, val, tmp_path, monkeypatch, capfd, changes, step, done
):
    recipe = RECIPE.replace(epochs=2, steps_per_epoch=5, **changes)
    whole = network()
    expected = fit(whole, recipe, train, val, tmp_path / "a", tensorboard=False)
    with monkeypatch.context() as patch:
        killed_in_epoch(1, patch, step)
        with pytest.raises(Killed):
            fit(network(), recipe, train, val, tmp_path / "b", tensorboard=False, checkpoint_every="2")
    resumed = network()
    rows = fit(resumed, recipe, train, val, tmp_path / "b", tensorboard=False, checkpoint_every="2")
    assert f"going on after epoch 1{f' and {done} steps' if done else ''} of 2" in capfd.readouterr().err
    for one, two in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for row, other in zip(rows, expected, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}
    best = [keras.saving.load_model(tmp_path / run / "best.keras").get_weights() for run in "ab"]
    for one, two in zip(*best, strict=True):
        np.testing.assert_array_equal(one, two)


def test_more_epochs_than_at_first_are_as_if_always_meant(network, train, tmp_path, monkeypatch):
    recipe = RECIPE.replace(schedule="constant", warmup_steps=0, epochs=3, steps_per_epoch=4)
    whole = network()
    fit(whole, recipe, train, None, tmp_path / "a", tensorboard=False)
    with monkeypatch.context() as patch:
        killed_in_epoch(1, patch, 2)
        with pytest.raises(Killed):
            fit(
                network(),
                recipe.replace(epochs=2),
                train,
                None,
                tmp_path / "b",
                tensorboard=False,
                checkpoint_every="1",
            )
    resumed = network()
    fit(resumed, recipe, train, None, tmp_path / "b", tensorboard=False)
    for one, two in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_best_holds_the_averages(network, train, val, tmp_path):
    model = network()
    rows = fit(model, RECIPE.replace(epochs=1, ema=0.9), train, val, tmp_path, tensorboard=False)
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
        fit(network(), RECIPE.replace(ema=0.9), train, None, tmp_path / "b")


def test_a_finished_run_says_so(network, train, val, tmp_path, capfd):
    first = network()
    history = fit(first, RECIPE.replace(epochs=1), train, val, tmp_path, tensorboard=False)
    capfd.readouterr()
    second = network()
    assert fit(second, RECIPE.replace(epochs=1), train, val, tmp_path, tensorboard=False) == history
    assert "finished" in capfd.readouterr().err
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(SettingsError, match="batch_size"):
        fit(network(), RECIPE.replace(batch_size=5), train, val, tmp_path)
    with pytest.raises(SettingsError, match="another process"), kseg.training.run.run_folder.alone(tmp_path):
        fit(network(), RECIPE, train, val, tmp_path)
    with pytest.raises(SettingsError, match="a number of steps"):
        fit(network(), RECIPE, train, val, tmp_path, checkpoint_every="")


def test_without_validation_data(network, train, tmp_path):
    rows = fit(network(), RECIPE.replace(epochs=1), train, None, tmp_path)
    assert "val_loss" not in rows[0]
    assert not (tmp_path / "best.keras").exists()


class Broken:
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def name_of(self, index):
        return self.source.name_of(index)

    def read(self, index):
        image, labels = self.source.read(index)
        if index == 7:
            labels = labels.copy()
            labels[0, 0] = 9
        return image, labels


def test_a_bad_mask_stops_with_its_name(network, train, val, tmp_path):
    bad = Dataset(train.name, "train", train.classes, train.palette, Broken(train.samples))
    with pytest.raises(DataError, match=r"blocks7.*9"):
        fit(network(), RECIPE, bad, val, tmp_path, tensorboard=False)


def test_bad_pictures_are_skipped_and_listed(network, train, val, tmp_path, capfd):
    many = Dataset(train.name, "train", train.classes, train.palette, Broken(Repeated(train.samples, 6)))
    recipe = RECIPE.replace(epochs=1, sampling=None)
    fit(network(), recipe, many, val, tmp_path, tensorboard=False, skip_bad=True)
    said = capfd.readouterr().err
    assert "skipped 1 of 108 pictures: blocks7: class id 9" in said
    assert kseg.training.run.checkpoint.load_state(tmp_path / "last.keras")["bad"].keys() == {"7"}


def test_weights_by_frequency_and_validation_pass_over_bad_pictures(network, train, val, tmp_path, capfd):
    many = Dataset(train.name, "train", train.classes, train.palette, Broken(Repeated(train.samples, 6)))
    shown = Dataset(val.name, "val", val.classes, val.palette, Broken(Repeated(val.samples, 21)))
    recipe = RECIPE.replace(epochs=1, class_weights="median_frequency")
    model = network()
    rows = fit(model, recipe, many, shown, tmp_path, tensorboard=False, skip_bad=True)
    said = capfd.readouterr().err
    assert "skipped 1 of 108 pictures: blocks7: class id 9" in said
    assert "skipped 1 of 105 pictures: blocks7: class id 9" in said
    # The eighth picture stands for the seventh, and counts twice; no score counts the one in its place.
    labels = np.concatenate([many.load(8 if k == 7 else k)[1].ravel() for k in range(108)])
    found = json.loads((tmp_path / "recipe.json").read_text())["class_weights"]
    assert np.argmax(found) == np.argmin(np.bincount(labels)[:3])
    confusion = sum(
        confusion_matrix(labels, np.asarray(model(image[None].astype("float32")))[0].argmax(-1), 3)
        for image, labels in (shown.load(k) for k in range(105) if k != 7)
    )
    np.testing.assert_allclose(mean_iou(confusion), rows[0]["val_mean_iou"], rtol=1e-5)
    with pytest.raises(DataError, match="blocks7"):
        fit(network(), recipe, many, shown, tmp_path / "b", tensorboard=False)


class Repeated:
    def __init__(self, source, times):
        self.source, self.times = source, times

    def __len__(self):
        return len(self.source) * self.times

    def name_of(self, index):
        return f"blocks{index}"

    def read(self, index):
        return self.source.read(index % len(self.source))


def test_a_loss_that_is_no_number_stops_at_once_and_names_the_pictures(
    network, train, val, tmp_path, monkeypatch
):
    recipe = RECIPE.replace(epochs=3, sampling=None)
    fit(network(), recipe.replace(epochs=1), train, val, tmp_path, tensorboard=False)
    before = (tmp_path / "last.keras").read_bytes()
    seen = files_of_step(train, batch_size=4, seed=5, step=1 * 4 + 2)
    call = kseg.losses.CrossEntropy.call
    steps = []

    def diverge(self, labels, logits, weight=None):
        # Traced once for training: the third step of the second epoch fails.
        return keras.ops.where(
            keras.ops.equal(model.optimizer.iterations, 6), float("nan"), call(self, labels, logits, weight)
        )

    monkeypatch.setattr(kseg.losses.CrossEntropy, "call", diverge)
    count = kseg.training.StopOnNaN.on_train_batch_end
    monkeypatch.setattr(kseg.training.StopOnNaN, "on_train_batch_end",
                        lambda self, batch, logs=None: (steps.append(batch), count(self, batch, logs)))  # fmt: skip
    model = network()
    with pytest.raises(KsegError, match=rf"step 3 of the epoch; its pictures: {', '.join(seen)}\)"):
        fit(model, recipe, train, val, tmp_path, tensorboard=False)
    assert steps == [0, 1, 2]
    assert (tmp_path / "last.keras").read_bytes() == before


def test_weights_that_are_no_numbers_are_never_saved(network, train, tmp_path, monkeypatch):
    recipe = RECIPE.replace(epochs=2)
    fit(network(), recipe.replace(epochs=1), train, None, tmp_path, tensorboard=False)
    before = (tmp_path / "last.keras").read_bytes()
    model = network()
    end = kseg.training.StopOnNaN.on_epoch_end

    def spoil(self, epoch, logs=None):
        model.get_layer("body").bias.assign([np.nan] * 8)
        end(self, epoch, logs)

    monkeypatch.setattr(kseg.training.StopOnNaN, "on_epoch_end", spoil)
    with pytest.raises(KsegError, match="body/bias are no longer finite"):
        fit(model, recipe, train, None, tmp_path, tensorboard=False)
    assert (tmp_path / "last.keras").read_bytes() == before


def test_nan_stops_before_it_is_saved(network, train, val, tmp_path):
    recipe = RECIPE.replace(optimizer="sgd", learning_rate=1e9, weight_decay=1e9, steps_per_epoch=8)
    with pytest.raises(KsegError, match="finite"):
        fit(network(), recipe, train, val, tmp_path, tensorboard=False)
    assert not (tmp_path / "last.keras").exists()


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
def test_recipes_that_do_not_fit_the_model(network, train, val, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        fit(network(), RECIPE.replace(**changes), train, val, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_number_of_classes(network, train, val, tmp_path):
    with pytest.raises(SettingsError, match="4 classes and blocks has 3"):
        fit(network(classes=4), RECIPE, train, val, tmp_path / "run")


def segmenter():
    """A Segmenter around a backbone of one stage."""
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="body")(image)
    x = keras.layers.BatchNormalization(name="norm", momentum=0.5)(x)
    backbone = kseg.backbones.Backbone(image, {"stage1": x})
    logits = keras.layers.Conv2D(3, 1, name="score")(x)
    return kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=3)


def test_frozen_backbone_keeps_weights_and_statistics(train, val, tmp_path, monkeypatch):
    model = segmenter()
    monkeypatch.setattr(
        kseg.training.run.checkpoint, "save", lambda *args, **kwargs: None
    )  # no class of its own
    before = {variable.path: variable.numpy() for variable in model.variables}
    fit(model, RECIPE.replace(freeze_backbone=True, epochs=1), train, val, tmp_path, tensorboard=False)
    changed = {path for path, old in before.items() if np.any(_of(model, path) != old)}
    assert changed == {"score/kernel", "score/bias"}
    assert model.classes == train.classes
    assert model.palette == train.palette


def test_frozen_stages_keep_weights_and_statistics(train, val, tmp_path, monkeypatch):
    model = segmenter()
    monkeypatch.setattr(kseg.training.run.checkpoint, "save", lambda *args, **kwargs: None)
    before = {variable.path: variable.numpy() for variable in model.variables}
    fit(model, RECIPE.replace(frozen_stages="stage1", epochs=1), train, val, tmp_path, tensorboard=False)
    changed = {path for path, old in before.items() if np.any(_of(model, path) != old)}
    assert changed == {"score/kernel", "score/bias"}
    with pytest.raises(SettingsError, match="stages are stage1"):
        fit(segmenter(), RECIPE.replace(frozen_stages="stage9"), train, val, tmp_path / "b")


def test_head_multiplier_reaches_the_head_only(train, val, tmp_path, monkeypatch):
    monkeypatch.setattr(kseg.training.run.checkpoint, "save", lambda *args, **kwargs: None)
    recipe = RECIPE.replace(
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


def test_mixed_precision_trains_in_float16_with_scaling(network, train, val, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    fit(
        model,
        RECIPE.replace(mixed_precision="mixed_float16", epochs=1),
        train,
        val,
        tmp_path,
        tensorboard=False,
    )
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert all(np.isfinite(value).all() for value in model.get_weights())
    assert model.get_layer("body").compute_dtype == "float16"


SCRIPT = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("shared", sys.argv[1])
shared = importlib.util.module_from_spec(spec); spec.loader.exec_module(shared)
import keras, kseg
kill = int(sys.argv[3])
begin = kseg.training.Progress.on_train_batch_end
def die(self, batch, logs=None):
    if 4 * self._epoch + batch == kill: os.kill(os.getpid(), signal.SIGKILL)
    begin(self, batch, logs)
kseg.training.Progress.on_train_batch_end = die
model = shared.network.__wrapped__()()
recipe = kseg.training.Recipe(epochs=3, batch_size=4, size=(16, 24), seed=5, deterministic=True, mirror=True)
train, val = shared.blocks("train", 18), shared.blocks("val", 5, 1)
kseg.training.fit(model, recipe, train, val, sys.argv[2], tensorboard=False, checkpoint_every="1", keep=2)
"""


@pytest.mark.slow
def test_bit_equal_after_a_real_kill(tmp_path):
    conftest = Path(__file__).with_name("conftest.py")

    def start(folder, kill):
        arguments = [sys.executable, "-c", SCRIPT, str(conftest), str(tmp_path / folder), str(kill)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    assert start("a", -1).returncode == 0
    for step in (2, 4, 9):  # in the first, at the start of the second and in the third epoch
        assert start("b", step).returncode == -signal.SIGKILL
    assert [row["epoch"] for row in read_metrics(tmp_path / "b" / "metrics.csv")] == [1, 2]
    assert start("b", -1).returncode == 0
    one, two = (keras.saving.load_model(tmp_path / name / "last.keras").get_weights() for name in "ab")
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left, right)
