"""Images of how the predictions of object proposals add up."""

from __future__ import annotations

import cv2
import numpy as np

from kseg.inference.proposals.predictor import ProposalPredictor
from kseg.progress import Progress
from kseg.visualize.grid import sheet
from kseg.visualize.overlay import overlay
from kseg.visualize.palette import Palette

BOX = (255, 255, 0)


def proposal_steps(
    predictor: ProposalPredictor,
    image: np.ndarray,
    palette: Palette | None = None,
    *,
    columns: int = 4,
    progress: Progress | None = None,
) -> np.ndarray:
    """Draw how the predictions of 1, 2, 4, 8, ... and all boxes add up, the largest boxes first.

    The first image shows the image with all boxes; each other one the labels so far over the image, with the
    boxes that came in since the one before. The last is the prediction, but for a CRF.

    Args:
        predictor: the `ProposalPredictor`.
        image: uint8 `(height, width, 3)` RGB.
        palette: an RGB colour per class; None: the model's own, else VOC's colour map.
        columns: images side by side.
        progress: called with (boxes done, boxes in all).

    Returns:
        uint8 `(height, width, 3)` RGB.

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, the figure of
        instance-wise prediction, which also goes from large boxes to small ones.

    Example:
    ```python
    predict = kseg.inference.ProposalPredictor(model)
    PIL.Image.fromarray(kseg.inference.proposal_steps(predict, image)).save("steps.png")
    ```
    """
    palette = palette or getattr(predictor.model, "palette", None)
    boxes = predictor.boxes(image)
    boxes = boxes[np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable")]
    shown, captions, before = [_with_boxes(image, boxes)], ["image"], 0
    for done, logits in predictor.accumulate(image, progress, boxes=boxes, singly=True):
        if done & (done - 1) == 0 or done == len(boxes):
            labels = logits.argmax(-1).astype(predictor.label_dtype)
            painted = overlay(image, labels, palette, ignore_label=None)
            shown.append(_with_boxes(painted, boxes[before:done]))
            captions.append(f"{done} box{'es' if done > 1 else ''}")
            before = done
    return sheet(shown, captions, columns)


def _with_boxes(drawn: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    drawn = drawn.copy()
    thick = max(round(max(drawn.shape[:2]) / 300), 1)
    for top, left, bottom, right in boxes.tolist():
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), BOX, thick)
    return drawn
