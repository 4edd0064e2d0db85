"""Images without masks, as samples whose every pixel is ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.masks import kind_of
from kseg.data.pairs import list_images
from kseg.errors import DataError
from kseg.io.bands import BAND_SUFFIXES, BYTES, read_bands
from kseg.io.image_file import MAX_PIXELS, SUFFIXES
from kseg.io.images import read_image


def unlabelled(
    images: str | Path | Sequence[str | Path], like: Dataset, *, max_pixels: int = MAX_PIXELS
) -> Dataset:
    """Images without masks, to be joined with labelled ones; a `kseg.training.Teacher` learns from them.

    Args:
        images: a folder, with those below it, or a list of image files.
        like: the labelled data set they are joined with, for its classes and ignore label.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        A `Dataset` whose masks are `like.ignore_label` everywhere.

    Raises:
        DataError: no images, or a file that is not there.

    Example:
        ```python
        train = train + kseg.data.unlabelled("more_photos", like=train)
        ```
    """
    if isinstance(images, str | Path):
        if not Path(images).is_dir():
            raise DataError(f"{images}: no such folder of images")
        suffixes = SUFFIXES if like.is_rgb else BAND_SUFFIXES
        listed = list_images(Path(images), suffixes=suffixes).files
        files = [path for paths in listed.values() for path in paths]
    else:
        files = [Path(path) for path in images]
        for path in files:
            if not path.is_file():
                raise DataError(f"{path}: no such image")
    if not files:
        raise DataError(f"{images}: no images (jpg, png, ...) there")
    source = _Unlabelled(files, like, max_pixels)
    return replace(like, name="unlabelled", split="train", samples=source, stored_ids=(), mask_colours=())


class _Unlabelled:
    def __init__(self, files: Sequence[Path], like: Dataset, max_pixels: int) -> None:
        self.files, self.max_pixels, self.kind = files, max_pixels, kind_of(like)
        self.ignore_label = like.ignore_label
        self.classes = (like.num_classes,) if self.kind.multilabel else ()

    def __len__(self) -> int:
        return len(self.files)

    def name_of(self, index: int) -> str:
        return self.files[index].stem

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if (self.kind.channels, self.kind.value_range) == (3, BYTES):
            image = read_image(self.files[index], self.max_pixels)
        else:
            image = read_bands(self.files[index], self.kind.channels, self.kind.value_range, self.max_pixels)
        return image, np.full((*image.shape[:2], *self.classes), self.ignore_label, np.uint8)
