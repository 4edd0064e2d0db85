"""Images without masks, as samples whose every pixel is ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.pairs import list_images
from kseg.errors import DataError
from kseg.io.image_file import MAX_PIXELS
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
        files = [path for paths in list_images(Path(images)).files.values() for path in paths]
    else:
        files = [Path(path) for path in images]
        for path in files:
            if not path.is_file():
                raise DataError(f"{path}: no such image")
    if not files:
        raise DataError(f"{images}: no images (jpg, png, ...) there")
    source = _Unlabelled(files, like.ignore_label, max_pixels)
    return replace(like, name="unlabelled", split="train", samples=source, stored_ids=(), mask_colours=())


class _Unlabelled:
    def __init__(self, files: Sequence[Path], ignore_label: int, max_pixels: int) -> None:
        self.files, self.ignore_label, self.max_pixels = files, ignore_label, max_pixels

    def __len__(self) -> int:
        return len(self.files)

    def name_of(self, index: int) -> str:
        return self.files[index].stem

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(self.files[index], self.max_pixels)
        return image, np.full(image.shape[:2], self.ignore_label, np.uint8)
