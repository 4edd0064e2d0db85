"""The checkpoints of a run."""

import math

import keras
import numpy as np

from kseg.training import Checkpoint
from kseg.training.run import checkpoint


def test_best_is_by_score_and_last_is_the_last(model, tmp_path):
    keep = Checkpoint(tmp_path)
    values = []
    keep.set_model(model)
    for epoch, score in enumerate([0.3, 0.5, 0.4, None]):
        model.get_layer("body").bias.assign([epoch] * 8)
        values.append(score)
        keep.on_epoch_end(epoch, {} if score is None else {"val_mean_iou": score})
    for name, epoch in (("best", 1), ("last", 3)):
        loaded = keras.saving.load_model(tmp_path / f"{name}.keras")
        np.testing.assert_array_equal(loaded.get_layer("body").bias, [epoch] * 8)
    state = checkpoint.load_state(tmp_path / "last.keras")
    assert (state["epochs_done"], state["best"], state["best_epoch"]) == (4, 0.5, 2)


def test_nan_is_never_the_best(follow, tmp_path):
    follow(Checkpoint(tmp_path), [{"val_mean_iou": math.nan}])
    assert not (tmp_path / "best.keras").exists()
