import keras
import numpy as np
import pytest

import kseg
from kseg.data import as_dataset, class_histogram, from_arrays
from kseg.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
Y = RNG.integers(0, 3, (5, 8, 9), dtype=np.uint8)
Y[:, 0, :3] = 0, 1, 2


def same(dataset, x=X, y=Y):
    assert len(dataset) == len(x)
    for index, (image, mask) in enumerate(dataset):
        np.testing.assert_array_equal(image, x[index])
        np.testing.assert_array_equal(mask, y[index])


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[2 * index : 2 * index + 2], Y[2 * index : 2 * index + 2]


class Counted(Batches):
    """The other way that Keras knows to say how many batches there are."""

    __len__ = None
    num_batches = 3


class Endless(keras.utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return X[:2], Y[:2]


def test_a_data_set_stays_as_it_is():
    dataset = from_arrays(X, Y)
    assert as_dataset(dataset, ["a", "b"]) is dataset


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (list(X), list(Y)),
        (X.astype(np.float32), Y[..., None].astype(np.float32)),
        Batches(),
        Counted(),
        [(X[:3], Y[:3]), (X[3:], Y[3:])],
        list(zip(X, Y, strict=True)),
        [(X[:2], Y[:2, ..., None], None), (X[2:], Y[2:], None)],
        kseg.data.Loader(from_arrays(X, Y), batch_size=2, shuffle=False),
    ],
    ids=lambda data: type(data).__name__,
)
def test_whatever_keras_takes(data):
    same(as_dataset(data))
    np.testing.assert_array_equal(class_histogram(data).pixels, np.bincount(Y.ravel()))
    assert as_dataset(data, ["a", "b", "c"]).num_classes == 3


@pytest.mark.tensorflow
def test_tensorflows_data_with_and_without_batches():
    import tensorflow as tf

    pairs = tf.data.Dataset.from_tensor_slices((X, Y))
    unknown = tf.data.Dataset.from_generator(lambda: zip(X, Y, strict=True), (tf.uint8, tf.uint8))
    for data in (pairs, pairs.batch(2), unknown, (tf.constant(X), tf.constant(Y))):
        same(as_dataset(data))
    with pytest.raises(DataError, match=r"may never end.*\.take\(n\)"):
        as_dataset(pairs.repeat())
    same(as_dataset(pairs.repeat().take(5)))
    with pytest.raises(DataError, match=r"got a dict with the keys image, mask.*\.map"):
        as_dataset(pairs.map(lambda x, y: {"image": x, "mask": y}))


@pytest.mark.tensorflow
def test_ragged_batches_keep_every_images_size():
    import tensorflow as tf

    x = [X[0, :5], X[1, :, :4], X[2]]
    y = [Y[0, :5], Y[1, :, :4], Y[2]]
    ragged = tf.data.Dataset.from_generator(
        lambda: zip(x, y, strict=True),
        output_signature=(tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((None, None), tf.uint8)),
    ).ragged_batch(2)
    same(as_dataset(ragged), x, y)
    same(as_dataset((tf.ragged.stack(x), tf.ragged.stack(y))), x, y)


def test_loaders_of_pytorch():
    torch = pytest.importorskip("torch")
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    same(as_dataset(pairs))
    same(as_dataset(torch.utils.data.DataLoader(pairs, batch_size=2)))
    flipped = torch.utils.data.TensorDataset(torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(Y))
    with pytest.raises(DataError, match="channels come last"):
        as_dataset(torch.utils.data.DataLoader(flipped, batch_size=2))


def test_paths(tmp_path):
    import cv2

    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), X[number][..., ::-1])
        cv2.imwrite(str(tmp_path / f"m{number}.png"), Y[number])
    images = [str(tmp_path / f"{number}.png") for number in range(2)]
    masks = [tmp_path / f"m{number}.png" for number in range(2)]
    same(as_dataset((images, masks), 3), X[:2], Y[:2])
    same(as_dataset((np.array(images), masks), 3), X[:2], Y[:2])


def test_sample_weights_of_nothing_are_ignored_labels():
    weights = (RNG.random(Y.shape) < 0.5).astype(np.float32)
    expected = np.where(weights == 0, 255, Y)
    same(as_dataset((X, Y, weights)), y=expected)
    same(as_dataset([(X[:2], Y[:2], weights[:2]), (X[2:], Y[2:], weights[2:, ..., None])]), y=expected)
    each = np.array([1, 0, 1, 1, 0])
    same(as_dataset((X, Y, each)), y=np.where(each[:, None, None] == 0, 255, Y))
    with pytest.raises(DataError, match=r"sample 0: sample weights are 0 .ignored. or 1 here; got 2 to 2"):
        as_dataset((X, Y, weights * 0 + 2))[0]


def test_sample_weights_of_classes_that_overlap():
    masks = (RNG.random((*Y.shape, 2)) < 0.5).astype(np.uint8)
    weights = (RNG.random(masks.shape) < 0.5).astype(np.float32)
    same(as_dataset((X, masks, weights), 2, multilabel=True), y=np.where(weights == 0, 255, masks))
    same(as_dataset((X, masks, weights[..., 0]), 2, multilabel=True), y=np.where(weights[..., :1] == 0, 255, masks))
    with pytest.raises(DataError, match=f"{len(X)} masks but 1 sample weights"):
        as_dataset((X, masks, weights[:1]), 2, multilabel=True)


def test_what_weights_ignore_is_no_class_in_black_and_white():
    weights = (RNG.random(Y.shape) < 0.5).astype(np.float32)
    black = np.zeros_like(Y)
    expected = np.where(weights == 0, 255, 0)
    same(as_dataset((X, black, weights), 2), y=expected)
    same(as_dataset([(X[:2], black[:2], weights[:2]), (X[2:], black[2:], weights[2:])], 2), y=expected)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (zip(X, Y, strict=True), "zip has no known length"),
        (Endless(1), "Endless has no known length"),
        (X, r"ndarray of shape \(5, 8, 9, 3\) without masks"),
        ({"x": X, "y": Y}, "without masks"),
        ((X, None), "without masks"),
        ([X[0], X[1], X[2]], "expected .images, masks."),
        ([({"image": X[0]}, Y[0])], "got dicts"),
        ("photos", r'kseg\.data\.load\("folder", "photos"\)'),
        (7, "int is not a data set"),
        (None, "NoneType is not a data set"),
        ([(X[:2], Y[:3])], "a batch of 2 images but 3 masks"),
        ([(X, np.where(Y == 2, np.nan, Y))], "my data, sample 0: the mask holds fractions or NaN"),
        ([(X, np.eye(3)[Y])], "my data, sample 0.*one-hot"),
        ([(X[:2], Y[:2]), (X[2:] / 255, Y[2:])], "my data, sample 2: image values from 0 to 1"),
        ([], "no samples"),
    ],
)
def test_bad_data_is_one_sentence(data, says):
    with pytest.raises(DataError, match=says) as caught:
        as_dataset(data, 3, name="my data")
    assert "\n" not in str(caught.value)


def test_ids_beyond_the_classes_name_sample_and_id():
    wrong = Y.copy()
    wrong[3, 2, 2] = 9
    for data in ((X, wrong), [(X, wrong)]):
        with pytest.raises(DataError, match="data_00003: class id 9"):
            list(as_dataset(data, 3))


def test_more_than_fits_in_memory(monkeypatch):
    monkeypatch.setattr("kseg.data.sources.as_dataset.free_memory", lambda: 1000.0)
    with pytest.raises(DataError, match="fill half of the free memory"):
        as_dataset([(X, Y)])
    assert len(as_dataset((X, Y))) == 5
