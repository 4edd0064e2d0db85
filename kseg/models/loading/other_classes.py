"""`with_classes`: the same network for other classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import keras
import numpy as np

from kseg import checks
from kseg.errors import ModelError, SettingsError
from kseg.models.multi_scale import MultiScale
from kseg.models.structure.head_graph import with_other_channels
from kseg.models.structure.segmenter import Segmenter


def with_classes(
    model: Segmenter,
    num_classes: int | None = None,
    *,
    classes: Sequence[str] | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    dtype: str | None = None,
) -> Segmenter:
    """A network like a given one for other classes: with its weights, but for the layers that score.

    Args:
        model: any network of kseg; it is not changed.
        num_classes: of the new one; the number of `classes` by default.
        classes: names of the new classes. The score layers take over the weights of classes that the model has under
            the same name; without names all of their weights are new.
        palette: an (r, g, b) of 0-255 per class, or None.
        dtype: policy such as "mixed_float16"; None keeps the model's.

    Returns:
        A network of the same class and arguments, `working_size` included, of which nothing is frozen.
        A second head that the model's file had (`second_head`) is made again by training, as wide and in its place.

    Raises:
        ModelError: not a network of kseg, or one whose score layer cannot be found.
        SettingsError: no number of classes, another number of names, or a name twice.

    Example:

    >>> trained = kseg.models.from_preset("people")
    >>> model = kseg.models.with_classes(trained, classes=["background", "person", "dog"])
    >>> model.num_classes, model.working_size == trained.working_size
    (3, True)
    """
    if not isinstance(model, Segmenter):
        raise ModelError(
            f"{model.name} is a {type(model).__name__}, not a network of kseg: with other classes kseg cannot build it"
        )
    num_classes = number_of_classes(num_classes, classes)
    known = {name: number for number, name in enumerate(model.classes or ())}
    pairs = [(known[name], number) for number, name in enumerate(classes or ()) if name in known]
    if isinstance(model, MultiScale):
        other = MultiScale(
            _with_classes(model.base, num_classes, pairs, dtype), model.scales, name=model.name
        )
    else:
        other = _with_classes(model, num_classes, pairs, dtype)
    other.classes, other.palette, other.working_size = classes, palette, model.working_size
    if hasattr(model, "second_head"):
        other.second_head = model.second_head
    return other


def _with_classes(
    model: Segmenter, num_classes: int, pairs: list[tuple[int, int]], dtype: str | None
) -> Segmenter:
    """The network with the weights of the classes that `pairs` of (old id, new id) name."""
    other = _built(model, num_classes, dtype)
    # With as many classes as before, the weights that depend on their number tell themselves by another number.
    probe = other if num_classes != model.num_classes else _built(model, num_classes + 1, None)
    for mine, theirs, shaped in zip(other.weights, model.weights, probe.weights, strict=True):
        if tuple(shaped.shape) == tuple(theirs.shape):
            mine.assign(theirs)
        elif pairs:
            axes = [axis for axis, size in enumerate(theirs.shape) if size != shaped.shape[axis]]
            _copy_classes(mine, theirs, axes, pairs, (model.num_classes, num_classes))
    return other


def number_of_classes(num_classes: int | None, classes: Sequence[str] | None) -> int:
    """The number of classes that a number and names agree on; SettingsError where they do not."""
    if np.ndim(num_classes) == 1:
        raise SettingsError(
            f"`num_classes` is a number; got {num_classes!r}: give names as classes={[str(one) for one in num_classes]}"
        )
    if isinstance(classes, (str, Mapping, Set)) or (classes is None and num_classes is None):
        raise checks.wrong("classes", "a list of class names, or give num_classes", classes)
    if classes is None:
        return checks.whole(num_classes, "num_classes")
    names = list(classes)
    if not names or any(not isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise checks.wrong("classes", "different class names", classes)
    if num_classes is not None and checks.whole(num_classes, "num_classes") != len(names):
        raise SettingsError(f"`num_classes` is {num_classes}, but there are {len(names)} `classes`.")
    return len(names)


def _built(model: Segmenter, num_classes: int, dtype: str | None) -> Segmenter:
    config = {**model.get_config(), "num_classes": num_classes, "classes": None, "palette": None}
    config["backbone"] = {**config["backbone"], "config": dict(config["backbone"]["config"])}
    if dtype is not None:
        config["dtype"] = config["backbone"]["config"]["dtype"] = dtype
    for part in (config, config["backbone"]["config"]):
        part.pop("trainable", None)
    config.pop("frozen", None)
    if "head_graph" in config:
        config["head_graph"] = with_other_channels(model, config["head_graph"], num_classes)
    return type(model).from_config(config)


def _copy_classes(
    mine: Any, theirs: Any, axes: list[int], pairs: list[tuple[int, int]], counts: tuple[int, int]
) -> None:
    """Take over those slices of a weight that belong to classes of the same name."""
    old, new = counts
    to, source = keras.ops.convert_to_numpy(mine).copy(), keras.ops.convert_to_numpy(theirs)
    places = [[np.arange(size) for size in array.shape] for array in (source, to)]
    for axis in axes:  # several scores a class (a block of pixels) lie class by class in each place
        blocks = np.arange(source.shape[axis] // old)[:, None]
        for ids, count, where in zip(zip(*pairs, strict=True), (old, new), places, strict=True):
            where[axis] = (blocks * count + np.array(ids)).ravel()
    to[np.ix_(*places[1])] = source[np.ix_(*places[0])]
    mine.assign(to)
