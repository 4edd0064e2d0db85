"""`CrossEntropy`: the loss of semantic segmentation, on integer labels."""

import math
from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.losses.map_loss import MapLoss, per_pixel
from kseg.ops.cross_entropy import softmax_cross_entropy
from kseg.ops.labels import two_classes
from kseg.ops.replicas import gather_over_replicas, sum_over_replicas
from kseg.ops.strips import upsampled_cross_entropy


@keras.saving.register_keras_serializable(package="kseg")
class CrossEntropy(MapLoss):
    """Softmax cross-entropy of every pixel, with an ignore label, class weights, hard examples and sampling.

    Labels are `(batch, height, width)` or `(batch, height, width, 1)`, class ids of any integer or float
    type; logits are `(batch, height, width, classes)` and computed in float32 whatever their type. The loss
    is a scalar. `sample_weight` (from `model.fit`), if given, multiplies the class weights: `(batch,)` or one
    weight per pixel.

    Args:
        ignore_label: pixels with this label count nowhere: not in the sum, not in the mean, no gradient. None
            ignores nothing.
        class_weights: one weight per class, or a dict from class id to weight as Keras's `fit(class_weight=)`
            takes it (classes that it does not name have 1), or None. A mean is then `sum(w * ce) / sum(w)`,
            as in PyTorch.
        ohem_fraction: keep this fraction (0 to 1] of the batch's valid pixels, those with the largest loss.
        ohem_threshold: instead, keep the pixels whose true class has a probability below this.
        ohem_min_kept: but keep at least this many valid pixels of the batch, and those that tie with the last
            one kept.
        sampling: keep each pixel with this probability, independently, and drop the rest from the loss. To
            keep the effective batch as large, use 1 / sampling times as many images (`kseg.training.fit`
            does).
        reduction: "mean" over the kept pixels of the whole batch, on all replicas together, 0 if none is
            left; or "sum", the unnormalised loss of the released FCN.
        seed: seed for `sampling`, an integer, or None for a random one.
        from_logits: False for a model whose output is probabilities.
        label_smoothing: this share of a pixel's truth, in [0, 1), is spread over all classes.
        name: name of the loss.

    Raises:
        SettingsError: labels and logits differ in size (while the training step is traced), or an argument is
            out of range. A label outside the classes that is not `ignore_label` makes TensorFlow raise an
            error on a CPU, and makes the loss NaN elsewhere (other backends, GPUs, steps that are compiled
            whole): it is never dropped.

    Reference:
        hard examples, Shrivastava et al., "Training region-based object detectors with online hard
        example mining", CVPR 2016; sampling, Shelhamer et al., "Fully convolutional networks for semantic
        segmentation", TPAMI 2017, "Patchwise training is loss sampling" and its experiment; the sum, its
        released `solver.prototxt`.

    Example:

    >>> loss = kseg.losses.CrossEntropy(ignore_label=255)
    >>> round(float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 2)))), 4)
    0.6931
    """

    def __init__(
        self,
        ignore_label: int | None = 255,
        class_weights: Any = None,
        ohem_fraction: float | None = None,
        ohem_threshold: float | None = None,
        ohem_min_kept: int = 1,
        sampling: float | None = None,
        reduction: str = "mean",
        seed: int | None = None,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise SettingsError(f'`reduction` must be "mean" or "sum", got {reduction!r}')
        for argument, value in (
            ("ohem_fraction", ohem_fraction),
            ("ohem_threshold", ohem_threshold),
            ("sampling", sampling),
        ):
            if value is not None and not 0 < value <= 1:
                raise SettingsError(f"`{argument}` must be above 0 and at most 1, got {value}")
        if not 0 <= label_smoothing < 1:
            raise SettingsError(f"`label_smoothing` must be from 0 to below 1, got {label_smoothing}")
        if ohem_min_kept < 1:
            raise SettingsError(f"`ohem_min_kept` must be 1 or more, got {ohem_min_kept}")
        if ohem_fraction is not None and ohem_threshold is not None:
            raise SettingsError("Give `ohem_fraction` or `ohem_threshold`, not both")
        super().__init__(ignore_label, class_weights, from_logits, reduction, name)
        self.ohem_fraction = ohem_fraction
        self.ohem_threshold = ohem_threshold
        self.ohem_min_kept = int(ohem_min_kept)
        self.sampling = sampling
        self.label_smoothing = float(label_smoothing)
        self.seed = seed
        self.seed_generator = None if sampling is None else keras.random.SeedGenerator(seed)

    def call(self, y_true, y_pred, sample_weight=None):
        labels, logits = self.pair(y_true, y_pred)
        valid = self.valid(labels)
        labels = ops.where(valid, labels, 0)
        losses = softmax_cross_entropy(labels, logits)
        if self.label_smoothing:
            spread = -ops.mean(ops.log_softmax(logits, axis=-1), axis=-1)
            losses = (1.0 - self.label_smoothing) * losses + self.label_smoothing * spread
        return self._of_pixels(losses, labels, valid, logits.shape[-1], sample_weight)

    def for_validation(self) -> MapLoss:
        return CrossEntropy(
            self.ignore_label,
            self.class_weights,
            reduction=self.reduction,
            from_logits=self.from_logits,
            label_smoothing=self.label_smoothing,
        )

    def of_upsampled(self, y_true, scores, rows, columns, sample_weight=None):
        """Compute the loss of a score map upsampled bilinearly to the labels' size, without holding all of its logits.

        Within rounding it is the loss of the upsampled logits.

        Args:
            y_true: labels `(batch, height, width)`.
            scores: scores `(batch, rows, columns, classes)` at the size of the model's map.
            rows: `kseg.ops.strips.Taps` for the labels' height.
            columns: `kseg.ops.strips.Taps` for the labels' width.
            sample_weight: weights `(batch,)` or one per pixel, or None.

        Returns:
            The loss, a float32 scalar.
        """
        labels = ops.convert_to_tensor(y_true)
        if len(labels.shape) == 4:
            labels = ops.squeeze(labels, -1)
        labels = ops.cast(labels, "int32")
        valid = self.valid(labels)
        labels = ops.where(valid, labels, 0)
        scores = two_classes(ops.cast(scores, "float32"))
        losses = upsampled_cross_entropy(labels, scores, rows, columns)
        return self._of_pixels(losses, labels, valid, scores.shape[-1], sample_weight)

    def _of_pixels(self, losses, labels, valid, classes, sample_weight):
        kept = valid
        if self.sampling is not None:
            drawn = keras.random.uniform(ops.shape(losses), seed=self.seed_generator) < self.sampling
            kept = ops.logical_and(kept, drawn)
        if self.ohem_fraction is not None or self.ohem_threshold is not None:
            fixed = ops.stop_gradient(losses)
            kept = ops.logical_and(kept, fixed >= self._hardness(fixed, kept))
        weights = ops.cast(kept, "float32") * self.weights_of_pixels(labels, classes)
        if sample_weight is not None:
            weights = weights * per_pixel(ops.cast(sample_weight, "float32"))
        total = ops.sum(losses * weights)
        if self.reduction == "sum":
            return total
        return ops.divide_no_nan(total, sum_over_replicas(ops.sum(weights)))

    def _hardness(self, losses: Any, valid: Any) -> Any:
        """The smallest loss that is kept, of the whole batch on all devices."""
        losses = gather_over_replicas(ops.where(valid, losses, -1.0))
        hardest = ops.flip(ops.sort(ops.reshape(losses, (-1,))))
        number = sum_over_replicas(ops.sum(ops.cast(valid, "int32")))
        kept = ops.minimum(number, self.ohem_min_kept)
        if self.ohem_fraction is not None:
            wanted = ops.ceil(self.ohem_fraction * ops.cast(number, "float32"))
            kept = ops.maximum(kept, ops.cast(wanted, "int32"))
        last = ops.take(hardest, ops.maximum(kept - 1, 0))
        if self.ohem_threshold is not None:
            last = ops.minimum(last, -math.log(self.ohem_threshold))
        return last

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ohem_fraction": self.ohem_fraction,
            "ohem_threshold": self.ohem_threshold,
            "ohem_min_kept": self.ohem_min_kept,
            "sampling": self.sampling,
            "seed": self.seed,
            "label_smoothing": self.label_smoothing,
        }
