import keras
import numpy as np

from kseg.inference import ProposalPredictor, draw, proposal_steps
from kseg.visualize.grid import BAR, GAP

PALETTE = ((0, 0, 0), (0, 200, 0), (0, 0, 200))
BOXES = [[8, 8, 24, 24], [0, 0, 24, 48], [2, 30, 22, 46], [4, 2, 20, 12], [0, 0, 8, 8]]


def predictor(**settings):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Rescaling(1 / 64, -1)(image))
    propose = lambda image, count: np.array(BOXES, np.int32)  # noqa: E731
    return ProposalPredictor(
        model, size=(16, 16), smallest=4, context=1.0, propose=propose, batch_size=2, **settings
    )


def tile(drawn, number, columns=3, size=(120, 240)):
    """The picture of a sheet with cells of 240 pixels."""
    row, column = divmod(number, columns)
    top, left = row * (BAR + size[0] + GAP) + BAR, GAP + column * (240 + GAP)
    return drawn[top : top + size[0], left : left + size[1]]


def test_boxes_come_in_by_size_and_the_last_picture_is_the_prediction():
    image = np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    predict, seen = predictor(), []
    drawn = proposal_steps(predict, image, PALETTE, columns=3, progress=lambda *at: seen.append(at))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    # The image, and the labels after 1, 2, 4 and 5 boxes.
    assert drawn.shape == (2 * (BAR + 120 + GAP), GAP + 3 * (240 + GAP), 3)
    whole = draw.overlay(image, predict(image), PALETTE, ignore_label=None)
    last = tile(drawn, 4)[::5, ::5][:, :, :]
    # Five times larger without smoothing; the last box's outline lies in rows and columns 0 and 7.
    inner = np.ones((24, 48), bool)
    inner[[0, 7], :8] = inner[:8, [0, 7]] = False
    np.testing.assert_array_equal(last[inner], whole[inner])
    # After one box, the largest: all of the picture has labels of that box alone.
    alone = ProposalPredictor(
        predict.model,
        size=(16, 16),
        smallest=4,
        context=1.0,
        propose=lambda *_: np.array(BOXES[1:2], np.int32),
    )
    first = draw.overlay(image, alone(image), PALETTE, ignore_label=None)
    np.testing.assert_array_equal(tile(drawn, 1)[::5, ::5][1:-1, 1:-1], first[1:-1, 1:-1])


def test_boxes_may_be_given_and_come_singly():
    image = np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    predict = predictor()
    boxes = predict.boxes(image)[::-1]
    steps = [(done, logits.copy()) for done, logits in predict.accumulate(image, boxes=boxes, singly=True)]
    assert [done for done, _ in steps] == [1, 2, 3, 4, 5]
    whole = list(predict.accumulate(image))[-1][1]
    np.testing.assert_allclose(steps[-1][1], whole, atol=1e-5)
    assert np.count_nonzero(steps[0][1]) <= 8 * 8 * 3  # the small box in the corner came first
