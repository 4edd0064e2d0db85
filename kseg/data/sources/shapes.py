"""`shapes`: a small data set that is drawn rather than downloaded, for demos, tests and first trainings.

Six kinds of textured, lit, overlapping shapes on textured ground, 128x128 pixels. Colour and texture are
random and say nothing about the class: only the outline does. Edges are antialiased in the image; a pixel of
the mask belongs to the shape that covers at least half of it.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.sources.tfds_source import TfdsSource
from kseg.errors import DataError
from kseg.io.cache import cache_folder

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

CLASSES = ("ground", "circle", "square", "triangle", "star", "ring", "cross")
PALETTE = (
    (70, 70, 70), (230, 80, 60), (70, 130, 240), (60, 180, 90), (245, 200, 60), (180, 90, 210),
    (60, 200, 210),
)  # fmt: skip
SPLITS = {"train": 960, "val": 96, "test": 96}
SIZE = 128
_VERSION = "1.5.0"
_FINE = 4  # outlines are drawn this many times larger, then averaged: antialiasing


def load_shapes(root: str | Path | None = None, split: str = "train") -> Dataset:
    """`shapes` from the cache folder (`root`, else `$KSEG_CACHE`, else `~/.cache/kseg`).

    It is drawn into the folder first where it is not there yet (some seconds).
    """
    if split not in SPLITS:
        raise DataError(f"shapes: no split {split!r}; found {', '.join(SPLITS)}")
    cache = Path(root) if root else cache_folder()
    import tensorflow_datasets as tfds

    source = TfdsSource(tfds.builder_from_directory(str(_prepared(cache))), split, "image", "mask")
    return Dataset("shapes", split, CLASSES, PALETTE, source)


def draw_scene(rng: np.random.Generator, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """One image, uint8 (size, size, 3), and its mask, uint8 (size, size), from a random generator."""
    image = _texture(rng, size) * _light(rng, size, strength=0.25)
    mask = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(2, 6)):
        label = int(rng.integers(1, len(CLASSES)))
        # A shape at a random place, size and angle; how much of every pixel it covers.
        radius, angle = rng.uniform(0.17, 0.32) * size, rng.uniform(0, 2 * np.pi)
        place = rng.uniform(0.15, 0.85, 2) * size
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * radius
        outlines = [outline @ turn.T + place for outline in _unit_outlines(CLASSES[label])]
        canvas = np.zeros((size * _FINE, size * _FINE), np.uint8)
        cv2.fillPoly(canvas, [np.rint(outline * _FINE).astype(np.int32) for outline in outlines], 255)
        coverage = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        inside = coverage >= 0.5
        drawn = np.bincount(mask.ravel(), minlength=len(CLASSES))[1:]
        hidden = np.bincount(mask[inside], minlength=len(CLASSES))[1:]
        # Mostly outside of the image, or over 40 % of what is drawn of a class.
        if inside.sum() < 200 or (hidden > 0.4 * drawn)[drawn > 0].any():
            continue
        shift = np.float32([[1, 0, rng.uniform(1, 4)], [0, 1, rng.uniform(1, 4)]])
        shadow = cv2.GaussianBlur(cv2.warpAffine(coverage, shift, coverage.shape[::-1]), (0, 0), 2)
        image = image * (1 - 0.35 * shadow[..., None])
        depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
        relief = (0.75 + 0.25 * np.minimum(depth / 5, 1))[..., None]  # darker at the rim, as a rounded body is
        surface = _texture(rng, size) * _light(rng, size, strength=0.35) * relief
        image = image + coverage[..., None] * (surface - image)
        mask[inside] = label
    image = image + rng.normal(0, rng.uniform(1, 5), image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


def _prepared(cache: Path) -> Path:
    """The folder of the drawn data set; drawn beside, then renamed, so none is read half-drawn."""
    target = cache / "kseg_shapes" / _VERSION
    if (target / "dataset_info.json").is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".drawing-", dir=cache))
    except OSError as error:
        raise DataError(
            f"{cache}: the data set shapes is drawn into this folder, which cannot be written "
            f"({error.strerror}): set KSEG_CACHE to another folder"
        ) from None
    import tensorflow_datasets as tfds

    settings = tfds.download.DownloadConfig(try_download_gcs=False)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # tfds prints a banner about downloading
            _builder_class()(data_dir=str(scratch)).download_and_prepare(download_config=settings)
        if target.exists():  # left by something that was not finished
            shutil.rmtree(target, ignore_errors=True)
        (scratch / "kseg_shapes" / _VERSION).rename(target)
    except OSError as error:
        if not (target / "dataset_info.json").is_file():  # else another process drew the same, faster
            raise DataError(
                f"{target}: the data set shapes could not be written ({error.strerror})"
            ) from error
    finally:
        tfds.enable_progress_bar()
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _builder_class() -> type[tfds.core.GeneratorBasedBuilder]:
    """The tfds builder, made here because importing tfds takes seconds that other data sets need not pay."""
    import tensorflow_datasets as tfds

    class KsegShapes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Textured, lit, overlapping shapes on textured ground, drawn by kseg."""

        VERSION = tfds.core.Version(_VERSION)
        name = "kseg_shapes"
        code_path = None  # tfds would look for checksums of downloads beside the code, and there are none

        def _info(self) -> tfds.core.DatasetInfo:
            return tfds.core.DatasetInfo(
                builder=self,
                description=__doc__,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(SIZE, SIZE, 3), encoding_format="png"),
                        "mask": tfds.features.LabeledImage(
                            labels=list(CLASSES), shape=(SIZE, SIZE, 1), encoding_format="png"
                        ),
                    }
                ),
            )

        def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
            return {split: self._generate_examples(split) for split in SPLITS}

        def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            for index in range(SPLITS[split]):
                rng = np.random.default_rng([list(SPLITS).index(split), index])
                image, mask = draw_scene(rng)
                yield index, {"image": image, "mask": mask[..., None]}

    return KsegShapes


def _unit_outlines(kind: str) -> list[np.ndarray]:
    """Polygons, filled by the even-odd rule."""
    if kind == "circle":
        return [_polygon(64, 1.0)]
    if kind == "ring":
        return [_polygon(64, 1.0), _polygon(64, 0.55)]
    if kind == "square":
        return [_polygon(4, 1.1)]
    if kind == "triangle":
        return [_polygon(3, 1.2)]
    if kind == "star":
        points = _polygon(10, 1.2)
        points[1::2] *= 0.42
        return [points]
    arm = 0.34  # cross: twelve corners
    corner = np.array([[1.1, arm], [arm, arm], [arm, 1.1]])
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    return [np.concatenate([corner @ np.linalg.matrix_power(quarter, k).T for k in range(4)])]


def _polygon(corners: int, radius: float) -> np.ndarray:
    angles = np.arange(corners) * 2 * np.pi / corners
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A surface of two random colours mixed by noise, stripes or checks, float32 (size, size, 3)."""
    first, second = rng.uniform(30, 225, (2, 3))
    contrast = rng.uniform(0.15, 0.6)
    kind = rng.integers(3)
    if kind == 0:
        pattern = _noise(rng, size)
    else:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 20)
        y, x = np.mgrid[:size, :size].astype(np.float32)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        waves = np.sin(2 * np.pi * along / period)
        if kind == 2:
            waves = waves * np.sin(2 * np.pi * across / period)
        pattern = np.clip(waves * 2, -1, 1) * 0.4 + 0.5 + 0.2 * (_noise(rng, size) - 0.5)
    return (first + contrast * pattern[..., None] * (second - first)).astype(np.float32)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth noise of several grain sizes, about 0 to 1."""
    total = np.zeros((size, size), np.float32)
    for cells, weight in ((4, 0.5), (10, 0.3), (32, 0.2)):
        grid = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
        total += weight * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return total


def _light(rng: np.random.Generator, size: int, strength: float) -> np.ndarray:
    """Light falling from one side, a factor around 1, (size, size, 1)."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size].astype(np.float32) / (size - 1) - 0.5
    return (1 + strength * (x * np.cos(angle) + y * np.sin(angle)))[..., None]
