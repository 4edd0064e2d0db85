"""`BoundaryCrossEntropy`: cross-entropy that weighs pixels near the borders of classes up."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.losses.cross_entropy import CrossEntropy
from kseg.losses.map_loss import per_pixel


@keras.saving.register_keras_serializable(package="kseg")
class BoundaryCrossEntropy(CrossEntropy):
    """Cross-entropy in which a pixel counts `1 + factor` times where another class is near.

    Near is a window of `2 width + 1` pixels around the pixel; ignored pixels make no border. The mean divides by the
    sum of the weights.

    Args:
        width: how far from a border pixels are weighed up, in pixels, from 1 on.
        factor: how much more such pixels count, from 0 on.
        ignore_label, class_weights, from_logits, name: as in `CrossEntropy`.

    Reference:
        After Ronneberger, Fischer and Brox, "U-Net", MICCAI 2015, equation 2, whose weights fall off with the distance
        to two cells.

    Example:

    >>> loss = BoundaryCrossEntropy(width=1, factor=4.0)
    >>> np.array(loss.border_weights(np.array([[[0, 0, 0, 1, 1, 1]]])))[0, 0].tolist()
    [1.0, 1.0, 5.0, 5.0, 1.0, 1.0]
    """

    def __init__(
        self,
        width: int = 2,
        factor: float = 4.0,
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        name: str = "boundary_cross_entropy",
    ) -> None:
        super().__init__(ignore_label, class_weights, from_logits=from_logits, name=name)
        self.width, self.factor = int(width), float(factor)
        if self.width < 1 or self.width != width or self.factor < 0:
            raise SettingsError(
                f"width is a whole number from 1 on and factor from 0 on; got {width!r} and {factor!r}."
            )

    def call(self, y_true, y_pred, sample_weight=None):
        weights = self.border_weights(self.pair(y_true, y_pred)[0])
        if sample_weight is not None:
            weights = weights * per_pixel(ops.cast(sample_weight, "float32"))
        return super().call(y_true, y_pred, weights)

    of_upsampled = None  # borders need the whole map of labels, and logits beside it

    def border_weights(self, labels):
        """Compute the weight of every pixel: 1, or 1 + `factor` near a border.

        Args:
            labels: class ids `(batch, height, width)`.

        Returns:
            float32 weights `(batch, height, width)`.
        """
        labels = ops.cast(labels, "int32")
        valid = self.valid(labels)
        ids, far = ops.cast(labels, "float32")[..., None], 1e9
        window = {
            "pool_size": 2 * self.width + 1,
            "strides": 1,
            "padding": "same",
            "data_format": "channels_last",
        }
        highest = ops.max_pool(ops.where(valid[..., None], ids, -far), **window)
        lowest = -ops.max_pool(ops.where(valid[..., None], -ids, -far), **window)
        border = ops.logical_and(valid, highest[..., 0] > lowest[..., 0])
        return ops.where(border, 1.0 + self.factor, 1.0)

    def weight(self, labels, classes):
        labels = ops.convert_to_tensor(labels)
        labels = ops.cast(labels[..., 0] if len(labels.shape) == 4 else labels, "int32")
        pixels = ops.where(self.valid(labels), self.weights_of_pixels(labels, classes), 0.0)
        return ops.sum(pixels * self.border_weights(labels))

    def for_validation(self) -> "BoundaryCrossEntropy":
        return self

    def get_config(self) -> dict[str, Any]:
        kept = ("ignore_label", "class_weights", "from_logits", "name")
        config = super().get_config()
        return {**{name: config[name] for name in kept}, "width": self.width, "factor": self.factor}
