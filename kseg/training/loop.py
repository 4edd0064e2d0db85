"""The loop of a training over epochs and steps, which starts wherever its state says."""

from collections.abc import Callable, Iterator
from typing import Any

import keras

from kseg.training.run.run_state import RunState
from kseg.training.steps import Steps


def train(
    steps: Steps,
    batches: Iterator[Any],
    state: RunState,
    *,
    epochs: int,
    length: int,
    validate: Callable[[int], dict[str, float]],
    followers: list[keras.callbacks.Callback],
) -> None:
    """Take `steps` on `batches` until `epochs` epochs of `length` steps are done, from where `state` stands.

    Keras callbacks follow as in Keras's `fit`: the logs of a step are the epoch's mean loss and score so far,
    those of an epoch have what `validate` (given the number of epochs done) returns in them too.
    """
    follower = keras.callbacks.CallbackList(followers, model=steps.model, epochs=epochs, steps=length)
    follower.on_train_begin()
    while state.epoch < epochs:
        epoch = state.epoch
        state.begin_epoch()
        follower.on_epoch_begin(epoch)
        while state.step < length:
            number = state.step
            follower.on_train_batch_begin(number)
            logs = steps(batches)
            state.add_step(logs["loss"])
            follower.on_train_batch_end(number, {**logs, "loss": state.loss / state.step})
        logs = state.end_epoch()
        logs |= validate(state.epoch)
        follower.on_epoch_end(epoch, logs)
    follower.on_train_end()
