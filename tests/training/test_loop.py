"""The loop's order of events, from any step on."""

import keras
import pytest

from kseg.training import loop


class State:
    def __init__(self, epoch, step, loss):
        self.epoch, self.step, self.loss = epoch, step, loss

    def begin_epoch(self):
        pass

    def add_step(self, loss):
        self.step, self.loss = self.step + 1, self.loss + loss

    def end_epoch(self):
        mean = self.loss / self.step
        self.epoch, self.step, self.loss = self.epoch + 1, 0, 0.0
        return {"loss": mean}


class Record(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(("epoch", epoch))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs["loss"], self.params["steps"]))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, logs))


class Steps:
    model = None

    def __call__(self, batches):
        return {"loss": next(batches)}


def run(state, losses):
    record = Record()

    def validate(done):
        return {"val_loss": float(done)}

    loop.train(Steps(), iter(losses), state, epochs=3, length=3, validate=validate, followers=[record])
    return record.seen


def test_from_the_midst_of_an_epoch():
    seen = run(State(1, 2, 10.0), [2.0, 1.0, 2.0, 3.0])
    assert seen == [
        ("epoch", 1),
        (2, 4.0, 3),
        (1, {"loss": 4.0, "val_loss": 2.0}),
        ("epoch", 2),
        (0, 1.0, 3),
        (1, 1.5, 3),
        (2, 2.0, 3),
        (2, {"loss": 2.0, "val_loss": 3.0}),
    ]


def test_nothing_left():
    assert run(State(3, 0, 0.0), []) == []


def test_data_that_end_too_soon_are_no_success():
    with pytest.raises(StopIteration):
        run(State(0, 0, 0.0), [1.0])
