"""A loss that is no number, in Keras's own fit."""

import keras
import numpy as np
import pytest

from kseg.errors import KsegError
from kseg.training import StopOnNaN


def test_nan_stops_in_its_step(model):
    images = np.ones((4, 8, 8, 3), "float32")
    targets = np.zeros((4, 8, 8, 3), "float32")
    targets[2] = np.nan
    seen = []
    count = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch))
    with pytest.raises(KsegError, match="step 3 "):
        model.fit(images, targets, batch_size=1, shuffle=False, verbose=0, callbacks=[count, StopOnNaN()])
    assert seen == [0, 1, 2]
