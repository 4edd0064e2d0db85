"""What `fit` returns."""

import keras

from kseg.training import History


def test_it_is_rows_and_kerass_history():
    rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "val_mean_iou": 0.5}]
    found = History(rows)
    assert found == rows
    assert isinstance(found, keras.callbacks.History)
    assert found.history == {"loss": [2.0, 1.0], "val_mean_iou": [None, 0.5]}
    assert found.epoch == [0, 1]
