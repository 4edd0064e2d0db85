"""The scores of the field as functions of one confusion matrix of the whole data set, in NumPy.

A confusion matrix here is `(classes, classes)` counts of pixels, `[true, predicted]`. A class that has no pixel
where a score divides has no score of its own: its entry is NaN, and means leave it out, as the released FCN's
`score.py` does. A mean over no class at all, of an empty matrix, is 0 and never NaN, here and in
`kseg.metrics.MeanIoU`: a NaN would spread into every best-so-far comparison and every file of scores. Whether
anything was counted is a question for `confusion.sum()`; `kseg evaluate` refuses data without a labelled pixel.

Source: Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017, section 5.
"""

import numpy as np

from kseg.errors import DataError


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int, ignore_label: int | None = 255
) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        labels: integer class ids of any shape, with `ignore_label` where there is no truth.
        predictions: integer class ids of the same shape.
        num_classes: number of classes.
        ignore_label: pixels with this true label are left out, whatever their prediction; None leaves out
            none.

    Returns:
        int64 counts `(num_classes, num_classes)`, `[true, predicted]`.

    Raises:
        DataError: shapes differ, or an id lies outside the classes: it is never dropped silently.

    Example:

    >>> kseg.metrics.confusion_matrix(np.array([0, 1, 255]), np.array([0, 0, 1]), num_classes=2).tolist()
    [[1, 0], [1, 0]]
    """
    labels, predictions, valid = checked_ids(labels, predictions, num_classes, ignore_label)
    pairs = labels[valid].astype(np.int64) * num_classes + predictions[valid]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def class_confusions(
    labels: np.ndarray, predictions: np.ndarray, ignore_label: int | None = 255
) -> np.ndarray:
    """Count pixels by truth and prediction of each of several classes that overlap.

    Args:
        labels: integers `(..., classes)` of 0, 1 and `ignore_label`.
        predictions: integers `(..., classes)` of 0 and 1.
        ignore_label: entries with this true label are left out; None leaves out none.

    Returns:
        int64 counts `(classes, 2, 2)`, `[class, true, predicted]`.

    Raises:
        DataError: as `confusion_matrix`.

    Example:

    >>> kseg.metrics.class_confusions(np.array([[0, 1], [255, 1]]), np.array([[0, 0], [1, 1]])).tolist()
    [[[1, 0], [0, 0]], [[0, 0], [1, 1]]]
    """
    pairs = zip(np.moveaxis(labels, -1, 0), np.moveaxis(predictions, -1, 0), strict=True)
    return np.stack([confusion_matrix(truth, found, 2, ignore_label) for truth, found in pairs])


def checked_ids(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int, ignore_label: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both as arrays, and where the labels count (bool, their shape); DataErrors as of `confusion_matrix`."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise DataError(
            f"Labels are {labels.shape} and predictions {predictions.shape}: they must have one shape."
        )
    for what, ids in (("Labels", labels), ("Predictions", predictions)):
        if ids.dtype.kind not in "iu":
            raise DataError(f"{what} must be integer class ids, got {ids.dtype}.")
    valid = np.ones(labels.shape, bool) if ignore_label is None else labels != ignore_label
    _check_ids(labels[valid], "Labels", num_classes, ignore_label)
    _check_ids(predictions[valid], "Predictions", num_classes, None)
    return labels, predictions, valid


def _check_ids(ids: np.ndarray, what: str, num_classes: int, ignore_label: int | None) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
        outside = np.unique(ids[(ids < 0) | (ids >= num_classes)])[:8].tolist()
        but = "" if ignore_label is None else f" (or {ignore_label}, which is ignored)"
        raise DataError(f"{what} must be class ids 0 to {num_classes - 1}{but}; found also {outside}.")


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each class.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.

    Returns:
        float64 `(classes,)`, NaN for classes that both truth and prediction lack.

    Example:

    >>> kseg.metrics.class_iou(np.array([[3, 1], [0, 4]])).tolist()
    [0.75, 0.8]
    """
    confusion = _checked(confusion)
    hit = np.diag(confusion)
    return _ratio(hit, confusion.sum(0) + confusion.sum(1) - hit)


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of `class_iou` over the classes that truth or prediction has; 0 for an empty matrix.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.

    Returns:
        float, 0 to 1.

    Raises:
        DataError: a matrix that is not square, or has counts below 0.

    Example:

    >>> import numpy as np
    >>> from kseg.metrics import mean_iou
    >>> mean_iou(np.array([[3, 1], [0, 4]]))  # (3/4 + 4/5) / 2
    0.775
    >>> mean_iou(np.zeros((2, 2)))
    0.0
    """
    return mean_of_present(class_iou(confusion))


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Compute the recall of each class.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.

    Returns:
        float64 `(classes,)`, NaN for classes that the truth lacks.

    Example:

    >>> kseg.metrics.class_accuracy(np.array([[3, 1], [0, 2]])).tolist()
    [0.75, 1.0]
    """
    confusion = _checked(confusion)
    return _ratio(np.diag(confusion), confusion.sum(1))


def mean_accuracy(confusion: np.ndarray) -> float:
    """Average `class_accuracy` over the classes that occur in the truth.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.

    Returns:
        A float in [0, 1]; 0 for an empty matrix.

    Example:

    >>> kseg.metrics.mean_accuracy(np.array([[3, 1], [0, 2]]))
    0.875
    """
    return mean_of_present(class_accuracy(confusion))


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Compute the share of pixels that are right.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.

    Returns:
        A float in [0, 1]; 0 for an empty matrix.

    Example:

    >>> kseg.metrics.pixel_accuracy(np.array([[3, 1], [0, 4]]))
    0.875
    """
    confusion = _checked(confusion)
    return float(np.trace(confusion) / max(confusion.sum(), 1))


def frequency_weighted_iou(confusion: np.ndarray) -> float:
    """Average `class_iou` weighted by the number of true pixels of each class.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.

    Returns:
        A float in [0, 1]; 0 for an empty matrix.

    Example:

    >>> round(kseg.metrics.frequency_weighted_iou(np.array([[3, 1], [0, 4]])), 3)
    0.775
    """
    confusion = _checked(confusion)
    frequency = confusion.sum(1)
    if not frequency.sum():
        return 0.0
    # A class without true pixels weighs nothing, be its IoU 0 or NaN.
    return float(np.sum(frequency * np.nan_to_num(class_iou(confusion))) / frequency.sum())


def _checked(confusion: np.ndarray) -> np.ndarray:
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise DataError(f"A confusion matrix is square, (classes, classes); got shape {confusion.shape}.")
    if confusion.size and confusion.min() < 0:
        raise DataError("This confusion matrix counted labels outside the classes, so it has no scores.")
    return confusion.astype(np.float64) if confusion.dtype.kind == "f" else confusion.astype(np.int64)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is meant
        return np.divide(part, whole, dtype=np.float64)


def mean_of_present(values: np.ndarray) -> float:
    """The mean of what is not NaN; 0 where nothing is left."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else 0.0
