"""Callbacks in Keras's own fit, and by hand where the case is rare."""

import io
import math

import keras
import numpy as np
import pytest

from kseg.errors import KsegError, SettingsError
from kseg.training import SGD, Checkpoint, MetricsCsv, Progress, StopOnNaN, read_metrics
from kseg.training.run import checkpoint


@pytest.fixture
def model(network):
    model = network()
    model.compile(SGD(0.25), "mse")
    return model


def follow(callback, model, epochs, start=1):
    callback.set_model(model)
    for number, logs in enumerate(epochs, start):
        callback.on_epoch_begin(number - 1)
        callback.on_epoch_end(number - 1, logs)


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


def test_nan_is_never_the_best(model, tmp_path):
    follow(Checkpoint(tmp_path), model, [{"val_mean_iou": math.nan}])
    assert not (tmp_path / "best.keras").exists()


def test_csv_goes_on_without_repeating_an_epoch(model, tmp_path):
    path = tmp_path / "metrics.csv"
    follow(MetricsCsv(path), model, [{"loss": 3.0}, {"loss": 2.0, "val_mean_iou": 0.5}, {"loss": 1.0}])
    follow(MetricsCsv(path, epochs_done=2), model, [{"loss": 1.5, "val_mean_iou": 0.25}], start=3)
    rows = read_metrics(path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["loss"] for row in rows] == [3.0, 2.0, 1.5]
    assert [row.get("val_mean_iou") for row in rows] == [None, 0.5, 0.25]
    assert {row["learning_rate"] for row in rows} == {0.25}
    assert path.read_text().splitlines()[0].startswith("epoch,loss,")


def test_no_csv_no_rows(tmp_path):
    assert read_metrics(tmp_path / "metrics.csv") == []


@pytest.mark.parametrize(
    "text", ["epoch;loss\n1;2\n", "epoch,loss\n1,x\n", "epoch\n1,2,3\n", "epoch\ninf\n", "é\n1"]
)
def test_a_csv_that_somebody_changed(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"metrics\.csv cannot be read .* move it away"):
        read_metrics(path)


def test_nan_stops_in_its_step(model):
    images = np.ones((4, 8, 8, 3), "float32")
    targets = np.zeros((4, 8, 8, 3), "float32")
    targets[2] = np.nan
    seen = []
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    with pytest.raises(KsegError, match="step 3 "):
        model.fit(images, targets, batch_size=1, shuffle=False, verbose=0, callbacks=[count, StopOnNaN()])
    assert seen == [0, 1, 2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


LOGS = {"loss": 0.5, "mean_iou": 0.25, "val_loss": 0.75, "val_mean_iou": 0.125}


def test_one_line_an_epoch_in_a_file(model):
    stream = io.StringIO()
    progress = Progress(3, steps=2, stream=stream, best=lambda: 0.125)
    progress.set_model(model)
    progress.on_epoch_begin(0)
    progress.on_train_batch_end(0, LOGS)
    progress.on_epoch_end(0, LOGS)
    progress.on_epoch_begin(1)
    progress.on_epoch_end(1, {**LOGS, "val_mean_iou": 0.1})
    first, second = stream.getvalue().splitlines()
    assert first.startswith(
        "epoch 1/3  loss 0.5000  mean IoU 0.2500  val loss 0.7500  val mean IoU 0.1250 (best)"
    )
    assert "(best)" not in second
    assert "\x1b" not in stream.getvalue()


def test_steps_on_a_terminal(model):
    stream = Terminal()
    progress = Progress(3, steps=4, stream=stream)
    progress.set_model(model)
    progress.on_epoch_begin(0)
    progress.on_train_batch_end(1, LOGS)
    assert "2/4" in stream.getvalue()
    assert "[##########          ]" in stream.getvalue()
