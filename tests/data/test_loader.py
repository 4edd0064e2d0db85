import itertools

import keras
import numpy as np
import pytest

from kseg.data import Augment, Dataset, Loader, Sample, pipeline
from kseg.errors import DataError, SettingsError


class Numbered:
    """Sample k: an image of random pixels with k in its first, and a mask of zeros."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def name_of(self, index):
        return f"n{index}"

    def read(self, index):
        image = np.random.default_rng(index).integers(0, 256, (12, 14, 3), dtype=np.uint8)
        image[0, 0, 0] = index
        return image, np.zeros((12, 14), np.uint8)


def numbered(count=10):
    return Dataset("numbered", "train", ("a", "b"), ((0, 0, 0), (1, 1, 1)), Numbered(count))


AUGMENT = Augment(scale=(0.7, 1.4), mirror=True, brightness=0.2)
SETTINGS = {"batch_size": 3, "size": (8, 8), "augment": AUGMENT, "seed": 5}


class Seen(keras.callbacks.Callback):
    """What a model was given, epoch by epoch: the sums that its loss saw."""

    def __init__(self):
        super().__init__()
        self.epochs, self.sums = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.sums.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.sums[-1].append(float(logs["total"]))


class Total(keras.metrics.Metric):
    """The sum of the images of the latest batch, in whole numbers."""

    def __init__(self):
        super().__init__(name="total")
        self.value = self.add_variable((), "zeros", name="value", dtype="float32")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(keras.ops.sum(keras.ops.cast(y_pred[..., 0], "float32")))

    def result(self):
        return self.value + 0


def model():
    """Its output is its input, its loss nothing: it shows what comes in."""
    inputs = keras.Input((None, None, 3), dtype="uint8")
    found = keras.Model(inputs, keras.layers.Rescaling(1.0)(inputs))
    found.compile(
        optimizer=keras.optimizers.SGD(0.0), loss=lambda y, p: keras.ops.mean(p) * 0, metrics=[Total()]
    )
    return found


def sums(batches):
    return [float(image[..., 0].astype(np.float64).sum()) for image, _ in batches]


def fitted(loader, **settings):
    seen = Seen()
    model().fit(loader, verbose=0, callbacks=[seen], **settings)
    return seen


@pytest.fixture(scope="module")
def unbroken():
    """Six epochs in one `fit`, with validation between them."""
    val = Loader(numbered(3), batch_size=1, shuffle=False)
    return fitted(Loader(numbered(), **SETTINGS), epochs=6, validation_data=val)


@pytest.mark.full
def test_keras_epochs_are_epochs_and_none_repeats(unbroken):
    assert unbroken.epochs == [0, 1, 2, 3, 4, 5]
    assert [len(epoch) for epoch in unbroken.sums] == [3] * 6
    assert len({tuple(epoch) for epoch in unbroken.sums}) == 6


def test_initial_epoch_resumes_exactly(unbroken):
    """In a new process, whose loader has counted nothing, and with the same loader again."""
    loader = Loader(numbered(), **SETTINGS)
    assert fitted(loader, epochs=5, initial_epoch=4).sums == unbroken.sums[4:5]
    assert fitted(loader, epochs=6, initial_epoch=5).sums == unbroken.sums[5:]


def test_the_numbers_are_those_of_kseg_train(unbroken):
    """Which takes its batches from one endless pipeline, `len // batch_size` an epoch."""
    endless = pipeline(numbered(), shuffle=True, epochs=None, **SETTINGS)
    assert list(itertools.chain(*unbroken.sums)) == sums(
        (image.numpy(), None) for image, _ in endless.take(18)
    )


def test_iterated_by_hand_every_epoch_is_the_next():
    loader = Loader(numbered(), **SETTINGS)
    epochs = [sums(loader) for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert sums(Loader(numbered(), first_epoch=2, **SETTINGS)) == epochs[2]


def test_batches_can_be_asked_for_in_any_order():
    loader = Loader(numbered(), **SETTINGS)
    forwards = [loader[i][0] for i in range(3)]
    for index in (2, 0, 1, 1):
        np.testing.assert_array_equal(loader[index][0], forwards[index])
    with pytest.raises(IndexError):
        loader[3]


def test_without_shuffling_every_sample_comes_once():
    loader = Loader(numbered(), batch_size=4, shuffle=False)
    assert len(loader) == 3
    for _ in range(2):
        found = [image[:, 0, 0, 0].tolist() for image, _ in loader]
        assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_an_epoch_of_less_than_a_batch():
    loader = Loader(numbered(2), batch_size=5, size=(8, 8))
    assert len(loader) == 1
    assert loader[0][0].shape == (5, 8, 8, 3)


def test_bad_files_are_named(tmp_path):
    dataset = Dataset("d", "train", ("a",), ((0, 0, 0),), (Sample(tmp_path / "no.png", tmp_path / "m.png"),))
    with pytest.raises(DataError, match=r"no\.png: no such file"):
        Loader(dataset, batch_size=1)[0]


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"size": (3,)}, {"first_epoch": -1}, {"seed": 1.5}])
def test_bad_settings(settings):
    with pytest.raises(SettingsError):
        Loader(numbered(), **{"batch_size": 2, **settings})
    with pytest.raises(DataError, match="empty"):
        Loader(numbered(0), batch_size=1)
