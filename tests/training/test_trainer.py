"""A trainer's steps and epochs in their order, and that everything comes back from a checkpoint."""

import contextlib

import keras
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.losses import CrossEntropy
from kseg.training import Recipe, Trainer
from kseg.training.run import checkpoint
from kseg.training.run.bad_data import SkippingDataset


class Stop(Exception):
    pass


class Record(keras.callbacks.Callback):
    """Notes what happens, and ends the training after so many steps."""

    def __init__(self, steps=None):
        super().__init__()
        self.seen, self.steps = [], steps

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(("epoch", epoch))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((batch, logs["loss"]))
        if self.steps is not None and sum(isinstance(each[0], int) for each in self.seen) == self.steps:
            raise Stop

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(("end", epoch, logs))


def trainer(network, train, val=None, ema=0.9, loss=None, **changes):
    recipe = Recipe(batch_size=2, size=(8, 8), epochs=2, seed=3, ema=ema).replace(**changes)
    loss = loss or CrossEntropy(sampling=0.5, seed=1)
    return Trainer(network(), recipe, SkippingDataset(train), val, loss, length=4)


def advance(trainer, steps=None):
    record = Record(steps)
    callbacks = keras.callbacks.CallbackList([record], model=trainer.training_model)
    with contextlib.suppress(Stop):
        trainer.run(callbacks)
    return record.seen


def variables(trainer):
    return [
        *trainer.training_model.variables,
        *trainer.training_model.optimizer.variables,
        *trainer.metric.variables,
        *([] if trainer.averages is None else trainer.averages.values),
    ]


def assert_equal(one, two):
    for mine, other in zip(variables(one), variables(two), strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))


def test_the_order_of_events(network, train, val):
    seen = advance(trainer(network, train, val, validate_every=2))
    kinds = [each[:2] if each[0] in ("epoch", "end") else each[0] for each in seen]
    assert kinds == [("epoch", 0), 0, 1, 2, 3, ("end", 0), ("epoch", 1), 0, 1, 2, 3, ("end", 1)]
    assert set(seen[5][2]) == {"loss", "mean_iou"}  # validated every second epoch
    assert set(seen[-1][2]) == {"loss", "mean_iou", "val_loss", "val_mean_iou"}
    assert seen[5][2]["loss"] == seen[4][1]  # the mean over the epoch's steps


@pytest.mark.parametrize("changes", [{}, pytest.param({"label_stride": 2}, marks=pytest.mark.full)])
@pytest.mark.parametrize("done", [pytest.param(3, marks=pytest.mark.full), 4])
@pytest.mark.full
def test_everything_comes_back(network, train, tmp_path, changes, done):
    """In the midst of the first epoch and at its last step."""
    one = trainer(network, train, **changes)
    assert (one.training_model is one.model) == (not changes)
    advance(one, done)
    one.train.bad[7] = "why"
    facts, arrays = one.state()
    path = tmp_path / "last.keras"
    checkpoint.save(one.model, path, facts, arrays=arrays, optimizer=one.optimizer_in_model)
    two = trainer(network, train, **changes)
    two.restore(path, checkpoint.load_state(path))
    assert (two.epoch, two.step, two.loss_sum, two.train.bad) == (0, done, one.loss_sum, {7: "why"})
    assert np.sum(two.metric.variables[0]) > 0
    assert_equal(one, two)
    assert advance(one)[1:] == advance(two)[1:]
    assert_equal(one, two)
    assert (two.epoch, two.step, two.loss_sum) == (2, 0, 0.0)


def test_a_new_epoch_begins_with_empty_metrics(network, train):
    one = trainer(network, train)
    advance(one, 4)
    before = np.sum(one.metric.variables[0])
    advance(one, 1)
    assert 0 < np.sum(one.metric.variables[0]) < before


def test_nothing_left(network, train):
    one = trainer(network, train)
    one.epoch = 2
    assert advance(one) == []


def test_it_can_be_stopped_as_keras_does(network, train):
    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    one = trainer(network, train)
    one.run(keras.callbacks.CallbackList([Enough()], model=one.training_model))
    assert (one.epoch, one.step) == (1, 0)


def test_averages_cannot_begin_in_the_midst_of_a_run(network, train, tmp_path):
    facts, arrays = (one := trainer(network, train, ema=None)).state()
    path = tmp_path / "last.keras"
    checkpoint.save(one.model, path, facts, arrays=arrays)
    with pytest.raises(ModelError, match="average/0"):
        trainer(network, train).restore(path, facts)


def test_a_checkpoint_of_several_workers_goes_on_with_one(network, train, tmp_path):
    one = trainer(network, train)
    advance(one, 2)
    facts, arrays = one.state()
    optimizer = one.training_model.optimizer.variables
    arrays |= {f"optimizer/{number}": np.asarray(variable) for number, variable in enumerate(optimizer)}
    path = tmp_path / "last.keras"
    checkpoint.save(one.model, path, facts, arrays=arrays, optimizer=False)
    two = trainer(network, train)
    two.restore(path, checkpoint.load_state(path))
    assert_equal(one, two)
