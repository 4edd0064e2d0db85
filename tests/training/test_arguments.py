import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.training.arguments import built, callbacks_of, metrics_of, optimizer_of_user


def test_one_several_or_none():
    callback, metric = keras.callbacks.TerminateOnNaN(), keras.metrics.SparseCategoricalAccuracy()
    assert callbacks_of(callback) == callbacks_of((callback,)) == [callback]
    assert metrics_of(metric) == metrics_of([metric]) == [metric]
    assert callbacks_of(None) == metrics_of(None) == metrics_of(()) == []


def test_names_are_of_metrics_for_class_ids():
    labels, logits = np.array([[0, 1, 1]]), np.array([[[2, 1], [0, 3], [5, 4]]], "float32")
    metrics = metrics_of(["accuracy", "sparse_top_k_categorical_accuracy", lambda labels, logits: logits[..., 0]])
    for metric in metrics:
        metric.update_state(labels, logits)
    assert [float(metric.result()) for metric in metrics] == pytest.approx([2 / 3, 1.0, 7 / 3])


def test_an_optimizer_by_name_and_one_that_was_used():
    assert type(optimizer_of_user("adam")) is keras.optimizers.Adam
    assert optimizer_of_user(None) is None
    used = keras.optimizers.SGD(0.1)
    used.build([keras.Variable(np.ones(2))])
    with pytest.raises(SettingsError, match="was used before"):
        optimizer_of_user(used)


def test_a_subclassed_model_gets_its_weights():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolution = keras.layers.Conv2D(2, 3)

        def call(self, image):
            return self.convolution(image)

    assert [tuple(weight.shape) for weight in built(Net(), (8, 9), 3).weights] == [(3, 3, 3, 2), (2,)]


@pytest.mark.parametrize(
    ("function", "wrong"),
    [(callbacks_of, [print]), (metrics_of, ["no_such_metric"]), (metrics_of, [3]), (optimizer_of_user, "fast")],
)
def test_refusals(function, wrong):
    with pytest.raises(SettingsError, match="Keras"):
        function(wrong)
