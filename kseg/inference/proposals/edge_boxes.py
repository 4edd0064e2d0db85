"""Object proposals by Edge Boxes, and how many of the objects they find."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from kseg.data import as_dataset
from kseg.data.objects import box_overlaps, object_boxes
from kseg.errors import SettingsError
from kseg.inference.checks import checked_image
from kseg.progress import Progress

Propose = Callable[[np.ndarray, int], np.ndarray]

LONGEST = 800  # pixels; larger images are shrunk for the search, whose time grows with their area
LEAST_SIDE = 16  # images that are smaller have no proposals
EDGE_SCALES = (1.0, 2.0)  # standard deviations in pixels of the smoothing before the gradient
FULL_EDGE = 99  # percentile of the gradient that counts as an edge of strength 1
LEAST_FULL_EDGE = 2.0  # but at least this, so that noise in an even image stays weak


def edge_box_proposals(image: np.ndarray, count: int = 2000) -> np.ndarray:
    """Find boxes that are likely to hold a whole object, by Edge Boxes on an edge map of colour gradients.

    The paper's edges come from a trained structured forest, whose model file OpenCV does not carry; here an
    edge is where the structure tensor of the Lab colours, over two scales, has a ridge across its gradient.

    Args:
        image: `(height, width, 3)` RGB 0-255.
        count: the most boxes to give.

    Returns:
        int32 `(boxes, 4)`: top, left, bottom, right in pixels, the last two exclusive; best first. No boxes
        for images without edges or with a side below 16 pixels.

    Raises:
        SettingsError: OpenCV without its contrib modules, or a count below 1.
        DataError: an array that is not an RGB image.

    Reference:
        Zitnick and Dollár, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014.

    Example:

    >>> image = np.zeros((64, 64, 3), "uint8")
    >>> image[16:40, 20:50] = 255
    >>> boxes = kseg.inference.edge_box_proposals(image, count=5)
    >>> boxes.shape[1]
    4
    """
    if not hasattr(cv2, "ximgproc"):
        raise SettingsError("Edge Boxes are in OpenCV's contrib modules: pip install opencv-contrib-python")
    if count < 1:
        raise SettingsError(f"The count of proposals is at least 1; got {count}")
    image = checked_image(image)
    height, width = image.shape[:2]
    if min(height, width) < LEAST_SIDE:
        return np.zeros((0, 4), np.int32)
    factor = min(LONGEST / max(height, width), 1.0)
    if factor < 1:
        small = (max(round(width * factor), LEAST_SIDE), max(round(height * factor), LEAST_SIDE))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    edges, orientation = edge_map(image)
    search = cv2.ximgproc.createEdgeBoxes(maxBoxes=int(count))
    found, _ = search.getBoundingBoxes(edges, orientation)
    # OpenCV kept MATLAB's count from one, and its boxes include their last row and column.
    left, top, wide, high = (np.asarray(found, np.float64).reshape(-1, 4) - (1, 1, -1, -1)).T
    ratio = height / image.shape[0], width / image.shape[1]
    corners = [top * ratio[0], left * ratio[1], (top + high) * ratio[0], (left + wide) * ratio[1]]
    boxes = np.stack([np.round(corner) for corner in corners], axis=1)
    return np.clip(boxes, 0, (height, width, height, width)).astype(np.int32)


def edge_map(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thin edges and their orientation, both float32 (H, W), of an image (H, W, 3) RGB 0-255.

    Edges are 0-1, zero beside the ridge of the gradient; the orientation is the angle of the gradient in
    [0, pi).
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    xx, yy, xy = (np.zeros(image.shape[:2], np.float32) for _ in range(3))
    for scale in EDGE_SCALES:
        smooth = cv2.GaussianBlur(lab, (0, 0), scale)
        # Blurring by s divides a step's slope by s; half of that is given back.
        x, y = (
            cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3) * math.sqrt(scale) for order in ((1, 0), (0, 1))
        )
        xx, yy, xy = xx + (x * x).sum(-1), yy + (y * y).sum(-1), xy + (x * y).sum(-1)
    strength = np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / 2)
    orientation = np.arctan2(2 * xy, xx - yy) / 2 % np.float32(np.pi)
    full = max(float(np.percentile(strength, FULL_EDGE)), LEAST_FULL_EDGE)
    strength = np.minimum(strength / full, 1)
    # An edge is thin where no neighbour across it exceeds it.
    rows, columns = np.mgrid[: strength.shape[0], : strength.shape[1]].astype(np.float32)
    across_x, across_y = np.cos(orientation), np.sin(orientation)
    ridge = np.ones(strength.shape, bool)
    for side in (-1, 1):
        at = (columns + side * across_x).astype(np.float32), (rows + side * across_y).astype(np.float32)
        ridge &= cv2.remap(strength, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) <= strength
    return np.where(ridge, strength, 0).astype(np.float32), orientation.astype(np.float32)


@dataclass(frozen=True)
class Recall:
    """The share of objects that a proposal overlaps, `values[count][threshold]`, over a number of `objects`."""

    counts: tuple[int, ...]
    thresholds: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    objects: int

    def table(self) -> str:
        """One line a count of boxes."""
        lines = ["boxes " + "".join(f"{f'IoU {t:g}':>10}" for t in self.thresholds)]
        for count, row in zip(self.counts, self.values, strict=True):
            lines.append(f"{count:5d} " + "".join(f"{value:10.3f}" for value in row))
        return "\n".join([*lines, f"{self.objects} objects"])


def proposal_recall(
    dataset: Any,
    class_id: int,
    *,
    counts: Sequence[int] = (50, 100, 200, 500, 1000, 2000),
    thresholds: Sequence[float] = (0.5, 0.7),
    least_pixels: int = 1000,
    propose: Propose = edge_box_proposals,
    progress: Progress | None = None,
) -> Recall:
    """Measure how many of one class's objects the best proposals find.

    Args:
        dataset: labelled images (a `Dataset`, or what `kseg.data.as_dataset` takes); objects are `object_boxes` of the
            class.
        class_id: the class.
        counts: numbers of boxes, the best ones of each image.
        thresholds: intersection over union from which an object is found.
        least_pixels: regions with fewer pixels are not counted.
        propose: called with (image, count), gives boxes as `edge_box_proposals` does.
        progress: called with (images done, images in all).

    Returns:
        `Recall`: its `values[count][threshold]` are shares, 0 to 1, and `table()` prints them.

    Raises:
        SettingsError: no object of the class in the data set.

    Example:
    ```python
    voc = kseg.data.load("voc2012", root="VOCdevkit", split="val")
    print(kseg.inference.proposal_recall(voc, class_id=15, counts=(50, 500)).table())
    ```
    """
    dataset, best = as_dataset(dataset), []
    for index in range(len(dataset)):
        image, labels = dataset.load(index)
        objects = object_boxes(labels, class_id, least_pixels)
        boxes = propose(image, max(counts)) if len(objects) else ()
        overlaps = [box_overlaps(boxes, box) for box in objects]
        best += [[each[:count].max(initial=0) for count in counts] for each in overlaps]
        if progress is not None:
            progress(index + 1, len(dataset))
    if not best:
        raise SettingsError(
            f"{dataset.name}: no object of class {class_id} with {least_pixels} pixels or more"
        )
    found = np.asarray(best)[:, :, None] >= np.asarray(thresholds)
    values = tuple(tuple(float(share) for share in row) for row in found.mean(0))
    return Recall(tuple(counts), tuple(thresholds), values, len(best))
