"""Data sets whose masks are drawn from annotations when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kseg.data.annotations.polygons import fill_polygon, fill_runs
from kseg.data.masks import size_mismatch
from kseg.errors import DataError
from kseg.io.image_file import MAX_PIXELS
from kseg.io.images import read_image

IGNORE_LABEL = 255


@dataclass(frozen=True)
class Shape:
    """One annotation: a class id and what it covers, polygons in pixels or run lengths; `where` names it.

    `size`: (height, width) that run lengths were made for, where that is known.
    """

    label: int
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] | str | None = None
    where: str = ""
    size: tuple[int, int] | None = None

    def mask(self, height: int, width: int) -> np.ndarray:
        """Its pixels, bool `(height, width)`."""
        if self.runs is not None:
            if self.size is not None and self.size != (height, width):
                raise DataError(
                    f"{self.where}: run lengths for {self.size} pixels (height, width), in one of {(height, width)}"
                )
            try:
                return fill_runs(self.runs, height, width)
            except ValueError as error:
                raise DataError(f"{self.where}: {error}") from None
        found = np.zeros((height, width), bool)
        for polygon in self.polygons:
            try:
                found |= fill_polygon(polygon, height, width)
            except ValueError as error:
                raise DataError(f"{self.where}: {error}") from None
        return found


@dataclass(frozen=True)
class DrawnImage:
    """An image file, the size that its annotations were made for, and the annotations.

    `relative`: their points are parts of the width and height, from 0 to 1.
    """

    image: Path
    name: str
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    source: str
    relative: bool = False


@dataclass
class DrawnMasks:
    """An `ArraySource` of annotated images: large shapes are drawn first, so that small ones lie on top."""

    images: Sequence[DrawnImage]
    background: int = 0
    max_pixels: int = MAX_PIXELS
    makes_samples: bool = field(default=False, init=False)

    def __len__(self) -> int:
        return len(self.images)

    def name_of(self, index: int) -> str:
        return self.images[index].name

    def file_of(self, index: int) -> Path:
        return self.images[index].image

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = self.images[index]
        image = read_image(drawn.image, self.max_pixels)
        height, width = image.shape[:2]
        if drawn.size is not None and drawn.size != (height, width):
            raise DataError(size_mismatch(str(drawn.image), (height, width), drawn.source, drawn.size))
        return image, self.draw(drawn, height, width)

    def draw(self, drawn: DrawnImage, height: int, width: int) -> np.ndarray:
        """The label map of an image's annotations."""
        labels = np.full((height, width), self.background, np.uint8)
        found = []
        for shape in drawn.shapes:
            if drawn.relative:
                scale = np.array([width, height], np.float64)
                polygons = tuple(
                    tuple((np.asarray(points).reshape(-1, 2) * scale).ravel()) for points in shape.polygons
                )
                shape = Shape(shape.label, polygons, where=shape.where)
            mask = shape.mask(height, width)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else (slice(0),)
            # A copy of the part alone, or many shapes of a large image would fill the memory.
            found.append((int(mask.sum()), box, mask[box].copy(), shape))
        for area, box, mask, shape in sorted(found, key=lambda one: -one[0]):
            # Polygons thinner than a pixel may cover none.
            extents = [np.ptp(np.reshape(points, (-1, 2)), axis=0).min() for points in shape.polygons]
            if area == 0 and max(extents, default=0) >= 2:
                raise DataError(
                    f"{shape.where}: a polygon that lies outside of the image of {height}x{width} pixels"
                )
            labels[box][mask] = shape.label
        return labels
