import numpy as np

from kseg.metrics import Dice, IoU


def test_dice_is_the_f1_of_each_class():
    """2 hits over true and predicted pixels; and 2 IoU / (1 + IoU)."""
    rng = np.random.default_rng(0)
    labels, found = rng.choice([0, 1, 2, 255], (2, 9, 7)), rng.integers(0, 3, (2, 9, 7))
    dice, iou = Dice(3), IoU(3)
    for metric in (dice, iou):
        metric.update_state(labels, found)
    there = labels != 255
    for one in range(3):
        true, predicted = (labels == one)[there], (found == one)[there]
        expected = 2 * (true & predicted).sum() / (true.sum() + predicted.sum())
        value, ratio = float(dice.result()[f"dice_class_{one}"]), float(iou.result()[f"iou_class_{one}"])
        np.testing.assert_allclose([value, 2 * ratio / (1 + ratio)], expected, rtol=1e-6)
