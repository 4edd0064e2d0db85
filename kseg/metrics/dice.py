"""`Dice`: the Dice coefficient of every class, for `model.compile`."""

from typing import Any

import keras

from kseg.metrics.class_scores import ClassScores


@keras.saving.register_keras_serializable(package="kseg", name="DiceMetric")  # the loss is kseg's Dice
class Dice(ClassScores):
    """The Dice coefficient of every class, its F1, logged as `dice_road`, and their mean as `dice`.

    Arguments and rules are those of `IoU`. Dice is 2 IoU / (1 + IoU) of all pixels seen, not a mean over images.

    Args:
        classes: names, or how many there are.
        ignore_label, name, dtype, from_logits, threshold, mode: as in `IoU`.

    Raises:
        SettingsError: an argument out of its range.

    Example:

    >>> metric = kseg.metrics.Dice(classes=["ground", "road"])
    >>> metric.update_state(np.array([[[0, 1, 1, 1]]]), np.array([[[0, 1, 1, 0]]]))
    >>> round(float(metric.result()["dice_road"]), 3)
    0.8
    """

    usual_name = "dice"

    def result(self) -> Any:
        hit, true, predicted = self.hits()
        return self.named(2 * hit, true + predicted)
