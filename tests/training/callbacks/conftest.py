"""A compiled model, and epochs by hand where the case is rare."""

import pytest

from kseg.training import SGD


@pytest.fixture
def model(network):
    model = network()
    model.compile(SGD(0.25), "mse")
    return model


@pytest.fixture
def follow(model):
    """Give a callback the logs of epochs."""

    def run(callback, epochs, start=1):
        callback.set_model(model)
        for number, logs in enumerate(epochs, start):
            callback.on_epoch_begin(number - 1)
            callback.on_epoch_end(number - 1, logs)

    return run
