"""`BoundaryF1`: how well edges are met, for `model.compile`."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kseg import checks
from kseg.metrics.confusion import ConfusionMatrix


@keras.saving.register_keras_serializable(package="kseg")
class BoundaryF1(ConfusionMatrix):
    """Do the contours of each class lie where the true ones do, within a distance?

    The measure of `kseg.evaluation.BoundaryF1`, in tensors: for each image and each class in its truth, precision is
    the share of the predicted contour's pixels within the distance of the true contour, recall the share of the true
    contour's within it of the predicted one; their F1 is averaged over the image's classes, then over the images. A
    class without a contour on either side is left out, on one side it scores 0; the image's frame makes no contour.

    Args:
        num_classes: number of classes; 1 is 2, of a model with one channel.
        distance: in pixels, from 0 on; edges need a convolution as wide as twice that.
        ignore_label, name, dtype, from_logits, threshold: as in `ConfusionMatrix`.

    0 before anything was scored; NaN once a label outside the classes was met.

    Raises:
        SettingsError: a distance below 0.

    Reference: Csurka et al., BMVC 2013; averaged as in SegNet (Badrinarayanan et al., TPAMI 2017), section 4.

    Example:

    >>> labels = np.zeros((1, 8, 8)); labels[:, 2:5, 2:5] = 1
    >>> metric = kseg.metrics.BoundaryF1(2, distance=1.0)
    >>> metric.update_state(labels, np.roll(labels, 1, axis=1))
    >>> float(metric.result())
    1.0
    """

    usual_name = "boundary_f1"
    _direction = "up"  # where Keras's callbacks look, with mode="auto"

    def __init__(
        self,
        num_classes: int,
        distance: float = 2.0,
        ignore_label: int | None = 255,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = True,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(num_classes, ignore_label, name, dtype, from_logits, threshold)
        self.distance = checks.number(distance, "distance", least=0)
        self.total = self.add_variable((), "zeros", dtype="float32", name="total")
        self.images = self.add_variable((), "zeros", dtype="float32", name="images")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred, sample_weight)
        labels, predictions = self._ids(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
        counted = self._counted(labels, sample_weight)
        true = ops.one_hot(ops.where(counted, labels, -1), self.num_classes, dtype="float32")
        found = ops.one_hot(ops.where(counted, predictions, -1), self.num_classes, dtype="float32")
        true_contour, found_contour = _contour(true), _contour(found)
        lengths = [ops.sum(contour, axis=(1, 2)) for contour in (true_contour, found_contour)]
        precision = _share(found_contour, self._near(true_contour), lengths[1])
        recall = _share(true_contour, self._near(found_contour), lengths[0])
        f1 = ops.divide_no_nan(2 * precision * recall, precision + recall)
        scored = (ops.sum(true, axis=(1, 2)) > 0) & (lengths[0] + lengths[1] > 0)
        scored = ops.cast(scored, "float32")
        classes = ops.sum(scored, axis=-1)
        self.total.assign_add(ops.sum(ops.divide_no_nan(ops.sum(f1 * scored, axis=-1), classes)))
        self.images.assign_add(ops.sum(ops.cast(classes > 0, "float32")))

    def _near(self, contour: Any) -> Any:
        """Where a contour is within the distance."""
        reach = int(self.distance)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disk = (y**2 + x**2 <= self.distance**2).astype("float32")[..., None, None]
        kernel = ops.convert_to_tensor(np.repeat(disk, self.num_classes, axis=2))
        return ops.cast(ops.depthwise_conv(contour, kernel, padding="same") > 0.5, "float32")

    def result(self) -> Any:
        return ops.where(self.unknown > 0, float("nan"), ops.divide_no_nan(self.total, self.images))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "distance": self.distance}


def _contour(mask):
    """Pixels of a mask `(batch, height, width, classes)` that have one of their four neighbours outside of it."""
    padded = ops.pad(mask, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1)
    across = ops.minimum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    down = ops.minimum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    return mask * (1 - ops.minimum(across, down))


def _share(contour: Any, near: Any, length: Any) -> Any:
    return ops.divide_no_nan(ops.sum(contour * near, axis=(1, 2)), length)
