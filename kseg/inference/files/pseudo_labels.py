"""Labels of a trained model for images that have none, where it is sure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg import checks
from kseg.errors import DataError, KsegError, KsegWarning, SettingsError
from kseg.inference.files.images import find_images, raise_if_final
from kseg.inference.results.sources import read
from kseg.io.atomic import write_bytes
from kseg.io.images import MAX_PIXELS

IGNORED = 255


def confident_labels(probabilities: np.ndarray, confidence: float = 0.8) -> np.ndarray:
    """The likeliest class of each pixel, and 255 (ignored in training) where that is not likely enough.

    Args:
        probabilities: `(height, width, classes)`, at most 255 classes.
        confidence: the least probability of a label, 0 to 1.

    Returns:
        uint8 labels `(height, width)`.

    Raises:
        SettingsError: a confidence outside 0 to 1, or more than 255 classes.

    Reference:
        Lee, "Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks",
        ICML workshop 2013.

    Example:

    >>> confident_labels(np.array([[[0.9, 0.1], [0.6, 0.4]]]), confidence=0.8)
    array([[  0, 255]], dtype=uint8)
    """
    confidence = checks.fraction(confidence, "confidence")
    if probabilities.shape[-1] > IGNORED:
        raise SettingsError(f"{probabilities.shape[-1]} classes; labels of 8 bits hold {IGNORED}, and 255 is ignored")
    sure = probabilities.max(-1) >= confidence
    return np.where(sure, probabilities.argmax(-1), IGNORED).astype(np.uint8)


def label_images(
    predictor: Any,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    confidence: float = 0.8,
    max_pixels: int = MAX_PIXELS,
    keep_going: bool = False,
) -> Iterator[tuple[Path, float]]:
    """Write `NAME.png` with the confident labels of every image into a folder, which `kseg train` takes as masks.

    Args:
        predictor: a `Predictor`, `FilePredictor`, `ProposalPredictor` or `Ensemble`. Where it gives class ids
            without probabilities, every pixel is labelled.
        inputs: images, or folders of images.
        out: the folder.
        confidence: as of `confident_labels`.
        max_pixels: larger images are refused.
        keep_going: leave out an image that cannot be read or labelled, with a `KsegWarning` that says why.

    Yields:
        The mask's path, and the share of its pixels that are labelled.

    Raises:
        DataError: no images, one that cannot be read (unless `keep_going`), or two whose masks would have one name.
        FileError: nothing can be written any more (a full disk), also with `keep_going`.
        SettingsError: a folder that holds the images, a confidence outside 0 to 1, or a model whose classes
            overlap.

    Reference:
        Lee, "Pseudo-label: the simple and efficient semi-supervised learning method for deep neural
        networks", ICML workshop 2013.

    Example:
    ```python
    predictor = kseg.inference.Predictor(model)
    for mask, share in kseg.inference.label_images(predictor, "unlabelled/", "masks/", confidence=0.9):
        print(f"{mask.name}: {share:.0%} labelled")
    ```
    """
    confidence = checks.fraction(confidence, "confidence")
    if getattr(getattr(predictor, "info", None), "multilabel", False):
        raise SettingsError("The model's classes overlap: one label a pixel cannot say which ones it holds")
    images = find_images(inputs, out)
    targets = [Path(out) / f"{image.stem}.png" for image in images]
    if len(set(targets)) < len(targets):
        twice = next(target for target in targets if targets.count(target) > 1)
        both = [str(image) for image, target in zip(images, targets, strict=True) if target == twice]
        raise DataError(
            f"{twice}: two images would write this mask, {both[0]} and {both[1]}: rename one of them, or label "
            "them into two folders"
        )
    own = {image.resolve() for image in images}
    for target in targets:
        if target.resolve() in own:
            raise SettingsError(f"{target}: the mask would overwrite this input image: choose another folder")
    if Path(out).exists() and not Path(out).is_dir():
        raise SettingsError(f"{out}: not a folder: choose another for the masks")
    Path(out).mkdir(parents=True, exist_ok=True)
    for count, (image, target) in enumerate(zip(images, targets, strict=True)):
        try:
            labels = confident_labels(predictor.probabilities(read(predictor, image, max_pixels)), confidence)
            write_bytes(target, cv2.imencode(".png", labels)[1].tobytes())
        except (KsegError, OSError) as error:
            raise_if_final(error, Path(out), f"{len(images) - count} of {len(images)} images are not labelled")
            if not keep_going:
                raise
            reason = str(error) if isinstance(error, KsegError) else f"{image}: {error.strerror or error}"
            warnings.warn(reason, KsegWarning, stacklevel=2)
            continue
        yield target, float((labels != IGNORED).mean())
