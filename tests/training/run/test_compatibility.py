"""What does not go together is said before anything is trained or written."""

from dataclasses import replace

import keras
import pytest

from kseg.data import Dataset
from kseg.errors import DataError, SettingsError
from kseg.training import Recipe
from kseg.training.callbacks import Every
from kseg.training.run.compatibility import as_datasets, batch_size, check, check_labels


def test_sampling_takes_more_pictures():
    # Shelhamer et al., section 6: a share p of the loss goes with 1/p times the pictures.
    assert [batch_size(Recipe(batch_size=6, sampling=share)) for share in (None, 1.0, 0.25)] == [6, 6, 24]


def test_what_goes_together_passes(network, train, val):
    every = Every.parse("10m")
    assert check(network(), Recipe(size=None, batch_size=1, ema=0.9), train, val, every) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": None, "batch_size": 2}, "a batch holds one; the recipe says 2"),
        ({"size": None, "batch_size": 1, "sampling": 0.5}, "a batch holds one; the recipe says 2"),
        ({"class_weights": (1, 2)}, r"2 class weights and blocks has 3 classes \(ground, red, green\)"),
        ({"mixed_precision": "mixed_float16"}, "asks for mixed_float16 and the model was built in float32"),
        ({"head_multiplier": 2.0}, "`backbone`"),
    ],
)
def test_recipe_and_model(network, train, val, changes, message):
    with pytest.raises(SettingsError, match=message):
        check(network(), Recipe(**changes), train, val, None)


def test_model_and_data(network, train, val):
    with pytest.raises(SettingsError, match=r"4 classes and blocks has 3; .* num_classes=3"):
        check(network(classes=4), Recipe(), train, val, None)
    with pytest.raises(SettingsError, match="needs validation data"):
        check(network(), Recipe(ema=0.5), train, None, None)
    other = Dataset("other", "val", ("a", "b", "c"), val.palette, val.samples)
    with pytest.raises(SettingsError, match="different classes"):
        check(network(), Recipe(), train, other, None)
    empty = Dataset(train.name, "train", train.classes, train.palette, ())
    with pytest.raises(SettingsError, match="the train split is empty"):
        check(network(), Recipe(), empty, None, None)


@pytest.mark.parametrize(("name", "value"), [("multilabel", True), ("value_range", (0.0, 1.0))])
def test_what_the_file_of_a_plain_model_would_not_keep(train, val, name, value):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    setattr(model, name, value)
    kind = replace(train, **{name: value})
    with pytest.raises(SettingsError, match=f"does not keep `{name}`: make it a kseg.models.Segmenter"):
        check(model, Recipe(), kind, None, None)


def test_keras_on_another_backend(network, train, monkeypatch):
    model = network()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(SettingsError, match="Keras's backend is jax"):
        as_datasets(model, train, None)


def test_labels_that_teach_nothing(network, train, val):
    ignored = Dataset("none", "val", val.classes, val.palette, Ignored(val.samples))
    assert check_labels(train, val, 3) is None
    assert check_labels(train, None, 3) is None
    for pair in ((train, ignored), (ignored, None)):
        with pytest.raises(
            DataError, match="in the split val every pixel of every mask has the ignored label"
        ):
            check_labels(*pair, 3)
    with pytest.raises(SettingsError, match="background"):
        check_labels(train, None, 1)
    empty = Dataset(val.name, "val", val.classes, val.palette, ())
    with pytest.raises(SettingsError, match="the val split is empty"):
        check(network(), Recipe(), train, empty, None)


class Ignored:
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def name_of(self, index):
        return self.samples.name_of(index)

    def read(self, index):
        image, labels = self.samples.read(index)
        return image, labels * 0 + 255


def test_class_weights_by_name_and_id(network, train):
    assert check(network(), Recipe(class_weights={"red": 2.0, 0: 0.5}), train, None, None) is None
    with pytest.raises(SettingsError, match="blue"):
        check(network(), Recipe(class_weights={"blue": 2.0}), train, None, None)
    with pytest.raises(SettingsError, match="the classes 3, but"):
        check(network(), Recipe(class_weights={3: 2.0}), train, None, None)
