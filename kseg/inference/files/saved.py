"""What `predict_files` writes beside masks: areas, polygons, probabilities and confidences."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg.errors import SettingsError
from kseg.inference.results.result import Result
from kseg.io.atomic import write_bytes, write_json, write_text

FORMS = ("csv", "coco", "geojson", "polygons", "probabilities", "confidence")
OF_ALL_IMAGES = ("csv", "coco")


class SavedResults:
    """Files of results in one folder.

    Of each image `NAME.geojson`, `NAME_polygons.json`, `NAME_probabilities.npz` and `NAME_confidence.png` (8 bits,
    255 is certain); of all images together, when they are done, `areas.csv` and `coco.json`.

    Args:
        out: the folder.
        forms: some of `FORMS`.

    Raises:
        SettingsError: another form.
    """

    def __init__(self, out: Path, forms: Sequence[str]) -> None:
        if unknown := [form for form in forms if form not in FORMS]:
            raise SettingsError(f"Results are saved as {', '.join(FORMS)}; got {', '.join(unknown)}")
        self.out, self.forms = out, tuple(forms)
        self._rows: list[tuple[Any, ...]] = []
        self._coco: dict[str, list[Any]] = {"images": [], "categories": [], "annotations": []}

    def add(self, result: Result, name: str) -> None:
        """Write the files of one image, and keep what those of all images need."""
        if "geojson" in self.forms:
            result.save(self.out / f"{name}.geojson")
        if "polygons" in self.forms:
            found = {"image": str(result.path), "size": result.labels.shape, "polygons": result.polygons()}
            write_json(self.out / f"{name}_polygons.json", found)
        if "probabilities" in self.forms:
            result.save(self.out / f"{name}_probabilities.npz")
        if "confidence" in self.forms:
            shown = np.round(result.confidence * 255).astype(np.uint8)
            write_bytes(self.out / f"{name}_confidence.png", cv2.imencode(".png", shown)[1].tobytes())
        if "csv" in self.forms:
            confidence, pixels = result.confidence, result.labels.size
            for label, area in result.areas().items():
                mean = float(confidence[result.labels == result.classes.index(label)].mean())
                self._rows.append((str(result.path), label, area, round(area / pixels, 6), round(mean, 6)))
        if "coco" in self.forms:
            one = result.to_coco()
            number, first = len(self._coco["images"]) + 1, len(self._coco["annotations"]) + 1
            self._coco["images"].append({**one["images"][0], "id": number})
            self._coco["categories"] = one["categories"]
            self._coco["annotations"] += [
                {**each, "id": first + index, "image_id": number}
                for index, each in enumerate(one["annotations"])
            ]

    def finish(self) -> None:
        """Write the files of all images."""
        if "csv" in self.forms:
            content = io.StringIO()
            rows = csv.writer(content, lineterminator="\n")
            rows.writerow(("image", "class", "pixels", "share", "confidence"))
            rows.writerows(self._rows)
            write_text(self.out / "areas.csv", content.getvalue())
        if "coco" in self.forms:
            write_json(self.out / "coco.json", self._coco)
