"""Predicting image files: masks and overlays on disk, resumable, nothing half-written."""

from __future__ import annotations

import errno
import glob
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kseg.errors import DataError, FileError, KsegError, KsegWarning, SettingsError
from kseg.inference.files.benchmark import benchmark_ids
from kseg.inference.files.plan import Job, plan
from kseg.inference.files.saved import OF_ALL_IMAGES, SavedResults
from kseg.inference.labels import NO_CLASS
from kseg.inference.results.sources import read, result_from
from kseg.io.atomic import clear_leftovers, write_bytes
from kseg.io.bands import BAND_SUFFIXES, BYTES, shown
from kseg.io.images import MAX_PIXELS, SUFFIXES
from kseg.io.origin import Origin, with_origin
from kseg.progress import Progress, within
from kseg.visualize.legend import with_legend
from kseg.visualize.overlay import overlay as draw_overlay
from kseg.visualize.palette import Palette, default_palette, palette_png

if TYPE_CHECKING:
    from kseg.inference.predictor import Predictor

JPEG_LONGEST = 65_000  # the format ends at 65,535


@dataclass(frozen=True)
class Summary:
    """What `predict_files` did.

    Attributes:
        masks: mask files that were written.
        skipped: mask files that were there already.
        failures: a message for each image that could not be predicted.

    Example:
    ```python
    summary = kseg.inference.predict_files(predictor, "photos/", "masks/", keep_going=True)
    print(f"{len(summary.masks)} masks, {len(summary.failures)} failures")
    ```
    """

    masks: tuple[Path, ...]
    skipped: tuple[Path, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class _Written:
    """How the files of an image are made; `ids` is a benchmark's id of each class, or None."""

    classes: Sequence[str]
    palette: Palette
    alpha: float
    made_by: str
    max_pixels: int
    saved: SavedResults
    ids: np.ndarray | None


def predict_files(
    predictor: Predictor,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    palette: Palette | None = None,
    classes: Sequence[str] | None = None,
    overlay: bool = True,
    alpha: float = 0.5,
    skip_existing: bool = False,
    keep_going: bool = False,
    made_by: str = "",
    max_pixels: int = MAX_PIXELS,
    save: Sequence[str] = (),
    ids: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Predict images into `<out>/<stem>.png` and `<out>/<stem>_overlay.jpg`.

    A mask is a palette PNG of the image's own size whose pixels are the class ids (a 16-bit grey PNG for
    more than 255 classes). Images of the same stem get their ending into the name (`a_jpg.png`), and
    their folder where that is not enough; so does an image whose mask's name is taken by the mask of another image,
    from an earlier run. Files appear whole or not at all, and images are never overwritten. A mask holds a record
    of the image it was made of (`kseg.io.origin`).

    Args:
        predictor: the `Predictor`.
        inputs: a file, a folder (its images, not its subfolders), a glob pattern (`**` too), or several.
        out: the folder to write to; made if need be.
        palette: an RGB colour per class; None: the model's own, else VOC's colour map.
        classes: class names for the legend; None: the model's own, else "class 0", ...
        overlay: also write the overlay with its legend.
        alpha: how opaque the overlay's paint is, 0 to 1.
        skip_existing: leave images alone whose files are all there, whole, and made of these images as they
            are now (to resume).
        keep_going: go on after an image that cannot be read or predicted; `Summary.failures` then says
            why.
        made_by: a text that names the model and its settings; with `skip_existing`, files that were made by others
            are made again.
        max_pixels: larger images are refused before they are decoded.
        save: also write results as "csv" and "coco" (`areas.csv`, `coco.json`, of all images), "geojson", "polygons",
            "probabilities", "confidence" (`NAME.geojson`, `NAME_polygons.json`, `NAME_probabilities.npz`,
            `NAME_confidence.png`).
        ids: "cityscapes" or "ade20k": masks are grey PNGs in the ids of this benchmark's own files.
        progress: called with (images done, images in all), where an image is predicted in several parts
            (windows, boxes) also with fractions.

    Returns:
        `Summary`: the masks written, those that were there already, and what failed.

    Raises:
        DataError: no image found, or one that cannot be read (unless `keep_going`); names the file.
        SettingsError: an output would overwrite an input; classes or palette do not fit the model.
        FileError: nothing can be written any more (a full disk, `out` was removed), also with `keep_going`.

    Example:
    ```python
    predictor = kseg.inference.Predictor(kseg.models.from_preset("people"))
    kseg.inference.predict_files(predictor, "photos/", "masks/", save=("csv", "geojson"))
    ```
    """
    classes, palette = _labelling(predictor, classes, palette)
    saved = SavedResults(Path(out), save)
    if skip_existing and (whole := [form for form in save if form in OF_ALL_IMAGES]):
        raise SettingsError(f"{whole[0]} holds all images, so none can be skipped: leave --skip-existing out")
    lookup = None if ids is None else benchmark_ids(ids, predictor.num_classes, classes)
    written = _Written(classes, palette, alpha, made_by, max_pixels, saved, lookup)
    rgb = getattr(getattr(predictor, "info", None), "is_rgb", True)
    jobs = plan(find_images(inputs, out, SUFFIXES if rgb else BAND_SUFFIXES), out, overlay)
    Path(out).mkdir(parents=True, exist_ok=True)
    clear_leftovers(Path(out))
    masks, skipped, failures = [], [], []
    for count, job in enumerate(jobs, 1):
        try:
            if skip_existing and job.done(made_by):
                skipped.append(job.mask)
            else:
                if job.note:
                    warnings.warn(job.note, KsegWarning, stacklevel=2)
                part = within(progress, count - 1, len(jobs))
                _predict_one(predictor, job, written, part)
                masks.append(job.mask)
        # SettingsError too: a CRF refuses what is too large for the memory.
        except (KsegError, OSError) as error:
            left = f"{len(jobs) - count + 1} of {len(jobs)} images are not predicted"
            raise_if_final(error, Path(out), left)
            if not keep_going:
                raise
            named = isinstance(error, KsegError)
            failures.append(str(error) if named else f"{job.image}: {error.strerror or error}")
        if progress is not None:
            progress(count, len(jobs))
    saved.finish()
    return Summary(tuple(masks), tuple(skipped), tuple(failures))


def raise_if_final(error: Exception, out: Path, left: str) -> None:
    """FileError where the images after this one would fail like it."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    if full or not out.is_dir():
        message = str(error) if isinstance(error, KsegError) else f"{out}: {error.strerror or error}"
        raise FileError(f"{message}; {left}", error) from error


def find_images(
    inputs: str | Path | Sequence[str | Path], out: str | Path, suffixes: Sequence[str] = BAND_SUFFIXES
) -> list[Path]:
    """List the images that `inputs` means, each once and in order.

    A folder or pattern may not take in `out`'s own images: a second run would predict the first one's
    overlays.

    Args:
        inputs: a file, a folder (its images, not its subfolders), a glob pattern (`**` too), or several.
        out: the folder that results will be written to.
        suffixes: endings of images.

    Returns:
        Paths.

    Raises:
        DataError: no such file or folder, or no image in it.
        SettingsError: `out` holds some of the images.

    Example:

    >>> from pathlib import Path
    >>> Path("photos").mkdir()
    >>> Path("photos/a.jpg").touch()
    >>> [path.name for path in kseg.inference.find_images("photos", "masks")]
    ['a.jpg']
    """
    found: dict[Path, Path] = {}
    for place in map(Path, [inputs] if isinstance(inputs, (str, Path)) else inputs):
        if place.is_file():
            found.setdefault(place.resolve(), place)
            continue
        if place.is_dir():
            paths, what = place.iterdir(), f"{place}: the folder holds"
        elif glob.has_magic(str(place)):
            paths, what = map(Path, glob.glob(str(place), recursive=True)), f"{place}: the pattern finds"
        else:
            raise DataError(
                f"{place}: no such file or folder; give an image, a folder or a quoted pattern like 'in/*.jpg'"
            )
        images = sorted(
            path
            for path in paths
            if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
        )
        if not images:
            raise DataError(f"{what} no image ({', '.join(suffixes)})")
        for path in images:
            if path.resolve().parent == Path(out).resolve():
                raise SettingsError(
                    f"{out}: this output folder holds input images ({path.name}): choose another folder"
                )
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _predict_one(predictor: Predictor, job: Job, written: _Written, progress: Progress | None) -> None:
    origin = Origin.of(job.image, written.made_by)  # before reading: what is changed later is seen later
    info = getattr(predictor, "info", None)
    image = read(predictor, job.image, written.max_pixels)
    origin = replace(origin, size=image.shape[:2])
    classes, palette = written.classes, written.palette
    multilabel = bool(getattr(info, "multilabel", False))
    try:
        if written.saved.forms or multilabel:
            probabilities = predictor.probabilities(image, progress)
            result = result_from(predictor, image, probabilities, classes, palette, job.image)
            labels = result.labels
            written.saved.add(result, job.mask.stem)
        else:
            labels = predictor(image, progress)
    except KsegError as error:
        raise type(error)(f"{job.image}: {error}") from error
    if job.overlay is not None:
        none = NO_CLASS if multilabel else None
        image = shown(image, BYTES if info is None else info.value_range)
        drawn = draw_overlay(image, labels, palette, written.alpha, ignore_label=none)
        drawn = with_legend(drawn, labels, classes, palette, ignore_label=none)
        write_jpeg(job.overlay, drawn, origin)
    if written.ids is not None:
        data = cv2.imencode(".png", written.ids[labels])[1].tobytes()
    elif labels.dtype == np.uint8:
        data = palette_png(labels, palette)
    else:
        data = cv2.imencode(".png", labels)[1].tobytes()
    write_bytes(job.mask, with_origin(data, origin))


def write_jpeg(path: str | Path, image: np.ndarray, origin: Origin | None = None) -> None:
    """Write a uint8 RGB image, whole or not at all; made smaller where it is too large for the format."""
    scale = JPEG_LONGEST / max(image.shape)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92])
    write_bytes(path, data.tobytes() if origin is None else with_origin(data.tobytes(), origin))


def _labelling(
    predictor: Predictor, classes: Sequence[str] | None, palette: Palette | None
) -> tuple[Sequence[str], Palette]:
    count = predictor.num_classes
    classes = classes or getattr(predictor.model, "classes", None) or [f"class {i}" for i in range(count)]
    palette = palette or getattr(predictor.model, "palette", None) or default_palette(count)
    for what, given in (("class names", classes), ("palette colours", palette)):
        if len(given) != count:
            raise SettingsError(f"The model has {count} classes; got {len(given)} {what}")
    return classes, palette
