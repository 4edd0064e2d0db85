"""SavedModel in TensorFlow Serving's layout, loaded again and compared before it gets its version number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.export.graph import Module, Size, chosen_size, image_shape, in_float32, refuse_many_classes
from kseg.export.images import as_batches, made_up
from kseg.export.metadata import describe
from kseg.export.parity import Parity, compare
from kseg.export.runtime import SavedModel
from kseg.export.serving_files import warm_up_requests, write_extra, write_settings
from kseg.export.signatures import signatures
from kseg.export.tflite import refuse_different
from kseg.export.unfinished import put_in_place, unfinished

ENCODED_SIZE = (512, 512)


def saved_model(
    model: keras.Model,
    path: str | Path,
    *,
    size: Size | None = None,
    version: int = 1,
    overwrite: bool = False,
    dtype: str = "uint8",
    confidence: bool = False,
    images: Any = None,
    accept: Callable[[Path], bool] | None = None,
) -> Parity:
    """Write a Keras model as `<path>/<version>/` for TensorFlow Serving.

    Two signatures. `serving_default`: `images` (batch, height, width, 3), 0-255, gives `mask` uint8 (batch,
    height, width). `encoded`: `image_bytes` (batch,), JPEG or PNG files, resized to one size so that the
    server can batch them, gives `mask` and `mask_bytes`, the mask as an 8-bit PNG of class ids. Requests that
    are no pictures, empty batches and pictures of more than 50 megapixels or 32 MB are answered with
    INVALID_ARGUMENT.

    The version is written under a hidden name, loaded again, compared with the Keras model on pictures, and
    then renamed, so that a server never picks up half of it. It holds warm-up requests, labels.txt and
    kseg.json (`assets.extra`). Beside the versions lie models.config, batching.config, monitoring.config and
    compose.yaml, written once and never changed; the model is served under the name of the folder `path`.

    Args:
        model: any Keras model with one image-shaped input and one output (batch, height, width, classes), at
            most 256 classes.
        path: the base folder.
        size: (height, width) of both signatures. None: `serving_default` takes any size (the server can then
            batch only requests of equal size) and `encoded` works at 512x512, where the model is not fixed to
            one size.
        version: the version's number, from 1 on; servers take the highest.
        overwrite: replace the version where it exists.
        dtype: of `serving_default`'s images, "uint8" or "float32".
        confidence: both signatures also give `confidence`, the softmax of the winning class.
        images: pictures for the comparison: a data set or an iterable of (H, W, 3), 0-255; made up where
            there are none.
        accept: asked about the finished version's folder before it gets its number (`kseg.export.check`, say);
            False throws it away.

    Returns:
        `Parity` of `serving_default`.

    Raises:
        SettingsError: the version exists, or a setting out of range.
        ModelError: masks that differ from Keras's by more than rounding explains.
    """
    base, size, channels = Path(path), chosen_size(model, size), image_shape(model)[2]
    target = base / str(version)
    _check(target, version, overwrite, dtype)
    refuse_many_classes(model)
    model, fixed = in_float32(model), size or ENCODED_SIZE
    found = signatures(model, size=size, encoded_size=fixed, dtype=dtype, confidence=confidence)
    name = served_name(base)
    with unfinished(target) as part:
        part.mkdir()
        Module(model, **found).save(part)
        description = describe(
            model, file_format="saved_model", size=size, precision="float32", output="mask"
        )
        description["input"]["encoded_size"] = list(fixed)
        write_extra(part, description, list(warm_up_requests(name, fixed, dtype, channels, list(found))))
        probe = [size] if size else [(96, 128), (81, 114)]
        batches = made_up(probe, channels) if images is None else as_batches(images, size, channels, 16)
        parity = compare(model, SavedModel(part), [batch.round() for batch in batches])
        refuse_different(parity, target, exact=True, min_agreement=None)
        if accept is not None and not accept(part):
            return parity
        _put(part, target)
    write_settings(base, name)
    return parity


def served_name(base: Path) -> str:
    """The name a folder's model is served under: the folder's, without what URLs and settings dislike."""
    return re.sub(r"[^\w-]+", "_", base.resolve().name) or "model"


def _check(target: Path, version: int, overwrite: bool, dtype: str) -> None:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise SettingsError(f"`version` is a whole number from 1 on, got {version!r}")
    if dtype not in ("uint8", "float32"):
        raise SettingsError(f"`dtype` is 'uint8' or 'float32', got {dtype!r}")
    if target.parent.exists() and not target.parent.is_dir():
        raise SettingsError(f"{target.parent}: a folder for the versions is expected, this is a file")
    if target.exists() and not overwrite:
        raise SettingsError(
            f"{target} exists: choose another version, or overwrite it (overwrite=True, --overwrite)"
        )


def _put(part: Path, target: Path) -> None:
    try:
        put_in_place(part, target)
    except OSError as error:
        raise SettingsError(
            f"{target}: the finished version cannot be put there ({error.strerror}); what was there stays"
        ) from error
