import keras
import numpy as np
import pytest

from kseg.errors import DataError, KsegWarning, SettingsError
from kseg.inference import ProposalPredictor

RANDOM = np.random.default_rng(0)


def net(size=(None, None), batch=None):
    """Logits are the colours over 64, less 1: what is expected can be said without a model."""
    image = keras.Input((*size, 3), batch_size=batch)
    return keras.Model(image, keras.layers.Rescaling(1 / 64, -1)(image))


def picture(height=24, width=32):
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def proposing(boxes):
    return lambda image, count: np.asarray(boxes, np.int32)


def predictor(boxes, model=None, **settings):
    settings = {"size": (16, 16), "smallest": 4, "context": 1.0, "propose": proposing(boxes), **settings}
    return ProposalPredictor(model or net(), **settings)


def joined(predict, image):
    return [(done, logits.copy()) for done, logits in predict.accumulate(image)]


def test_a_box_of_the_models_size_is_predicted_as_it_is():
    image = picture()
    _, logits = joined(predictor([[2, 5, 18, 21]]), image)[-1]
    expected = np.zeros((24, 32, 3))
    expected[2:18, 5:21] = np.maximum(image[2:18, 5:21] / 64 - 1, 0)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_boxes_are_joined(mode):
    image, boxes = picture(), [[0, 0, 16, 16], [4, 8, 20, 24], [8, 16, 24, 32]]
    logits = joined(predictor(boxes, mode=mode, batch_size=2), image)[-1][1]
    expected = np.zeros((24, 32, 3))
    for top, left, bottom, right in boxes:
        part = expected[top:bottom, left:right]
        value = image[top:bottom, left:right] / 64 - 1
        part[:] = np.maximum(part, value) if mode == "max" else part + value
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_labels_and_probabilities():
    image = picture()
    predict = predictor([[0, 0, 16, 16]])
    probabilities = predict.probabilities(image)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities[20, 20], 1 / 3, rtol=1e-6)
    powers = np.exp(np.maximum(image[3, 3] / 64 - 1, 0))
    np.testing.assert_allclose(probabilities[3, 3], powers / powers.sum(), rtol=1e-4)
    labels = predict(image)
    assert labels.dtype == np.uint8
    assert (labels[16:] == 0).all()
    np.testing.assert_array_equal(labels[:16, :16], np.maximum(image[:16, :16] / 64 - 1, 0).argmax(-1))
    np.testing.assert_array_equal(predict.batch(image[None])[0], labels)


def test_warping_there_and_back_keeps_a_ramp():
    """A ramp is what bilinear warping keeps: only at the border of the box does it bend."""
    ramp = np.broadcast_to(np.arange(64)[None, :, None] * 2 + 64, (48, 64, 3)).astype(np.uint8)
    logits = joined(predictor([[4, 8, 44, 56]]), ramp)[-1][1]
    np.testing.assert_allclose(logits[8:40, 14:50], ramp[8:40, 14:50] / 64 - 1, atol=1e-4)


def test_beyond_the_picture_it_is_black():
    image = np.full((24, 24, 3), 128, np.uint8)
    seen = []

    class Recording:
        def predict_on_batch(self, crops):
            seen.append(crops)
            return crops

    predict = predictor([[0, 0, 8, 8]], context=2.0)
    predict.model = Recording()
    np.testing.assert_array_equal(predict.boxes(image), [[-4, -4, 12, 12]])
    predict(image)
    crop = seen[0][0]
    assert crop.shape == (16, 16, 3)
    np.testing.assert_array_equal(crop[4:, 4:], 128)
    assert crop[:4].max() == crop[:, :4].max() == 0


def test_the_best_boxes_that_are_large_enough_are_used():
    boxes = [[0, 0, 5, 20], [0, 0, 12, 12], [2, 2, 13, 22], [0, 0, 10, 9], [4, 4, 20, 20]]
    found = predictor(boxes, smallest=10, best=2).boxes(picture())
    np.testing.assert_array_equal(found, [boxes[1], boxes[2]])


def test_without_boxes_the_whole_picture_is_predicted():
    image = picture(16, 16)
    predict = predictor([[0, 0, 5, 5]], smallest=8)
    with pytest.warns(UserWarning, match="whole image"):
        labels = predict(image)
    np.testing.assert_array_equal(labels, np.maximum(image / 64.0 - 1, 0).argmax(-1))
    with pytest.warns(UserWarning, match="none of 0 proposals"):
        predictor(np.zeros((0, 4)))(image)


@pytest.mark.parametrize("size", [(1, 1), (9, 15), (40, 15)])
def test_pictures_smaller_than_the_window(size):
    """Edge Boxes find none in them: the picture as a whole is enlarged, predicted and made small again."""
    image = np.full((*size, 3), 128, np.uint8)
    image[..., 1] = 200
    predict = ProposalPredictor(net(), size=(32, 32))
    with pytest.warns(KsegWarning, match="whole image"):
        labels = predict(image)
    np.testing.assert_array_equal(labels, np.ones(size))


@pytest.mark.parametrize(
    "bad", [np.zeros((20, 20)), np.full((20, 20, 3), np.nan), np.full((20, 20, 3), -300.0)]
)
def test_what_is_no_picture_is_refused(bad):
    predict = predictor([[0, 0, 16, 16]])
    for use in (predict, predict.boxes):
        with pytest.raises(DataError, match="An image"):
            use(bad)


def test_a_box_beyond_the_picture_adds_nothing():
    """A search of one's own may give such boxes, larger than what is left of the picture too."""
    image = picture()
    alone = predictor([[0, 0, 16, 16]]).probabilities(image)
    beyond = [[0, 0, 16, 16], [30, 0, 90, 20], [0, 40, 20, 99], [-90, 0, -5, 20]]
    np.testing.assert_array_equal(predictor(beyond).probabilities(image), alone)


def test_one_side_for_both():
    assert predictor([[0, 0, 16, 16]], size=20).size == (20, 20)
    with pytest.raises(SettingsError, match="size"):
        predictor([[0, 0, 16, 16]], size=(16, 0))


def test_progress_and_accumulation():
    boxes, seen = [[0, 0, 16, 16 + i] for i in range(5)], []
    predict, image = predictor(boxes, batch_size=2), picture()
    predict(image, lambda *at: seen.append(at))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    steps = joined(predict, image)
    assert [done for done, _ in steps] == [2, 4, 5]
    assert (steps[-1][1] >= steps[0][1]).all()
    assert (steps[-1][1] > steps[0][1]).any()


def test_fixed_sizes_and_batches_of_the_model():
    boxes, image = [[0, 0, 16, 16], [4, 8, 20, 24], [8, 16, 24, 32]], picture()
    fixed = predictor(boxes, net((16, 16), batch=2), size=(20, 20))
    assert fixed.size == (16, 16)
    np.testing.assert_array_equal(joined(fixed, image)[-1][1], joined(predictor(boxes), image)[-1][1])


def test_crf_is_called_with_image_and_probabilities():
    image = picture()
    predict = predictor([[0, 0, 16, 16]], crf=lambda image, p: p[..., ::-1] * (image[..., :1] >= 0))
    plain = predictor([[0, 0, 16, 16]]).probabilities(image)
    np.testing.assert_array_equal(predict.probabilities(image), plain[..., ::-1])


@pytest.mark.parametrize("settings", [{"mode": "mean"}, {"best": 0}, {"context": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(SettingsError, match=r"max or sum|at least 1"):
        ProposalPredictor(net(), **settings)


def test_an_image_is_rgb():
    with pytest.raises(DataError, match="RGB"):
        predictor([])(np.zeros((8, 8), np.uint8))
