"""How well edges are met: mean IoU in a band around the true edges, and boundary F1."""

from __future__ import annotations

import cv2
import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.metrics import mean_iou
from kseg.metrics.scores import checked_ids

WIDEST = 40  # pixels; the papers' curves run from 1 to 40
TOLERANCE = 0.0075  # of the image's diagonal


class TrimapIoU:
    """Mean IoU of the pixels in a band around the true edges, as a curve over the width of the band, in one pass.

    An edge pixel is one with a 4-neighbour of another label; ignored pixels are neighbours like others, since
    VOC's void is a band along the objects' edges, but are never counted. The band of width w holds the pixels
    less than w pixels (Euclidean) away from an edge pixel; width 1 is the edge pixels themselves.

    Args:
        num_classes: number of classes.
        ignore_label: true label of pixels that are left out, or None.
        widest: the curve covers the widths 1 to this, in pixels.

    Raises:
        SettingsError: no class, or no width.
        DataError: of `update`, maps that are not (H, W) of one shape, or ids outside the classes.

    Reference:
        Kohli et al., IJCV 2009; Krähenbühl and Koltun, NIPS 2011, section 4; Chen et al. (DeepLab), ICLR
        2015, figure 6.

    Example:

    >>> score = kseg.evaluation.TrimapIoU(num_classes=2, widest=3)
    >>> score.update(np.eye(8, dtype="uint8"), np.eye(8, dtype="uint8"))
    >>> score.curve().tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, num_classes: int, ignore_label: int | None = 255, widest: int = WIDEST) -> None:
        if num_classes < 1 or widest < 1:
            raise SettingsError(f"a trimap curve needs a class and a width, got {num_classes} and {widest}")
        self.num_classes, self.ignore_label, self.widest = num_classes, ignore_label, widest
        self._counts = np.zeros(
            (widest, num_classes, num_classes), np.int64
        )  # by the first band that a pixel is in

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Count one image.

        Args:
            labels: true class ids `(height, width)`.
            predictions: predicted class ids `(height, width)`.
        """
        labels, predictions, counted = _checked(labels, predictions, self.num_classes, self.ignore_label)
        distance = distance_to(edges(labels))
        counted &= distance < self.widest
        classes = self.num_classes
        first = distance[counted].astype(
            np.int64
        )  # width w holds the distances below w: floor(d) + 1 is the first
        codes = (first * classes + labels[counted]) * classes + predictions[counted]
        self._counts += np.bincount(codes, minlength=self._counts.size).reshape(self._counts.shape)

    def confusions(self) -> np.ndarray:
        """Give the confusion matrix of each width.

        Returns:
            int64 `(widest, classes, classes)`.
        """
        return self._counts.cumsum(axis=0)

    def curve(self) -> np.ndarray:
        """Compute the mean IoU of each width.

        Returns:
            float64 `(widest,)`, for 1 to `widest`; NaN if no pixel was counted.
        """
        return np.array([mean_iou(one) if one.any() else np.nan for one in self.confusions()])


class BoundaryF1:
    """The BF measure: whether the contours of each class lie where the true ones do, within a tolerance.

    For each image and each class in its truth, precision is the share of the predicted contour's pixels
    within the tolerance of the true contour, and recall the share of the true contour's pixels within the
    tolerance of the predicted one. Their F1 is averaged over the image's classes, then over the images. A
    class without a contour on both sides (it fills the image) is left out; on one side it scores 0. A contour
    pixel belongs to its class and has a 4-neighbour that does not; the frame of the image is no contour.
    Predictions on ignored pixels are dropped.

    Args:
        num_classes: number of classes.
        ignore_label: true label of pixels that are left out, or None.
        tolerance: distance, as a share of the image's diagonal.

    Raises:
        SettingsError: no class, or a tolerance that is not a finite number from 0 on.
        DataError: of `update`, maps that are not (H, W) of one shape, or ids outside the classes.

    Reference:
        Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013; averaged as
        in SegNet (Badrinarayanan et al., TPAMI 2017), section 4.

    Example:

    >>> score = kseg.evaluation.BoundaryF1(num_classes=2)
    >>> score.update(np.eye(8, dtype="uint8"), np.eye(8, dtype="uint8"))
    >>> score.result()
    1.0
    """

    def __init__(
        self, num_classes: int, ignore_label: int | None = 255, tolerance: float = TOLERANCE
    ) -> None:
        if num_classes < 1 or not 0 <= tolerance < np.inf:
            raise SettingsError(
                f"boundary F1 needs a class and a tolerance from 0 on, got {num_classes} and {tolerance}"
            )
        self.num_classes, self.ignore_label, self.tolerance = num_classes, ignore_label, tolerance
        self._sum, self._images = 0.0, 0

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Score one image.

        Args:
            labels: true class ids `(height, width)`.
            predictions: predicted class ids `(height, width)`.
        """
        labels, predictions, counted = _checked(labels, predictions, self.num_classes, self.ignore_label)
        reach = self.tolerance * float(np.hypot(*labels.shape))
        present = np.unique(labels[counted])
        scores = [_contour_f1(labels == c, (predictions == c) & counted, reach) for c in present]
        scores = [score for score in scores if score is not None]
        if scores:
            self._sum += float(np.mean(scores))
            self._images += 1

    def result(self) -> float:
        """Average the score over the images.

        Returns:
            A float in [0, 1]; NaN if no image had a contour.
        """
        return self._sum / self._images if self._images else float("nan")


def _checked(labels, predictions, num_classes, ignore_label):
    if np.ndim(labels) != 2:
        raise DataError(f"edges are looked for in one map of labels (H, W), got shape {np.shape(labels)}")
    return checked_ids(labels, predictions, num_classes, ignore_label)


def edges(labels: np.ndarray) -> np.ndarray:
    """Pixels with a 4-neighbour of another label: bool (H, W)."""
    found = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def distance_to(marked: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pixel to the nearest marked one: float32 (H, W), infinite where none is."""
    if not marked.any():
        return np.full(marked.shape, np.inf, np.float32)
    return cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _contour_f1(truth: np.ndarray, predicted: np.ndarray, reach: float) -> float | None:
    """F1 of two contours, or None where neither region has one."""
    contours = edges(truth) & truth, edges(predicted) & predicted
    if not contours[0].any() and not contours[1].any():
        return None
    if not contours[0].any() or not contours[1].any():
        return 0.0
    precision = float((distance_to(contours[0])[contours[1]] <= reach).mean())
    recall = float((distance_to(contours[1])[contours[0]] <= reach).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
