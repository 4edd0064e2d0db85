"""Images of six channels and masks of classes that overlap, through data sets, batches and augmentation."""

import json

import numpy as np
import pytest
from PIL import Image

import kseg
from kseg.data import Augment, Loader, from_arrays, from_pairs
from kseg.errors import DataError, SettingsError

SIX = {"channels": 6, "value_range": (0, 65535)}


@pytest.fixture
def six():
    rng = np.random.default_rng(0)
    return rng.integers(0, 65536, (4, 20, 24, 6)).astype(np.uint16), rng.integers(0, 2, (4, 20, 24)).astype(np.uint8)


def test_values_pass_as_they_are(six):
    x, y = six
    data = from_arrays(x, y, classes=2, **SIX)
    assert data[2][0].dtype == np.uint16
    np.testing.assert_array_equal(data[2][0], x[2])
    images, labels = Loader(data, batch_size=4, shuffle=False)[0]
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, x)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal((data + data)[5][0], x[1])


def test_cut_out_and_padded_with_the_middle(six):
    x, y = six
    images, labels = Loader(from_arrays(x, y, classes=2, **SIX), batch_size=1, size=(32, 16), shuffle=False)[0]
    np.testing.assert_array_equal(images[0, 6:26], x[0, :, 4:20])
    assert (images[0, :6] == 32767.5).all()
    assert (labels[0, :6] == 255).all()


def test_brightness_and_contrast_by_the_formula():
    x = np.zeros((1, 8, 8, 2), np.float32)
    x[..., 0], x[:, :4, :, 1], x[:, 4:, :, 1] = 0.5, 0.2, 0.6
    data = from_arrays(x, np.zeros((1, 8, 8), np.uint8), classes=2, channels=2, value_range=(0, 1))
    image = Loader(data, batch_size=1, augment=Augment(contrast=0.5), shuffle=False)[0][0][0]
    np.testing.assert_allclose(image[..., 0], 0.5, atol=1e-6)  # its own mean
    factor = (image[-1, 0, 1] - image[0, 0, 1]) / 0.4
    assert 0.5 <= factor <= 1.5
    assert factor != pytest.approx(1)
    np.testing.assert_allclose(image[..., 1].mean(), 0.4, atol=1e-6)
    image = Loader(data, batch_size=1, augment=Augment(brightness=0.5), shuffle=False)[0][0][0]
    np.testing.assert_allclose(image / x[0], image[0, 0, 0] / 0.5, rtol=1e-5)


def test_what_is_of_rgb_alone(six):
    data = from_arrays(*six, classes=2, **SIX)
    for augment in (Augment(hue=0.1), Augment(saturation=0.1)):
        with pytest.raises(SettingsError, match="of RGB images alone, and these have 6 channels"):
            Loader(data, batch_size=2, augment=augment)
        with pytest.raises(SettingsError, match="6 channels"):
            kseg.data.pipeline(data, batch_size=2, augment=augment)


def test_masks_of_classes_that_overlap(six):
    x = (six[0][..., :3] >> 8).astype(np.uint8)
    masks = np.random.default_rng(1).integers(0, 2, (4, 20, 24, 3)).astype(bool)
    data = from_arrays(x, masks, multilabel=True)
    assert data.num_classes == 3
    np.testing.assert_array_equal(data[1][1], masks[1])
    images, labels = Loader(data, batch_size=4, shuffle=False)[0]
    np.testing.assert_array_equal(images, x)
    np.testing.assert_array_equal(labels, masks)
    images, labels = Loader(data, batch_size=2, size=(32, 30), augment=Augment(mirror=True, rotate=20))[0]
    assert labels.shape == (2, 32, 30, 3)
    assert set(np.unique(labels)) == {0, 1, 255}
    outside = (labels == 255).any(-1)
    assert (labels[outside] == 255).all()


def test_files_in_folders(six, tmp_path):
    x, y = six
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number, (image, mask) in enumerate(zip(x, y, strict=True)):
        np.save(tmp_path / "images" / f"{number}.npy", image)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    data = from_pairs(tmp_path / "images", tmp_path / "masks", classes=["a", "b"], **SIX)
    np.testing.assert_array_equal(data[3][0], x[3])
    (tmp_path / "channels.json").write_text(json.dumps({"channels": 6, "value_range": [0, 65535]}))
    data = kseg.data.load("folder", tmp_path)
    assert (len(data), data.channels, data.value_range) == (4, 6, (0, 65535))
    np.testing.assert_array_equal(data[3][0], x[3])
    for wrong in ('{"channels": 6}', "[6]", "x", '{"channels": 0, "value_range": [0, 1]}'):
        (tmp_path / "channels.json").write_text(wrong)
        with pytest.raises(DataError, match=r"channels\.json: expected"):
            kseg.data.load("folder", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y, {}), "sample 0: an image of shape .*: declare channels=6"),
        (lambda x, y: (np.moveaxis(x, -1, 1), y, SIX), "sample 0: .*channels come last"),
        (lambda x, y: (x / 65535, y, SIX), "sample 0: image values from 0 to 1"),
        (lambda x, y: (x * 2.0, y, SIX), "sample 0: image values from .* expected 0 to 65535"),
        (lambda x, y: (np.where(x > 5, np.nan, x), y, SIX), "sample 0: the image has NaN"),
        (lambda x, y: (x, np.eye(2, dtype="uint8")[y], SIX), "sample 0: .*one-hot labels"),
        (lambda x, y: (x, y + 1, SIX), "class id 2 in the mask"),
        (lambda x, y: (x, y[:, 1:], SIX), "the mask has 19x24 pixels"),
        (lambda x, y: (x, y, {**SIX, "multilabel": True}), "sample 0: a mask of shape .* as classes overlap"),
    ],
)
def test_bad_input(six, change, message):
    x, y, kind = change(*six)
    with pytest.raises(DataError, match=message):
        from_arrays(x, y, classes=2, **kind)[0]


def test_data_sets_that_differ_are_not_joined(six):
    x, y = six
    with pytest.raises(SettingsError, match="channels or values"):
        from_arrays(x, y, classes=2, **SIX) + from_arrays(x[..., :3], y, classes=2)
