"""SavedModel in TensorFlow Serving's layout, loaded again and compared before it gets its version number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.export.graph import (
    Size,
    check_class_ids,
    chosen_size,
    in_float32,
    inspected,
    save,
    served_size,
    writing,
)
from kseg.export.images import images_to_compare
from kseg.export.metadata import describe
from kseg.export.parity import Parity, compare, refuse_different
from kseg.export.runtimes.tf_saved_model import SavedModel
from kseg.export.serving.files import tell_broken_versions, warm_up_requests, write_extra, write_settings
from kseg.export.serving.signatures import signatures
from kseg.inference.model_info import ModelInfo
from kseg.io.atomic import put_in_place, temporary_path
from kseg.io.bands import BYTES

ENCODED_SIZE = (512, 512)


def saved_model(
    model: keras.Model,
    path: str | Path,
    *,
    size: Size | None = None,
    dynamic: bool = False,
    version: int = 1,
    overwrite: bool = False,
    dtype: str = "uint8",
    confidence: bool = False,
    images: Any = None,
    accept: Callable[[Path], bool] | None = None,
    min_agreement: float | None = None,
    output: str | None = None,
) -> Parity:
    """Write a Keras model as `<path>/<version>/` for TensorFlow Serving, with the signatures of `signatures`.

    The version is written under a hidden name, loaded again, compared with the Keras model on images, and then
    renamed, so that a server never picks up half of it. `write_extra` and `write_settings` say what lies in it and
    beside it; the model is served under the name of the folder `path`.

    Args:
        model: any Keras model with an image-shaped input and an output (batch, height, width, up to 256 classes).
        path: the base folder.
        size: (height, width) of both signatures. None: `serving_default` takes any size (the server can then batch
            only requests of equal size) and `encoded` works at 512x512; a model that is fixed to a size or has a
            `working_size` is exported at that.
        dynamic: `serving_default` takes any size also where the model has a `working_size`; `encoded` keeps that.
        version: the version's number, from 1 on; servers take the highest.
        overwrite: replace the version if it exists.
        dtype: of `serving_default`'s images, "uint8" or "float32".
        confidence: both signatures also give `confidence`, the winning class's probability.
        images: images to compare on: a data set or an iterable of `(height, width, 3)`, 0-255; None: random
            ones.
        accept: asked about the finished version's folder before it gets its number (`kseg.export.check`, say);
            False throws it away.
        min_agreement: see `kseg.export.tflite`.
        output: see `kseg.export.tflite`.

    Returns:
        `Parity` of `serving_default`.

    Raises:
        SettingsError: the version exists, or a setting out of range.
        ModelError: masks that differ from Keras's by more than rounding explains.

    Example:
    ```python
    model = kseg.models.from_preset("people")
    kseg.export.saved_model(model, "serving/people", version=1)
    ```
    """
    base, size, target = Path(path), served_size(model, size, dynamic), Path(path) / str(version)
    info = inspected(model, output)
    _check(target, version, overwrite, dtype)
    check_class_ids(info)
    model = in_float32(model)
    with temporary_path(target) as part:
        _write(model, info, part, served_name(base), size, dtype, confidence)
        batches = images_to_compare(images, size, info.channels, info.value_range)
        if info.value_range == BYTES:
            batches = [batch.round() for batch in batches]
        parity = compare(model, SavedModel(part), batches, info)
        refuse_different(parity, target, "float32", min_agreement)
        accepted = accept is None or accept(part)
        if accepted:
            _check(target, version, overwrite, dtype)  # another export may have been faster
            put_in_place(part, target)
    if accepted:
        write_settings(base, served_name(base))
        tell_broken_versions(base)
    return parity


def _write(
    model: keras.Model,
    info: ModelInfo,
    folder: Path,
    name: str,
    size: Size | None,
    dtype: str,
    confidence: bool,
) -> None:
    """The version's folder: the SavedModel and its `assets.extra`."""
    fixed = size or chosen_size(model, None) or ENCODED_SIZE
    dtype = dtype if info.value_range == BYTES else "float32"
    found = signatures(model, info, size=size, encoded_size=fixed, dtype=dtype, confidence=confidence)
    save(model, folder, **found)
    description = describe(
        model, info=info, file_format="saved_model", size=size, precision="float32", output="mask"
    )
    description["input"]["encoded_size"] = list(fixed)
    requests = warm_up_requests(name, fixed, dtype, info, list(found))
    with writing(folder):
        write_extra(folder, description, list(requests))


def served_name(base: Path) -> str:
    """The name a folder's model is served under: the folder's, without what URLs and settings dislike."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", base.resolve().name) or "model"


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
