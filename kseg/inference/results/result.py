"""`Result`: what a model found in one image, in the forms that people use."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kseg import checks
from kseg.errors import DataError, SettingsError
from kseg.inference.labels import NO_CLASS, best_classes
from kseg.inference.results.polygons import Region, regions, signed_area
from kseg.io.atomic import write_bytes, write_json, write_text
from kseg.visualize.legend import with_legend
from kseg.visualize.overlay import overlay
from kseg.visualize.palette import Palette, palette_png


class Result:
    """The prediction for one image.

    Args:
        image: uint8 `(height, width, 3)` RGB.
        probabilities: float32 `(height, width, classes)`.
        classes: class names.
        palette: an RGB colour per class.
        path: the image's file, or None.
        threshold: above which probability a pixel is class 1, where there are two classes, or belongs to a class, where
            classes overlap.
        multilabel: classes overlap; a pixel may also belong to none.

    Attributes:
        labels: class ids `(height, width)`, uint8, or uint16 for more than 255 classes. Where classes overlap, the most
            probable of a pixel's, and 255 where it has none.
        masks: the pixels of every class, bool `(height, width, classes)`.
        confidence: the winning class's probability, float32 `(height, width)`.
        entropy: of the probabilities, in nats, float32 `(height, width)`; where classes overlap the sum of theirs.

    Example:
        ```python
        result = kseg.predict("people", "photo.jpg")
        result.areas()                      # {"background": 201344, "person": 105856}
        result.save("photo.geojson")
        result.overlay()                    # uint8 (height, width, 3)
        ```
    """

    def __init__(
        self,
        image: np.ndarray,
        probabilities: np.ndarray,
        classes: Sequence[str],
        palette: Palette,
        path: str | Path | None = None,
        threshold: float = 0.5,
        multilabel: bool = False,
    ):
        if len(classes) != probabilities.shape[-1]:
            raise DataError(f"{probabilities.shape[-1]} classes were predicted; got {len(classes)} names")
        self.image, self.probabilities = image, probabilities
        self.classes, self.palette = tuple(classes), palette
        self.path = None if path is None else Path(path)
        self.threshold, self.multilabel = threshold, multilabel

    def __repr__(self) -> str:
        height, width = self.labels.shape
        found = ", ".join(f"{name} {area / self.labels.size:.1%}" for name, area in self.areas().items())
        return f"Result({height}x{width}: {found})"

    @cached_property
    def labels(self) -> np.ndarray:
        if self.multilabel:
            best = best_classes(self.probabilities)
            return np.where(self.masks.any(-1), best, best.dtype.type(NO_CLASS))
        return best_classes(self.probabilities, self.threshold)

    @cached_property
    def masks(self) -> np.ndarray:
        if self.multilabel:
            return best_classes(self.probabilities, self.threshold, True).astype(bool)
        return self.labels[..., None] == np.arange(len(self.classes))

    @property
    def confidence(self) -> np.ndarray:
        return self.probabilities.max(-1)

    @property
    def entropy(self) -> np.ndarray:
        least, found = np.finfo(np.float32).tiny, self.probabilities
        terms = found * np.log(np.maximum(found, least))
        if self.multilabel:
            terms = terms + (1 - found) * np.log(np.maximum(1 - found, least))
        return -terms.sum(-1)

    def areas(self) -> dict[str, int]:
        """Pixels of each class that occurs, by its name, the largest first."""
        if self.multilabel:
            counts = self.masks.sum((0, 1))
        else:
            counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        order = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
        return {self.classes[i]: int(counts[i]) for i in order}

    def regions(self, classes: Sequence[str] | None = None, least: int = 1) -> list[Region]:
        """The connected regions of some classes.

        Args:
            classes: a name or several; None: every class but the first, the background; all where classes overlap.
            least: regions of fewer pixels are left out.

        Raises:
            SettingsError: a name that is not a class, or a number of pixels below 0.
        """
        least, classes = checks.whole(least, "least", 0), [classes] if isinstance(classes, str) else classes
        wanted = classes if classes is not None else self.classes if self.multilabel else self.classes[1:]
        if unknown := [name for name in wanted if name not in self.classes]:
            raise SettingsError(
                f"No class {', '.join(map(repr, unknown))}; there are {', '.join(self.classes)}"
            )
        ids = [self.classes.index(name) for name in wanted]
        if not self.multilabel:
            return regions(self.labels, ids, least)
        alone = (regions(np.where(self.masks[..., i], i, -1), [i], least) for i in ids)
        return [region for found in alone for region in found]

    def polygons(
        self, tolerance: float = 0.0, classes: Sequence[str] | None = None, least: int = 1
    ) -> list[dict[str, Any]]:
        """Outlines of the regions along their pixels' edges.

        Args:
            tolerance: pixels by which outlines may be simplified, from 0 on; every region keeps an outline.
            classes, least: see `regions`.

        Returns:
            Dicts with `class`, `class_id`, `score` (mean confidence), `area`, `exterior` and `holes`: lists of
            (x, y) in pixels, whose origin is the upper left corner of the image.
        """
        tolerance, found = checks.number(tolerance, "tolerance", least=0), []
        for region in self.regions(classes, least):
            rings = [[(float(x), float(y)) for x, y in ring] for ring in region.rings(tolerance)]
            found.append({**self._about(region), "exterior": rings[0], "holes": rings[1:]})
        return found

    def boxes(self, classes: Sequence[str] | None = None, least: int = 1) -> list[dict[str, Any]]:
        """The regions' boxes: dicts with `class`, `class_id`, `score`, `area` and `box` (x, y, width, height)."""
        return [{**self._about(one), "box": one.box} for one in self.regions(classes, least)]

    def to_coco(
        self, tolerance: float = 0.0, classes: Sequence[str] | None = None, least: int = 1
    ) -> dict[str, Any]:
        """The regions as a COCO data set of one image; those with holes as run lengths, which COCO's polygons lack."""
        tolerance, annotations = checks.number(tolerance, "tolerance", least=0), []
        height, width = self.labels.shape
        for number, region in enumerate(self.regions(classes, least), 1):
            rings = region.rings(tolerance)
            if len(rings) == 1:
                segmentation: Any = [rings[0].ravel().tolist()]
            else:
                # Uncompressed run lengths of the whole image, down the columns, zeros first.
                whole = np.zeros((height, width), bool)
                left, top, wide, tall = region.box
                whole[top : top + tall, left : left + wide] = region.mask
                flat = whole.ravel(order="F")
                edges = np.flatnonzero(np.diff(flat)) + 1
                lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
                segmentation = {"size": [height, width], "counts": [0, *lengths] if flat[0] else lengths}
            annotations.append(
                {
                    "id": number,
                    "image_id": 1,
                    "category_id": region.class_id,
                    "segmentation": segmentation,
                    "area": region.area,
                    "bbox": list(region.box),
                    "iscrowd": 0,
                    "score": self._about(region)["score"],
                }
            )
        name = self.path.name if self.path else "image"
        return {
            "images": [{"id": 1, "file_name": name, "width": width, "height": height}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.classes)],
            "annotations": annotations,
        }

    def to_geojson(
        self,
        transform: Sequence[float] | None = None,
        tolerance: float = 0.0,
        classes: Sequence[str] | None = None,
        least: int = 1,
    ) -> dict[str, Any]:
        """The regions as a GeoJSON FeatureCollection (RFC 7946).

        Args:
            transform: (a, b, c, d, e, f) that turns pixels into map coordinates, X = a x + b y + c and
                Y = d x + e y + f, as rasterio and affine order them (also their 3x3 matrix); None: pixels, y upwards.
            tolerance, classes, least: see `polygons`.

        Raises:
            SettingsError: a transform of other numbers, or as of `polygons`.
        """
        tolerance = checks.number(tolerance, "tolerance", least=0)
        given = (1, 0, 0, 0, -1, 0) if transform is None else transform
        flat = list(np.ravel(np.asarray(given, object)))
        if len(flat) not in (6, 9) or len(checks.numbers(flat, "transform")) != len(flat):
            raise checks.wrong("transform", "six numbers (a, b, c, d, e, f), as rasterio's, or a 3x3 matrix", given)
        a, b, c, d, e, f = map(float, flat[:6])
        features = []
        for region in self.regions(classes, least):
            rings = []
            for number, ring in enumerate(region.rings(tolerance)):
                moved = np.stack(
                    [a * ring[:, 0] + b * ring[:, 1] + c, d * ring[:, 0] + e * ring[:, 1] + f], -1
                )
                # The outline counter-clockwise, holes clockwise, where Y points upwards.
                moved = moved[::-1] if (signed_area(moved) > 0) == bool(number) else moved
                rings.append([*moved.tolist(), moved[0].tolist()])
            geometry = {"type": "Polygon", "coordinates": rings}
            features.append({"type": "Feature", "geometry": geometry, "properties": self._about(region)})
        return {"type": "FeatureCollection", "features": features}

    def overlay(self, alpha: float = 0.5, legend: bool = True) -> np.ndarray:
        """The image with its classes painted over it, uint8 RGB; with `legend` their names below."""
        none = NO_CLASS if self.multilabel else None
        painted = overlay(self.image, self.labels, self.palette, alpha, ignore_label=none)
        return with_legend(painted, self.labels, self.classes, self.palette, none) if legend else painted

    def show(self) -> None:
        """Open the overlay in the system's image viewer."""
        from PIL import Image

        Image.fromarray(self.overlay()).show()

    def _repr_png_(self) -> bytes:
        from PIL import Image

        content = io.BytesIO()
        Image.fromarray(self.overlay()).save(content, "PNG")
        return content.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the result in the form that the file's ending says, whole or not at all.

        Args:
            path: the file, whose folder is made: `.png` the mask, with the palette; `.jpg` the overlay; `.json` COCO;
                `.geojson` the polygons; `.csv` the areas; `.npz` the probabilities and labels.

        Raises:
            SettingsError: another ending.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending == ".png":
            write_bytes(path, palette_png(self.labels, self.palette))
        elif ending in (".jpg", ".jpeg"):
            from PIL import Image

            content = io.BytesIO()
            Image.fromarray(self.overlay()).save(content, "JPEG", quality=92)
            write_bytes(path, content.getvalue())
        elif ending == ".json":
            write_json(path, self.to_coco())
        elif ending == ".geojson":
            write_json(path, self.to_geojson())
        elif ending == ".csv":
            content = io.StringIO()
            rows = csv.writer(content, lineterminator="\n")
            rows.writerow(("class", "pixels", "share"))
            rows.writerows((n, area, round(area / self.labels.size, 6)) for n, area in self.areas().items())
            write_text(path, content.getvalue())
        elif ending == ".npz":
            content = io.BytesIO()
            np.savez_compressed(content, probabilities=self.probabilities, labels=self.labels)
            write_bytes(path, content.getvalue())
        else:
            raise SettingsError(f"{path}: a result is saved as .png, .jpg, .json, .geojson, .csv or .npz")
        return path

    def _about(self, region: Region) -> dict[str, Any]:
        left, top, width, height = region.box
        inside = self.probabilities[top : top + height, left : left + width, region.class_id]
        score = round(float(inside[region.mask].mean()), 6)
        name = self.classes[region.class_id]
        return {"class": name, "class_id": region.class_id, "score": score, "area": region.area}
