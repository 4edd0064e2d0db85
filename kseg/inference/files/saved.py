"""What `predict_files` writes beside masks: areas, polygons, probabilities and confidences."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg.errors import SettingsError
from kseg.inference.results.result import Result
from kseg.io.atomic import write_bytes, write_json, write_text
from kseg.visualize.palette import palette_png

FORMS = ("csv", "coco", "geojson", "polygons", "probabilities", "confidence", "masks")
OF_ALL_IMAGES = ("csv", "coco")


class SavedResults:
    """Files of results in one folder.

    Of each image `NAME.geojson`, `NAME_polygons.json`, `NAME_probabilities.npz` and `NAME_confidence.png` (8 bits,
    255 is certain), and of each class `masks/CLASS/NAME.png` (1 where the class is, as in a data set of classes that
    overlap); of all images together, when they are done, `areas.csv` and `coco.json`.

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
        if "masks" in self.forms:
            for index, folder in enumerate(class_folders(result.classes)):
                folder = self.out / "masks" / folder
                folder.mkdir(parents=True, exist_ok=True)
                colour = result.palette[index] if any(result.palette[index]) else (255, 255, 255)
                mask = result.masks[..., index].astype(np.uint8)
                write_bytes(folder / f"{name}.png", palette_png(mask, ((0, 0, 0), colour)))
        if "csv" in self.forms:
            pixels = result.labels.size
            for label, area in result.areas().items():
                index = result.classes.index(label)
                mean = float(result.probabilities[..., index][result.masks[..., index]].mean())
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


def class_folders(classes: Sequence[str]) -> list[str]:
    """A folder's name for each class: its own, without what file systems do not take, and no name twice."""
    names = [re.sub(r"[^\w.+ -]+", "_", name).strip(". ") for name in classes]
    if all(names) and len({name.casefold() for name in names}) == len(names):
        return names
    return [f"{index}_{name}" for index, name in enumerate(names)]
