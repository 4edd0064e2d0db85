"""The best, median and worst images of an evaluation in one image, to look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from kseg.errors import SettingsError
from kseg.evaluation.report import Report, WorstImage
from kseg.visualize.grid import sheet
from kseg.visualize.overlay import colourise, overlay

COLUMNS = ("image", "truth", "prediction", "overlay")


def contact_sheet(
    report: Report, predictor: Any, dataset: Any, *, count: int = 3, cell: int = 240
) -> np.ndarray:
    """Draw the best, the median and the worst images of a report.

    Args:
        report: of `evaluate(predictor, dataset, worst=len(dataset))`, which ranks every image by its own mean IoU.
        predictor: maps an image to class ids, as for `evaluate`.
        dataset: the `kseg.data.Dataset` that was scored.
        count: how many of each.
        cell: pixels of an image's longer side.

    Returns:
        uint8 RGB `(height, width, 3)`: a row an image with its truth, its prediction, and the prediction laid over it.

    Raises:
        SettingsError: a count below 1, a report that ranks no image, or classes that overlap.

    Example:
    ```python
    report = kseg.evaluation.evaluate(predictor, dataset, worst=len(dataset))
    image = kseg.evaluation.contact_sheet(report, predictor, dataset, count=2)
    ```
    """
    if count < 1 or not report.worst:
        raise SettingsError(
            f"A contact sheet shows at least 1 image of each kind, of a report with `worst` of them; got {count} and "
            f"a report that ranks {len(report.worst)}"
        )
    images, captions = [], []
    for kind, one in ranked(report.worst, count):
        image, truth = dataset.load(one.index)
        if truth.ndim != 2:
            raise SettingsError("A contact sheet paints one class a pixel, and these classes overlap")
        found = predictor(image)
        painted = [colourise(labels, dataset.palette, dataset.ignore_label) for labels in (truth, found)]
        images += [image, *painted, overlay(image, found, dataset.palette)]
        captions += [f"{kind} {one.mean_iou:.3f} {one.name}", *COLUMNS[1:]]
    return sheet(images, captions, columns=len(COLUMNS), cell=cell)


def ranked(worst_first: tuple[WorstImage, ...], count: int) -> list[tuple[str, WorstImage]]:
    """The best, the median and the worst of images, none of them twice.

    Args:
        worst_first: images in ascending order.
        count: how many of each.

    Returns:
        "best", "median" or "worst" with each image, in this order.

    Example:

    >>> from kseg.evaluation.sheet import ranked
    >>> images = tuple(kseg.evaluation.WorstImage(n, "abcde"[n], n / 4) for n in range(5))
    >>> [(kind, image.name) for kind, image in ranked(images, 1)]
    [('best', 'e'), ('median', 'c'), ('worst', 'a')]
    """
    middle = max((len(worst_first) - count) // 2, 0)
    chosen = {
        "best": worst_first[::-1][:count],
        "median": worst_first[middle : middle + count],
        "worst": worst_first[:count],
    }
    found, seen = [], set()
    for kind, ones in chosen.items():
        found += [(kind, one) for one in ones if one.index not in seen]
        seen |= {one.index for one in ones}
    return found
