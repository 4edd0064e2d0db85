"""The predictor against plain loops, and its equations: windows, strips, scales, mirroring."""

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from kseg.errors import SettingsError
from kseg.inference import Predictor
from kseg.inference.window_average import window_starts


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (1, 40), (64, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_plain_prediction(size, dtype, picture, net, plain):
    model, image = net(), picture(*size).astype(dtype)
    predict, expected = Predictor(model), plain(model, image)
    probabilities, labels = predict.probabilities(image), predict(image)
    assert probabilities.dtype == np.float32
    assert labels.dtype == np.uint8
    assert labels.shape == size
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(labels, expected.argmax(-1))


@pytest.mark.parametrize("size", [(24, 31), (90, 20), 40])
def test_pictures_are_brought_to_a_size_and_the_probabilities_back(size, picture, net, plain):
    model, image = net(), picture()
    height, width = size if isinstance(size, tuple) else (size, size)
    # A side that shrinks is averaged, then one that grows interpolated; OpenCV is the other implementation.
    small = cv2.resize(image, (min(width, 53), min(height, 37)), interpolation=cv2.INTER_AREA)
    small = cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    expected = cv2.resize(plain(model, small).astype(np.float32), (53, 37), interpolation=cv2.INTER_LINEAR)
    predict = Predictor(model, size=size)
    np.testing.assert_allclose(predict.probabilities(image), expected, atol=1e-5)
    np.testing.assert_array_equal(predict(image), expected.argmax(-1))
    np.testing.assert_array_equal(predict.batch(image[None])[0], expected.argmax(-1))
    model.working_size = (height, width)
    np.testing.assert_array_equal(Predictor(model).probabilities(image), predict.probabilities(image))
    model.working_size = "wide"  # of a model that is no Segmenter nobody has looked at it before
    with pytest.raises(SettingsError, match="working_size"):
        Predictor(model)
    model.working_size = (height, width)
    assert Predictor(model, window=16).size is None  # windows are asked for: the picture's own size
    assert Predictor(model, window=16, size=size).size == (height, width)


@pytest.mark.parametrize(
    "settings",
    [{"window": 16}, {"window": 16, "pad": True}, {"window": 16, "scales": (0.5, 1, 1.75), "flip": True}],
)
def test_one_pixel(settings, picture, net, plain):
    model, image = net(kernel=1), picture(1, 1)
    np.testing.assert_array_equal(Predictor(model, **settings)(image), plain(model, image).argmax(-1))


def released_test(plain, model, image, base, crop, scales):
    """The authors' test code in plain NumPy: hszhao/semseg, tool/test.py, with the padding of hszhao/PSPNet,
    evaluation/scale_process.m, which is below and to the right (semseg has half of it on each side)."""
    height, width = image.shape[:2]
    total = 0
    for scale in scales:
        long_side = round(scale * base)
        size = (long_side, round(long_side / height * width))  # the height is the longer side here
        scaled = cv2.resize(image.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        padded = np.empty((max(size[0], crop), max(size[1], crop), 3), np.float32)
        padded[:] = (120, 110, 100)
        padded[: size[0], : size[1]] = scaled
        stride = int(np.ceil(crop * 2 / 3))
        sums, counts = np.zeros((*padded.shape[:2], 4)), np.zeros((*padded.shape[:2], 1))
        for row in range(int(np.ceil((padded.shape[0] - crop) / stride)) + 1):
            for column in range(int(np.ceil((padded.shape[1] - crop) / stride)) + 1):
                bottom, right = (
                    min(row * stride + crop, padded.shape[0]),
                    min(column * stride + crop, padded.shape[1]),
                )
                part = slice(bottom - crop, bottom), slice(right - crop, right)
                tile = padded[part]
                both = plain(model, tile) + plain(model, tile[:, ::-1])[:, ::-1]
                sums[part] += both / 2
                counts[part] += 1
        total = total + cv2.resize((sums / counts)[: size[0], : size[1]], (width, height))
    return total / len(scales)


def test_the_longer_side_is_brought_to_a_length_as_in_the_released_test(picture, net, plain):
    """Enlarged, where our averaging of pictures that shrink does not come in."""
    model, image, scales = net(), picture(30, 17), (0.5, 1.0, 1.75)
    predict = Predictor(model, scales, flip=True, window=24, pad=True, long_side=48)
    expected = released_test(plain, model, image, 48, 24, scales)
    np.testing.assert_allclose(predict.probabilities(image), expected, atol=1e-4)
    assert predict._grid((30, 17), 1.75).size == (84, 48)
    assert predict._grid((17, 30), 0.5).size == (14, 24)
    assert predict._grid((1, 3000), 1.0).size == (1, 48)
    model.working_size = (8, 8)
    assert Predictor(model, long_side=48).size is None  # of two sizes the one that is asked for


def test_a_longer_side_that_shrinks_is_averaged(picture, net, plain):
    model, image = net(), picture(37, 53)
    small = cv2.resize(image, (26, 18), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(plain(model, small).astype(np.float32), (53, 37), interpolation=cv2.INTER_LINEAR)
    found = Predictor(model, long_side=26).probabilities(image)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("scales", [0.5, np.float32(0.5), np.array([0.5]), [np.float64(0.5)], (0.5,)])
def test_one_scale_in_any_number(scales, net):
    assert Predictor(net(), scales=scales).scales == (0.5,)


@pytest.mark.parametrize("window", [200, (37, 53), (37, 1000), (38, 54)])
def test_window_as_large_as_the_image_is_plain_prediction(window, picture, net):
    model, image = net(), picture()
    np.testing.assert_array_equal(
        Predictor(model, window=window).probabilities(image), Predictor(model).probabilities(image)
    )
    np.testing.assert_array_equal(Predictor(model, window=window)(image), Predictor(model)(image))


@pytest.mark.parametrize("stride", [1.0, 2 / 3, 0.5])
def test_windows_of_a_position_independent_net_give_the_whole_prediction(stride, picture, net, plain):
    model, image = net(kernel=1), picture()
    found = Predictor(model, window=(16, 20), stride=stride)
    np.testing.assert_allclose(found.probabilities(image), plain(model, image), atol=5e-7)
    np.testing.assert_array_equal(found(image), plain(model, image).argmax(-1))


def shuffled_windows(plain, model, image, window, stride, seed):
    """Sliding-window prediction as a plain loop over full-size arrays, windows in any order."""
    height, width = image.shape[:2]
    total, counts = 0.0, np.zeros((height, width, 1))
    places = [
        (y, x) for y in window_starts(height, window, stride) for x in window_starts(width, window, stride)
    ]
    for i in np.random.default_rng(seed).permutation(len(places)):
        y, x = places[i]
        part = np.zeros((height, width, 4))
        part[y : y + window, x : x + window] = plain(model, image[y : y + window, x : x + window])
        total = total + part
        counts[y : y + window, x : x + window] += 1
    return total / counts


def test_windows_in_any_order_give_the_same_map(picture, net, plain):
    model, image = net(), picture()
    found = Predictor(model, window=18).probabilities(image)
    for seed in (0, 1):
        np.testing.assert_allclose(found, shuffled_windows(plain, model, image, 18, 12, seed), atol=1e-6)


def test_scales_and_flip_are_averaged(picture, net, plain):
    model, image = net(), picture()
    expected = 0
    for scale in (0.5, 1.0, 1.75):
        size = (round(53 * scale), round(37 * scale))
        scaled = cv2.resize(image.astype(np.float32), size)
        both = plain(model, scaled) + plain(model, scaled[:, ::-1])[:, ::-1]
        expected = expected + cv2.resize(both / 2, (53, 37)) / 3
    found = Predictor(model, scales=(0.5, 1, 1.75), flip=True).probabilities(image)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_flip_does_nothing_on_a_mirror_symmetric_net(picture, net):
    model, image = net(), picture()
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            layer.kernel.assign((layer.kernel + layer.kernel[:, ::-1]) / 2)
    np.testing.assert_allclose(
        Predictor(model, flip=True).probabilities(image), Predictor(model).probabilities(image), atol=1e-6
    )


def test_padding_is_the_mean_colour_below_and_right(picture, net, plain):
    model, image = net(), picture(9, 12)
    padded = np.empty((16, 20, 3), np.float32)
    padded[:] = (120, 110, 100)
    padded[:9, :12] = image
    found = Predictor(model, window=(16, 20), pad=True).probabilities(image)
    np.testing.assert_allclose(found, plain(model, padded)[:9, :12], atol=1e-6)


@pytest.mark.parametrize("size", [(9, 12), (37, 53), (16, 20)])
def test_a_model_of_fixed_size_runs_in_its_windows(size, picture, net, plain):
    free = net(kernel=1)
    fixed = net(kernel=1, size=(16, 20))
    fixed.set_weights(free.get_weights())
    np.testing.assert_allclose(
        Predictor(fixed).probabilities(picture(*size)), plain(free, picture(*size)), atol=1e-6
    )


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("size", [(None, None), (16, 20)])
def test_a_model_of_fixed_batch_gets_full_batches(batch, size, picture, plain):
    image = keras.Input(batch_shape=(batch, *size, 3))
    fixed, free = keras.Model(image, layers.Conv2D(4, 1)(image)), keras.Sequential([layers.Conv2D(4, 1)])
    free.build((None, None, None, 3))
    free.set_weights(fixed.get_weights())
    images = np.stack([picture(16, 20), picture(17, 20)[1:], picture(18, 20)[2:]])
    expected = np.stack([plain(free, each) for each in images])
    predict = Predictor(fixed, window=(16, 20), flip=True)
    np.testing.assert_allclose(predict.probabilities(images[0]), expected[0], atol=1e-5)
    np.testing.assert_array_equal(predict.batch(images), expected.argmax(-1))
    whole = picture()  # six windows
    np.testing.assert_array_equal(predict(whole), plain(free, whole).argmax(-1))


def test_batch_is_one_picture_at_a_time(picture, net):
    images = np.stack([picture(), picture()[::-1], 255 - picture()])
    for settings in ({}, {"window": 16}, {"flip": True}):
        found = Predictor(net(), **settings)
        np.testing.assert_array_equal(found.batch(images), [found(image) for image in images])
        assert found.batch(images[:0]).shape == (0, *images.shape[1:3])


def test_crf_comes_last_and_at_full_size(picture, net):
    def shift(image, probabilities):
        assert image.dtype == np.uint8
        assert probabilities.shape == (*image.shape[:2], 4)
        return np.roll(probabilities, 1, axis=-1)

    model, image = net(), picture()
    for settings in ({}, {"window": 16, "flip": True, "scales": (1, 0.5)}):
        before = Predictor(model, **settings).probabilities(image)
        refined = Predictor(model, crf=shift, **settings)
        np.testing.assert_array_equal(refined.probabilities(image), np.roll(before, 1, axis=-1))
        np.testing.assert_array_equal(refined(image), np.roll(before, 1, axis=-1).argmax(-1))


@pytest.mark.parametrize(("classes", "dtype"), [(255, np.uint8), (256, np.uint16)])
def test_many_classes(classes, dtype, picture, net, plain):
    model, image = net(classes=classes), picture(8, 9)
    for settings in ({}, {"window": 6}):
        labels = Predictor(model, **settings)(image)
        assert labels.dtype == dtype
    np.testing.assert_array_equal(Predictor(model)(image), plain(model, image).argmax(-1))


def test_progress_counts_the_windows(picture, net):
    for settings, windows in (({}, 1), ({"window": (20, 53)}, 3), ({"window": 37, "scales": (1, 0.5)}, 3)):
        seen = []
        predict = Predictor(net(), batch_size=2, **settings)
        predict(picture(), progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert seen[-1] == (windows, windows)
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})
