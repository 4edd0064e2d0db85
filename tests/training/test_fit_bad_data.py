"""Pictures that cannot be read, and numbers that are none."""

import json

import keras
import numpy as np
import pytest

import kseg
from kseg.data import Dataset
from kseg.errors import DataError, KsegError
from kseg.metrics import confusion_matrix, mean_iou
from kseg.training import fit
from kseg.training.run.bad_data import files_of_step


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


def test_a_bad_mask_stops_with_its_name(network, train, val, tmp_path, small_recipe):
    bad = Dataset(train.name, "train", train.classes, train.palette, Broken(train.samples))
    with pytest.raises(DataError, match=r"blocks7.*9"):
        fit(network(), small_recipe, bad, val, tmp_path, tensorboard=False)


def test_bad_pictures_are_skipped_and_listed(network, train, val, tmp_path, capfd, small_recipe):
    many = Dataset(train.name, "train", train.classes, train.palette, Broken(Repeated(train.samples, 6)))
    recipe = small_recipe.replace(epochs=1, sampling=None)
    fit(network(), recipe, many, val, tmp_path, tensorboard=False, skip_bad=True)
    said = capfd.readouterr().err
    assert "skipped 1 of 108 images: blocks7: class id 9" in said
    assert kseg.training.run.checkpoint.load_state(tmp_path / "last.keras")["bad"].keys() == {"7"}


@pytest.mark.full
def test_weights_by_frequency_and_validation_pass_over_bad_pictures(
    network, train, val, tmp_path, capfd, small_recipe
):
    many = Dataset(train.name, "train", train.classes, train.palette, Broken(Repeated(train.samples, 6)))
    shown = Dataset(val.name, "val", val.classes, val.palette, Broken(Repeated(val.samples, 21)))
    recipe = small_recipe.replace(epochs=1, class_weights="median_frequency")
    model = network()
    rows = fit(model, recipe, many, shown, tmp_path, tensorboard=False, skip_bad=True)
    said = capfd.readouterr().err
    assert "skipped 1 of 108 images: blocks7: class id 9" in said
    assert "skipped 1 of 105 images: blocks7: class id 9" in said
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


@pytest.mark.full
def test_a_loss_that_is_no_number_stops_at_once_and_names_the_pictures(
    network, small_recipe, train, val, tmp_path, monkeypatch
):
    recipe = small_recipe.replace(epochs=3, sampling=None)
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
    with pytest.raises(KsegError, match=rf"step 3 of the epoch; its images: {', '.join(seen)}\)"):
        fit(model, recipe, train, val, tmp_path, tensorboard=False)
    assert steps == [0, 1, 2]
    assert (tmp_path / "last.keras").read_bytes() == before


@pytest.mark.full
def test_weights_that_are_no_numbers_are_never_saved(network, train, tmp_path, monkeypatch, small_recipe):
    recipe = small_recipe.replace(epochs=2)
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


def test_nan_stops_before_it_is_saved(network, train, val, tmp_path, small_recipe):
    recipe = small_recipe.replace(optimizer="sgd", learning_rate=1e9, weight_decay=1e9, steps_per_epoch=8)
    with pytest.raises(KsegError, match="finite"):
        fit(network(), recipe, train, val, tmp_path, tensorboard=False)
    assert not (tmp_path / "last.keras").exists()
