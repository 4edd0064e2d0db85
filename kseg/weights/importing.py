"""`import_weights`: a published weights file becomes a kseg model; `identify`: which source it is of."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras

from kseg.errors import KsegError, ModelError, SettingsError
from kseg.models import with_auxiliary_head
from kseg.weights.axes import torch_moves
from kseg.weights.layouts import (
    caffe_deeplab,
    caffe_fcn,
    caffe_pspnet,
    huggingface,
    kerashub,
    mmseg,
    mobilenet_v2,
    semseg,
    smp,
    timm,
    torchvision,
)
from kseg.weights.reading.read import read
from kseg.weights.source import Arrays, Source, classes_of, shape_of
from kseg.weights.transfer import plan
from kseg.weights.undrawn import undrawn

SOURCES: dict[str, Source] = {
    source.name: source
    for layout in (
        torchvision,
        mmseg,
        semseg,
        smp,
        timm,
        huggingface,
        kerashub,
        mobilenet_v2,
        caffe_fcn,
        caffe_deeplab,
        caffe_pspnet,
    )
    for source in layout.SOURCES
}


@dataclass(frozen=True)
class Imported:
    """What `import_weights` made.

    Attributes:
        model: the model, with the file's weights, its class names and its palette.
        source: the name of the source, such as "mmseg/pspnet".
        copied: keys of the file whose values the model has.
        unused: keys that have no place in the model, such as those of an auxiliary head.
        note: what was assumed, in a sentence.
        meta: what the file says besides its arrays.
        training_model: the network with its second head (see `kseg.models.with_auxiliary_head`), where it was asked
            for; it shares the layers of `model`.

    Example:
    ```python
    imported = kseg.weights.import_weights("pspnet_r50-d8.pth")
    imported.model.save("pspnet.keras")
    ```
    """

    model: keras.Model
    source: str
    copied: tuple[str, ...]
    unused: tuple[str, ...]
    note: str
    meta: dict[str, Any] = field(default_factory=dict)
    training_model: keras.Model | None = None


def identify(arrays: Arrays) -> str:
    """The source of arrays, by their keys.

    Args:
        arrays: as `kseg.weights.read` gives them.

    Returns:
        The name of a source, such as "torchvision/fcn".

    Raises:
        ModelError: no source has such keys, or several do.

    Example:
        >>> arrays, _ = kseg.weights.read("deeplabv3_resnet50.pth")  # doctest: +SKIP
        >>> kseg.weights.identify(arrays)  # doctest: +SKIP
        'torchvision/deeplabv3'
    """
    found = [name for name, source in SOURCES.items() if source.recognises(arrays)]
    if len(found) == 1:
        return found[0]
    keys = ", ".join(list(arrays)[:4])
    if not found:
        raise ModelError(
            f"weights of no source that kseg knows (keys {keys}, ...); known are {', '.join(SOURCES)}"
        )
    raise ModelError(f"weights that fit {' and '.join(found)} alike: say which with `source` (--source)")


def import_weights(
    path: str | os.PathLike,
    source: str = "auto",
    *,
    classes: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
    output_stride: int | None = None,
    auxiliary: bool = False,
) -> Imported:
    """Build the network that a published weights file belongs to, and give it the file's weights.

    Its logits are those of the program that wrote the file. Nothing in the file is executed; nothing is written into
    the network before every array has its place and every variable its array.

    Args:
        path: a file that `kseg.weights.read` takes.
        source: a name of `kseg.weights.SOURCES`, or "auto": `identify` says which.
        classes: names, one a class; None takes those of the file where it has them.
        palette: a colour (red, green, blue) a class; None takes the file's.
        output_stride: of the backbone, where the source has networks of several; None takes its usual one.
        auxiliary: take the second head too, which only training needs (torchvision, mmsegmentation, semseg).

    Returns:
        The model with what was copied and what was left out.

    Raises:
        ModelError: a file that cannot be read, of an unknown or ambiguous source, or that does not fit it in full; with
            the file's name.
        SettingsError: an unknown source, or names and colours that are not one a class.

    Example:
        >>> found = kseg.weights.import_weights("fcn_resnet50_coco-1167a1af.pth")  # doctest: +SKIP
        >>> found.source, found.model.num_classes  # doctest: +SKIP
        ('torchvision/fcn', 21)
        >>> found.model.save("fcn_resnet50.keras")  # doctest: +SKIP
    """
    if source != "auto" and source not in SOURCES:
        close = difflib.get_close_matches(str(source), SOURCES, n=2) or SOURCES
        raise SettingsError(f"there is no source {source!r}: expected auto, or one of {', '.join(close)}")
    arrays, meta = read(path)
    try:
        chosen = SOURCES[identify(arrays) if source == "auto" else source]
        if source == "auto":  # where the keys fit several networks, the published name of the file may tell
            chosen = SOURCES[chosen.by_name(Path(path).name) or chosen.name]
        stride = chosen.output_strides[0] if output_stride is None else output_stride
        if stride not in chosen.output_strides:
            strides = " or ".join(map(str, chosen.output_strides))
            raise SettingsError(f"{chosen.name} has networks of output stride {strides}, not {stride}")
        try:
            model = undrawn(partial(chosen.build, arrays, stride))
            moves = list(chosen.moves(model, arrays))
        except ModelError:
            raise
        except (KsegError, KeyError, IndexError, ValueError, StopIteration, TypeError) as error:
            raise ModelError(f"{chosen.name}: its keys are not those of this source ({error})") from error
        full = _with_second_head(chosen, model, arrays) if auxiliary else None
        if full is not None:
            names = ("auxiliary_conv", "auxiliary_bn", "auxiliary_score")
            moves += torch_moves(full, dict(zip(names, chosen.auxiliary, strict=True)))
        settled = plan(full or model, arrays, moves, chosen.left_out, chosen.name)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    del arrays
    settled.apply()
    backbone = getattr(model, "backbone", model)
    note = f"{chosen.name}: {backbone.name}, output stride {getattr(backbone, 'output_stride', None)}"
    if hasattr(model, "num_classes"):
        _label(model, path, classes, meta.get("classes"), "classes")
        _label(model, path, palette, meta.get("palette"), "palette")
        note += f", {model.num_classes} classes"
    return Imported(model, chosen.name, settled.copied, settled.unused, f"{note}; {chosen.note}", meta, full)


def _with_second_head(source: Source, model: keras.Model, arrays: Arrays) -> keras.Model:
    key = f"{source.auxiliary[0]}.weight" if source.auxiliary else ""
    if key not in arrays:
        raise ModelError(f"{source.name}: the file has no auxiliary head; import it without `auxiliary`")
    inputs = shape_of(arrays, key, source.name)[1]
    stages = [name for name, features in model.backbone.stages.items() if features.shape[-1] == inputs]
    if len(stages) != 1:
        raise ModelError(
            f"{source.name}: an auxiliary head on {inputs} channels, which "
            f"{'several stages' if stages else 'no stage'} of {model.backbone.name} have; import it without `auxiliary`"
        )
    return undrawn(partial(with_auxiliary_head, model, classes_of(arrays, key), stages[0]))


def _label(model: keras.Model, path: str | os.PathLike, given: Any, of_file: Any, what: str) -> None:
    """Class names or a palette; those of the file only where they are one a class."""
    values = given or of_file
    if values is None or (given is None and len(values) != model.num_classes):
        return
    if len(values) != model.num_classes:
        raise SettingsError(f"{Path(path)}: {what} needs {model.num_classes} entries, one a class; got {len(values)}")
    setattr(model, what, [tuple(value) if what == "palette" else value for value in values])
