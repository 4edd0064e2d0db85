"""The runs in this folder: begun, broken off in the middle of an epoch, and kept, by kseg at commit 9994b70.

`expected.npz` holds the weights at the end of the same run without a break, by the same code. To make such files again,
with some other commit of kseg: `PYTHONPATH=. python tests/training/old_runs/runs.py FOLDER`.
"""

import shutil
import sys
from pathlib import Path

import keras
import numpy as np

from kseg.backbones import Backbone
from kseg.data import Dataset
from kseg.models import DeepLabV2, PSPNet
from kseg.training import Recipe, fit
from tests.training.blocks import CLASSES, PALETTE, Blocks

COMMON = Recipe(
    learning_rate=0.02,
    epochs=2,
    steps_per_epoch=5,
    batch_size=2,
    size=(17, 25),
    scale=(0.8, 1.25),
    mirror=True,
    brightness=0.1,
    warmup_steps=2,
    seed=5,
)
RECIPES = {
    "plain": COMMON.replace(
        optimizer="sgd", accumulate=2, ema=0.9, sampling=0.5, class_weights="median_frequency", blur=0.5
    ),
    "auxiliary": COMMON.replace(auxiliary_weight=0.4, label_stride=8, head_multiplier=10.0),
    "scales": COMMON.replace(
        optimizer="sgd", schedule="step", step_every=4, input_scales=(0.5, 1.0), ohem_fraction=0.6, rotate=5.0
    ),
}
BROKEN_OFF_AT = 3  # step of the second epoch, from 0; a checkpoint is written after every second


@keras.saving.register_keras_serializable(package="test_old_runs")
class Tiny(Backbone):
    """Four small convolutions; 8 k + 1 pixels make k + 1 cells."""

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


def data():
    return (
        Dataset("blocks", "train", CLASSES, PALETTE, Blocks(18, 0)),
        Dataset("blocks", "val", CLASSES, PALETTE, Blocks(5, 1)),
    )


def plain():
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127, -1)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", name="body")(x)
    x = keras.layers.BatchNormalization(name="norm", momentum=0.8)(x)
    x = keras.layers.Dropout(0.3, name="dropout")(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Conv2D(3, 1, name="score", dtype="float32")(x), name="plain")


def build(name):
    """The network of a run, with the same first weights each time."""
    keras.utils.set_random_seed(3)
    if name == "plain":
        return plain()
    if name == "auxiliary":
        return PSPNet(Tiny(), 3, bins=(1, 2), filters=4, name="pspnet")
    return DeepLabV2(Tiny(), 3, rates=(1, 2), name="deeplab")


class BrokenOff(Exception):
    pass


def run(name, folder, broken_off=False):
    """Train a run, or go on with the one in `folder`; gives the network."""
    import kseg.training.callbacks

    model, (train, val) = build(name), data()
    progress = kseg.training.callbacks.Progress
    shown = progress.on_train_batch_end

    def end(self, batch, logs=None):
        if broken_off and self._epoch == 1 and batch == BROKEN_OFF_AT:
            raise BrokenOff
        shown(self, batch, logs)

    progress.on_train_batch_end = end
    try:
        fit(model, RECIPES[name], train, val, folder, tensorboard=False, checkpoint_every="2")
    except BrokenOff:
        pass
    finally:
        progress.on_train_batch_end = shown
    return model


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name in RECIPES:
        shutil.rmtree(target / name, ignore_errors=True)
        whole = run(name, target / name / "whole")
        run(name, target / name / "broken", broken_off=True)
        again = shutil.copytree(target / name / "broken", target / name / "again")
        resumed = run(name, again)
        for one, two in zip(whole.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
        np.savez(target / name / "expected.npz", *whole.get_weights())
