import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from kseg.data import Augment, Dataset, Loader, Sample, find_user_error, load, pipeline, user_errors
from kseg.data.batches import SampleCache, samples_of_step
from kseg.errors import DataError, SettingsError
from kseg.io.colour_map import colour_map

COUNT = 7


class Numbered:
    """Samples whose pixels tell their number; counts how often each is read."""

    def __init__(self, count=COUNT, size=(10, 12)):
        self.count, self.size, self.reads = count, size, []

    def __len__(self):
        return self.count

    def name_of(self, index):
        return f"n{index}"

    def read(self, index):
        self.reads.append(index)
        size = self.size(index) if callable(self.size) else self.size
        return np.full((*size, 3), index * 10, np.uint8), np.full(size, index, np.uint8)


def numbered(**settings):
    return Dataset("numbered", "train", tuple("abcdefghi"), colour_map(9), Numbered(**settings))


def batches(*args, **settings):
    return [(image.numpy(), label.numpy()) for image, label in pipeline(*args, **settings)]


def order(*args, **settings):
    return [int(label[0, 0]) for _, labels in batches(*args, **settings) for label in labels]


def test_plain_pass_gives_every_sample_once_untouched():
    found = batches(numbered(), batch_size=3)
    assert [len(image) for image, _ in found] == [3, 3, 1]
    for step, (image, label) in enumerate(found):
        assert image.dtype == label.dtype == np.uint8
        for place in range(len(image)):
            np.testing.assert_array_equal(image[place], np.full((10, 12, 3), 10 * (3 * step + place)))
            np.testing.assert_array_equal(label[place], np.full((10, 12), 3 * step + place))


def test_shuffled_epochs_are_different_permutations_as_promised():
    found = order(numbered(), batch_size=2, shuffle=True, seed=11, epochs=3)
    epochs = [found[at : at + COUNT] for at in range(0, 3 * COUNT, COUNT)]
    for number, epoch in enumerate(epochs):
        assert sorted(epoch) == list(range(COUNT))
        expected = [
            int(tf.random.experimental.index_shuffle(k, [11, number], COUNT - 1)) for k in range(COUNT)
        ]
        assert epoch == expected
    assert epochs[0] != epochs[1] != epochs[2]
    assert found != order(numbered(), batch_size=2, shuffle=True, seed=12, epochs=3)


@pytest.mark.full
@pytest.mark.parametrize("start_step", [1, 4, 6])
def test_resume_equals_the_uninterrupted_run(start_step, tmp_path, write):
    write.folder_pair(tmp_path, count=5)
    settings = {"batch_size": 3, "size": (16, 18), "shuffle": True, "seed": 4, "epochs": 4}
    settings["augment"] = Augment((0.7, 1.5), True, 10, 3, 1.0, 0.3, 0.3, 0.3, 0.1)
    dataset = load("folder", tmp_path)
    whole = batches(dataset, **settings)
    rest = batches(dataset, start_step=start_step, **settings)
    assert len(whole) == 7
    assert len(rest) == len(whole) - start_step
    for expected, found in zip(whole[start_step:], rest, strict=True):
        np.testing.assert_array_equal(expected[0], found[0])
        np.testing.assert_array_equal(expected[1], found[1])


def test_same_sample_is_augmented_anew_in_every_epoch():
    found = batches(
        numbered(count=1, size=(40, 40)), batch_size=1, size=(20, 20), epochs=6, augment=Augment((0.2, 1))
    )
    padded = {int((label == 255).sum()) for _, label in found}
    assert len(padded) > 3


def test_skipped_batches_are_not_read():
    dataset = numbered()
    batches(dataset, batch_size=2, start_step=3)
    assert dataset.samples.reads == [6]
    assert batches(dataset, batch_size=2, start_step=99) == []


def test_cache_reads_once_and_changes_nothing():
    cached, uncached = numbered(), numbered()
    first = order(cached, batch_size=2, epochs=3, shuffle=True)
    assert first == order(uncached, batch_size=2, epochs=3, shuffle=True, cache=False)
    assert sorted(cached.samples.reads) == list(range(COUNT))
    assert len(uncached.samples.reads) == 3 * COUNT


def test_cache_stays_within_its_budget():
    dataset = numbered()
    loader = SampleCache(dataset, cache_bytes=2 * 10 * 12 * 4 + 5)
    for _ in range(2):
        for index in range(COUNT):
            np.testing.assert_array_equal(loader(np.int64(index))[1], dataset.load(index)[1])
    assert dataset.samples.reads.count(0) == 1 + 2  # ours read it twice more
    assert dataset.samples.reads.count(6) == 2 + 2


def test_static_shapes_and_last_batch():
    spec = pipeline(numbered(), batch_size=2, size=(8, 9), drop_remainder=True).element_spec
    assert spec[0].shape == (2, 8, 9, 3)
    assert spec[1].shape == (2, 8, 9)
    assert len(batches(numbered(), batch_size=2, drop_remainder=True)) == 3
    spec = pipeline(numbered(), batch_size=2, augment=Augment(mirror=True)).element_spec
    assert spec[0].shape.as_list() == [None, None, None, 3]


def test_size_without_augmentation_is_the_middle():
    ((image, label),) = batches(numbered(count=1), batch_size=1, size=(4, 20))
    np.testing.assert_array_equal(label[0], [[255] * 4 + [0] * 12 + [255] * 4] * 4)
    np.testing.assert_array_equal(image[0, 0, 0], [124, 116, 104])


def test_endless():
    stream = pipeline(numbered(), batch_size=5, epochs=None, shuffle=True)
    found = [int(label[0, 0]) for _, labels in stream.take(7) for label in labels.numpy()]
    for epoch in range(5):
        assert sorted(found[epoch * COUNT : (epoch + 1) * COUNT]) == list(range(COUNT))


@pytest.mark.parametrize(
    "make",
    [lambda data: pipeline(data, batch_size=2), lambda data: Loader(data, batch_size=2).get_tf_dataset()],
)
def test_nobody_waits_for_tensorflows_search_for_the_number_of_threads(make):
    assert make(numbered()).options().autotune.enabled is False


def test_sizes_that_differ():
    dataset = numbered(size=lambda index: (10 + index, 12))
    assert [image.shape[1] for image, _ in batches(dataset, batch_size=1)] == list(range(10, 10 + COUNT))
    with (
        pytest.raises(SettingsError, match=r"n\d is 1\dx12, n\d is 1\dx12\): give size=\(height, width\)"),
        user_errors(),
    ):
        batches(dataset, batch_size=2)
    assert len(batches(dataset, batch_size=2, size=(16, 16))) == 4


def test_a_bad_file_reaches_the_user_by_name(tmp_path, write):
    write.folder_pair(tmp_path, count=3)
    (tmp_path / "images" / "p1.png").write_text("broken\nfile")
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    dataset = load("folder", tmp_path)
    with (
        pytest.raises(DataError, match=r"p1\.png: not a PNG, JPEG, BMP, WebP, TIFF or GIF image") as caught,
        user_errors(),
    ):
        batches(dataset, batch_size=2)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    with pytest.raises(tf.errors.OpError, match=r"p1\.png") as wrapped:
        batches(dataset, batch_size=2)
    assert isinstance(find_user_error(wrapped.value), DataError)


def test_other_errors_pass_through():
    with pytest.raises(tf.errors.InvalidArgumentError), user_errors():
        tf.reshape([1, 2], (3,))
    assert find_user_error(ValueError("DataErrors: none")) is None


def test_fit_raises_the_data_error(tmp_path, write):
    """Keras's own wrapping included."""
    import keras

    write.folder_pair(tmp_path, count=2)
    cv2.imwrite(str(tmp_path / "masks" / "p1.png"), np.zeros((5, 5), np.uint8))
    samples = tuple(Sample(tmp_path / f"images/p{i}.png", tmp_path / f"masks/p{i}.png") for i in range(2))
    dataset = Dataset("d", "train", tuple("abc"), colour_map(3), samples)
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(DataError, match=r"masks/p1\.png.* 5x5 .*images/p1\.png has 20x24"), user_errors():
        model.fit(pipeline(dataset, batch_size=1), verbose=0)


@pytest.mark.parametrize(
    "settings",
    [{"batch_size": 0}, {"size": (4,)}, {"size": (0, 4)}, {"epochs": 0}, {"start_step": -1}],
)
def test_bad_settings(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        pipeline(numbered(), **{"batch_size": 1, **settings})


def test_empty_data_set():
    with pytest.raises(DataError, match="is empty"):
        pipeline(numbered(count=0), batch_size=1)


@pytest.mark.realdata
def test_camvid_batches_hold_only_class_ids(real_data):
    dataset = load("camvid", real_data / "camvid")
    augment = Augment((0.6, 1.6), mirror=True, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05)
    stream = pipeline(dataset, batch_size=4, size=(256, 352), augment=augment, shuffle=True)
    for image, label in stream.take(3):
        assert image.shape == (4, 256, 352, 3)
        assert set(np.unique(label)) <= {*range(11), 255}
        assert image.numpy()[label.numpy() != 255].std() > 20


@pytest.mark.parametrize("augment", [None, Augment(scale=(0.5, 0.6))])
def test_padding_has_the_data_sets_own_ignored_label(augment):
    dataset = Dataset("n", "train", tuple("abcdefg"), colour_map(7), Numbered(), ignore_label=200)
    found = {
        int(i)
        for _, label in batches(dataset, batch_size=1, size=(30, 30), augment=augment)
        for i in label.flat
    }
    assert found == {*range(COUNT), 200}


@pytest.mark.parametrize("epochs", [3, None])
def test_parts_together_are_the_whole_batches(epochs):
    settings = {"batch_size": 4, "shuffle": True, "seed": 3, "epochs": epochs, "start_step": 1}
    limit = 4 if epochs is None else 100
    whole = [label.numpy() for _, label in pipeline(numbered(), drop_remainder=True, **settings).take(limit)]
    settings |= {"drop_remainder": True, "parts": 4}
    first, second, third = (
        [label.numpy() for _, label in pipeline(numbered(), own=own, **settings).take(len(own) * limit)]
        for own in (range(1), range(1, 3), range(3, 4))
    )
    assert len(whole) == 4
    for step, batch in enumerate(whole):
        parts = [first[step], second[2 * step], second[2 * step + 1], third[step]]
        np.testing.assert_array_equal(np.concatenate(parts), batch)


def test_workers_share_an_epoch_that_does_not_divide():
    shares = [order(numbered(), batch_size=3, parts=3, own=range(k, k + 1)) for k in range(3)]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]


@pytest.mark.parametrize(("parts", "own"), [(3, range(1)), (2, range(2, 3)), (2, range(0)), (0, range(1))])
def test_parts_that_cannot_be(parts, own):
    with pytest.raises(SettingsError):
        pipeline(numbered(), batch_size=4, parts=parts, own=own)


def test_the_samples_of_a_step_are_known_without_reading():
    found = order(numbered(), batch_size=3, shuffle=True, seed=6, epochs=4)
    for step in range(9):
        named = samples_of_step(COUNT, batch_size=3, seed=6, shuffle=True, step=step)
        assert named == found[3 * step : 3 * step + 3]
    assert samples_of_step(COUNT, batch_size=3, seed=6, shuffle=False, step=2) == [6, 0, 1]


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [{"shuffle": True}, {"augment": Augment(mirror=True, scale=(0.5, 2))}, {"epochs": 2, "shuffle": True}],
)
def test_iterated_again_it_goes_on_with_new_epochs(settings):
    """As Keras iterates it in every epoch; the first iteration of a new pipeline is always the same."""
    settings = {"batch_size": 4, "size": (8, 8), "seed": 3, **settings}
    stream, longer = pipeline(numbered(), **settings), pipeline(numbered(), **{**settings, "epochs": 6})
    each = settings.get("epochs", 1) * len(numbered())
    found = [
        np.concatenate([image.numpy() for image, _ in stream]) for _ in range(6 * len(numbered()) // each)
    ]
    np.testing.assert_array_equal(
        np.concatenate(found), np.concatenate([image.numpy() for image, _ in longer])
    )
    assert stream.cardinality().numpy() == -(-each // 4)


def test_stored_samples_stay_what_they_are():
    stream = pipeline(numbered(), batch_size=4)
    first, second = ([image.numpy() for image, _ in stream] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.full
def test_python_ends_after_an_error_though_an_image_is_being_read():
    """The iterator that the error's frames held waited, while Python ended, for a thread that waited for Python."""
    code = """
import time
import numpy as np, tensorflow as tf, kseg

class Slow:
    def __init__(self, dataset):
        self.dataset = dataset
    def __len__(self):
        return len(self.dataset)
    def __getattr__(self, name):
        return getattr(self.dataset, name)
    def load(self, index):
        if index == 1:
            raise kseg.errors.DataError("damaged")
        time.sleep(0.5)
        return self.dataset.load(index)

def train(data):
    batches = iter(kseg.data.pipeline(data, batch_size=1, size=(8, 8), epochs=None))
    step = tf.function(lambda batches: batches.get_next())
    while True:
        step(batches)

data = kseg.data.from_arrays(np.zeros((8, 8, 8, 3), "uint8"), np.ones((8, 8, 8), "uint8"), classes=["a", "b"])
try:
    with kseg.data.user_errors():
        train(Slow(data))
except kseg.KsegError as error:
    kept = error
print(kept)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "damaged"
