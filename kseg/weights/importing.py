"""`import_weights`: a published weights file becomes a kseg model."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras

from kseg.errors import KsegError, ModelError, SettingsError
from kseg.models import with_auxiliary_head
from kseg.weights.axes import torch_moves
from kseg.weights.identifying import SOURCES, identify, without_prefix
from kseg.weights.reading.read import read
from kseg.weights.settings import Settled, settle
from kseg.weights.source import Arrays, Source, classes_of, shape_of
from kseg.weights.transfer import plan, some
from kseg.weights.undrawn import undrawn


@dataclass(frozen=True)
class Imported:
    """What `import_weights` made.

    Attributes:
        model: the model, with the file's weights, its class names and its palette.
        source: the name of the source, such as "mmseg/pspnet".
        copied: keys of the file whose values the model has.
        unused: keys that have no place in the model, such as those of an auxiliary head.
        note: what the network is, and every setting that no key shows: assumed, from the file's config, or as given.
        settings: these settings by name, each with its value and where it is from: "assumed", "config" or "given".
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
    settings: dict[str, tuple[Any, str]] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    training_model: keras.Model | None = None


def import_weights(
    path: str | os.PathLike,
    source: str = "auto",
    *,
    classes: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
    output_stride: int | None = None,
    settings: Mapping[str, Any] | None = None,
    part: str | None = None,
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
        settings: what no key shows, by name, such as `{"aspp_rates": (6, 12, 18)}`; the note of the result names them
            all with their values. None, and every name left out, takes that of the file's config, or of the
            `config.json` beside it, and else the source's usual one.
        part: as `kseg.weights.read` takes it.
        auxiliary: take the second head too, which only training needs (torchvision, mmsegmentation, semseg).

    Returns:
        The model with what was copied and what was left out.

    Raises:
        ModelError: a file that cannot be read, of an unknown or ambiguous source, or that does not fit it in full; with
            the file's name.
        SettingsError: an unknown source or setting, or names and colours that are not one a class.

    Example:
        >>> found = kseg.weights.import_weights("fcn_resnet50_coco-1167a1af.pth")  # doctest: +SKIP
        >>> found.source, found.model.num_classes  # doctest: +SKIP
        ('torchvision/fcn', 21)
        >>> found.model.save("fcn_resnet50.keras")  # doctest: +SKIP
    """
    if source != "auto" and source not in SOURCES:
        close = difflib.get_close_matches(str(source), SOURCES, n=2) or SOURCES
        raise SettingsError(f"there is no source {source!r}: expected auto, or one of {', '.join(close)}")
    given = dict(settings or {})
    if output_stride is not None and given.setdefault("output_stride", output_stride) != output_stride:
        raise SettingsError(
            f"output_stride was given twice, as {given['output_stride']} and as {output_stride}"
        )
    arrays, meta = read(path, part)
    try:
        if meta.get("package") == "kseg":
            raise ModelError(
                "a model of kseg itself, and no other program's weights: load it with kseg.models.load"
            )
        arrays, prefix = without_prefix(arrays)
        chosen = SOURCES[identify(arrays) if source == "auto" else source]
        if source == "auto":  # where the keys fit several networks, the published name of the file may tell
            chosen = SOURCES[chosen.by_name(Path(path).name) or chosen.name]
        model, moves, settled = _built(chosen, arrays, given, meta.get("config") or {}, source == "auto")
        full = _with_second_head(chosen, model, arrays) if auxiliary else None
        if full is not None:
            names = ("auxiliary_conv", "auxiliary_bn", "auxiliary_score")
            moves += torch_moves(full, dict(zip(names, chosen.auxiliary, strict=True)))
        transfer = plan(full or model, arrays, moves, chosen.left_out, chosen.name)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    del arrays
    transfer.apply()
    note = [
        f"{chosen.name}: {getattr(model, 'backbone', model).name}"
        + (f" (keys below {prefix})" if prefix else "")
    ]
    if hasattr(model, "num_classes"):
        note[0] += f", {model.num_classes} classes"
        dropped = [
            _label(model, path, classes, meta.get("classes"), "classes"),
            _label(model, path, palette, meta.get("palette"), "palette"),
        ]
    note += [chosen.note, str(settled), *(dropped if hasattr(model, "num_classes") else ()), *_besides(meta)]
    unused = (*transfer.unused, *meta.get("set_aside", ()))
    origins = {name: (value, settled.origins[name]) for name, value in settled.values.items()}
    return Imported(
        model, chosen.name, transfer.copied, unused, "; ".join(filter(None, note)), origins, meta, full
    )


def _built(
    source: Source, arrays: Arrays, given: Mapping[str, Any], config: Mapping[str, Any], certain: bool
) -> tuple[keras.Model, list, Settled]:
    """The network, where its arrays go, and its settings; errors say what else the file looks like."""
    try:
        try:
            settled = settle(source, arrays, given, config)
            model = undrawn(partial(source.build, arrays, settled.values))
            return model, list(source.moves(model, arrays)), settled
        except KeyError as error:
            raise ModelError(
                f"{source.name}: its network cannot be drawn without {error}. Layers that got no array: {error}; keys "
                f"that found no place, as nothing was looked up: {some(list(arrays))}"
            ) from error
        except (IndexError, ValueError, StopIteration, TypeError) as error:
            if isinstance(error, SettingsError):
                raise
            raise ModelError(f"{source.name}: its keys are not those of this source ({error})") from error
        except KsegError as error:
            raise ModelError(str(error)) from error
    except ModelError as error:
        if certain:
            raise
        try:
            other = identify(arrays)
        except ModelError:
            raise error from None
        if other == source.name or SOURCES[other].marks == source.marks:
            raise
        raise ModelError(f"{error}. The file looks like {other}") from error


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


def _label(model: keras.Model, path: str | os.PathLike, given: Any, of_file: Any, what: str) -> str:
    """Class names or a palette; those of the file only where they are one a class, and else a note of that."""
    values = given or of_file
    if values is None:
        return ""
    if len(values) != model.num_classes:
        if given is None:
            return f"the file's {len(values)} {what} were left out, as they are not one a class"
        raise SettingsError(
            f"{Path(path)}: {what} needs {model.num_classes} entries, one a class; got {len(values)}"
        )
    setattr(model, what, [tuple(value) if what == "palette" else value for value in values])
    return ""


def _besides(meta: Mapping[str, Any]) -> list[str]:
    """What else the file has, for the note."""
    aside, parts = meta.get("set_aside", ()), meta.get("parts", ())
    return [
        *(
            ["the file has a config that kseg cannot read: none of it was taken"]
            if meta.get("config_unread")
            else []
        ),
        *([f"left out beside the network: {some(aside, 4)}"] if aside else []),
        *([f"the file also has {some(parts, 4)}, which `part` (--part) takes instead"] if parts else []),
    ]
