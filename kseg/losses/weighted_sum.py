"""`WeightedSum`: several losses at once."""

from collections.abc import Sequence
from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.losses.map_loss import MapLoss


@keras.saving.register_keras_serializable(package="kseg")
class WeightedSum(MapLoss):
    """The sum of losses, each times its weight; `kseg.losses.named` makes it of a text such as "focal + 0.5 * dice".

    Accumulated batches are weighed as the first loss weighs them.

    Args:
        losses: two or more losses of `kseg.losses`.
        weights: one number a loss, above 0; None: 1 each.
        name: the loss's name.

    Raises:
        SettingsError: no losses, or weights that are not one a loss and above 0.

    Example:

    >>> from kseg.losses import CrossEntropy, Dice
    >>> loss = WeightedSum([CrossEntropy(), Dice()], [1.0, 0.5])
    >>> round(float(loss(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 2)))), 4)
    0.8598
    """

    def __init__(
        self, losses: Sequence[MapLoss], weights: Sequence[float] | None = None, name: str = "weighted_sum"
    ) -> None:
        losses = [
            keras.saving.deserialize_keras_object(loss) if isinstance(loss, dict) else loss for loss in losses
        ]
        weights = [1.0] * len(losses) if weights is None else [float(weight) for weight in weights]
        if not losses or not all(isinstance(loss, MapLoss) for loss in losses):
            raise SettingsError(f"A sum is of losses of kseg.losses; got {losses!r}.")
        if len(weights) != len(losses) or min(weights) <= 0:
            raise SettingsError(f"A sum of {len(losses)} losses has as many weights above 0; got {weights}.")
        super().__init__(losses[0].ignore_label, name=name)
        self.losses, self.weights = losses, weights

    @property
    def seed_generator(self) -> Any:
        """That of the first loss that draws random numbers, for a checkpoint."""
        found = (getattr(loss, "seed_generator", None) for loss in self.losses)
        return next((generator for generator in found if generator is not None), None)

    def call(self, y_true, y_pred, sample_weight=None):
        terms = zip(self.weights, self.losses, strict=True)
        return sum(weight * loss(y_true, y_pred, sample_weight) for weight, loss in terms)

    def weight(self, labels, classes):
        return self.losses[0].weight(labels, classes)

    def for_data(
        self,
        ignore_label: int | None,
        class_weights: Any = None,
        seed: int | None = None,
        from_logits: bool = True,
    ) -> MapLoss:
        losses = [loss.for_data(ignore_label, class_weights, seed, from_logits) for loss in self.losses]
        return WeightedSum(losses, self.weights, self.name)

    def for_validation(self) -> MapLoss:
        return WeightedSum([loss.for_validation() for loss in self.losses], self.weights, self.name)

    def get_config(self) -> dict[str, Any]:
        return {
            "losses": [keras.saving.serialize_keras_object(loss) for loss in self.losses],
            "weights": self.weights,
            "name": self.name,
        }
