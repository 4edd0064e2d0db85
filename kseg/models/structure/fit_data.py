"""What Keras's `fit` and `evaluate` are given, looked at before the first step: one sentence for each mistake."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from kseg.errors import DataError, KsegError, KsegWarning, SettingsError, find_user_error
from kseg.io.bands import check_values
from kseg.io.masks import only_white
from kseg.layers import Normalize

LOOKED_AT = 2**31  # bytes of an array
PART = 2**26  # bytes at once


@contextmanager
def checked_data(model: Any, x: Any, y: Any, settings: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Around Keras's `fit` or `evaluate` of a `Segmenter`.

    Arrays are looked at up to two gigabytes; of batches of floating-point images the first, where that takes nothing
    from the training; the loss finds the others.

    Args:
        model: the model, compiled.
        x, y: as Keras takes them.
        settings: the other arguments of `fit`; None in `evaluate`.

    Yields:
        `y`; masks (batch, height, width, 1) as (batch, height, width), so that Keras traces one form of them.

    Raises:
        DataError: images or labels that the model cannot be trained on; it names the sample of an array.
        SettingsError: data in another form than Keras takes, or weights of classes, which belong to the loss.
    """
    training, settings = settings is not None, settings or {}
    if settings.get("class_weight") is not None:
        raise SettingsError(
            "Keras's `class_weight` is made for one label an image; compile with "
            "kseg.losses.CrossEntropy(class_weights=...), which takes the same dict."
        )
    _check(model, x, y, "")
    if _black_and_white(model, y):
        told = "the masks hold only 0 and 255, and 255 is ignored: where it means class 1, give masks // 255"
        if training:
            raise DataError(told)
        warnings.warn(f"{told}; class 0 alone is scored", KsegWarning, stacklevel=4)  # it may be that 255 is void
    validation = settings.get("validation_data")
    if validation is not None:
        pair = validation if isinstance(validation, (tuple, list)) else (validation, None)
        _check(model, *(*pair, None)[:2], "validation data: ")
    squeezed = isinstance(y, np.ndarray) and y.ndim == 4 and y.shape[-1] == 1 and _takes_ids(model.loss)
    try:
        yield y[..., 0] if squeezed else y
    except KsegError:
        raise
    except Exception as error:
        told = find_user_error(error) or _of_the_loss(error, model)
        if told is None:
            raise
        raise told from None


def _black_and_white(model: Any, y: Any) -> bool:
    """Whether masks for two classes hold class 0 and 255, which is ignored, and nothing else."""
    two = isinstance(y, np.ndarray) and max(model.num_classes, 2) == 2 and 255 in _ignored(model.loss)
    return two and (y == 0).any() and only_white(np.asarray(part, np.uint8) for _, part in _parts(y))


def _check(model: Any, x: Any, y: Any, where: str) -> None:
    """One kind of data, training or validation; `where` begins the message."""
    dataset = x if hasattr(x, "num_classes") and hasattr(x, "load") else getattr(x, "dataset", None)
    if hasattr(dataset, "num_classes"):
        if dataset is x:
            raise SettingsError(
                f"{where}`fit` takes batches, not a data set: give "
                "kseg.data.Loader(dataset, batch_size=8, size=(256, 256))"
            )
        _check_kind(model, dataset, where)
        most = max(model.num_classes, 2)
        if dataset.num_classes > most:
            raise SettingsError(
                f"{where}the data set {dataset.name} has {dataset.num_classes} classes, the model {model.num_classes}: "
                f"build the model with more, or load the data with classes={most}, which names a mask with other ids"
            )
        return
    if isinstance(x, (list, tuple)) and len(x) > 1:
        raise SettingsError(
            f"{where}a list of {len(x)} images: make one array of them, np.stack(images), or where sizes differ "
            "kseg.data.Loader((images, masks), batch_size=8, size=(256, 256))"
        )
    if hasattr(x, "element_spec"):  # tf.data
        spec = x.element_spec
        if isinstance(spec, tuple) and len(spec) > 1 and all(hasattr(part, "shape") for part in spec[:2]):
            shapes = [None if part.shape.rank is None else tuple(part.shape) for part in spec[:2]]
            _check_shapes(model, *shapes, where)
            if spec[0].dtype.is_floating and hasattr(x, "take"):
                for image, labels, *_ in x.take(1):
                    _check_values(model, np.asarray(image), np.asarray(labels), f"{where}the first batch, ")
        return
    if y is None or not all(hasattr(part, "shape") and hasattr(part, "dtype") for part in (x, y)):
        return
    _check_shapes(model, tuple(x.shape), tuple(y.shape), where)
    if len(x) != len(y):
        raise DataError(f"{where}{len(x)} images but {len(y)} masks")
    _check_values(model, x, y, where)


def _check_kind(model: Any, dataset: Any, where: str) -> None:
    """SettingsError for a data set of other images or masks than the model's."""
    for what, ours in (
        ("channels", model.input_shape[-1]),
        ("value_range", getattr(model, "value_range", (0, 255))),
        ("multilabel", getattr(model, "multilabel", False)),
    ):
        theirs = getattr(dataset, what, ours)
        if ours != theirs:
            raise SettingsError(
                f"{where}the model has {what}={ours}, and the data set {dataset.name} {what}={theirs}: build the "
                "model, or load the data, with the same"
            )


def _check_shapes(model: Any, x: tuple | None, y: tuple | None, where: str) -> None:
    """DataError for shapes of a batch that do not fit; None is not known."""
    channels = model.input_shape[-1]
    if x is not None and len(x) != 4:
        hint = ": give .batch(8)" if len(x) == 3 and x[-1] == channels else ""
        raise DataError(f"{where}images of shape {x}; expected (batch, height, width, {channels}){hint}")
    if x is not None and x[-1] not in (None, channels):
        hint = ": channels come last, np.moveaxis(x, 1, -1)" if x[1] == channels else ""
        raise DataError(f"{where}images of shape {x}; expected (batch, height, width, {channels}){hint}")
    classes = model.num_classes
    if y is not None and getattr(model, "multilabel", False) and (len(y) != 4 or y[-1] not in (None, classes)):
        raise DataError(
            f"{where}masks of shape {y}; expected (batch, height, width, {classes}) of 0 and 1, as classes overlap"
        )
    if y is None or not _takes_ids(model.loss):
        return
    if len(y) == 4 and y[-1] not in (None, 1):
        raise DataError(
            f"{where}masks of shape {y}; expected class ids (batch, height, width): of one-hot labels "
            "np.argmax(y, axis=-1) makes them"
        )
    if len(y) not in (3, 4):
        raise DataError(f"{where}masks of shape {y}; expected class ids (batch, height, width)")
    if x is not None and any(a != b for a, b in zip(x[1:3], y[1:3], strict=True) if None not in (a, b)):
        raise DataError(
            f"{where}images have {x[1]}x{x[2]} pixels (height x width) and masks {y[1]}x{y[2]}: both must have the "
            "same size"
        )


def _check_values(model: Any, x: Any, y: Any, where: str) -> None:
    """DataError for NaN, images of 0 to 1 where 0 to 255 is expected, and ids beyond the classes."""
    highest, fractions = 0.0, False
    for start, part in _parts(x):
        if part.dtype.kind != "f":
            break
        low, high = float(part.min()), float(part.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            index = next(index for index, image in enumerate(part) if not np.isfinite(image).all())
            raise DataError(f"{where}sample {start + index}: the image has NaN or infinite values")
        highest = max(highest, high)
        fractions = highest <= 1 and (fractions or bool((part % 1).any()))
    normalize = [layer for layer in model._flatten_layers() if isinstance(layer, Normalize)]
    takes_bytes = any(max(map(abs, (*layer.mean, *layer.std))) > 10 for layer in normalize)
    low, high = getattr(model, "value_range", (0.0, 255.0))
    if (low, high) != (0.0, 255.0) and len(x):
        check_values(np.asarray(x[: max(PART // max(x[0].nbytes, 1), 1)]), f"{where}the images", (low, high))
    elif fractions and takes_bytes:
        raise DataError(f"{where}image values from 0 to 1, where 0 to 255 is expected: multiply them by 255")
    if not _takes_ids(model.loss):
        return
    most, ignored = max(model.num_classes, 2), _ignored(model.loss)
    for start, part in _parts(y):
        with np.errstate(invalid="ignore"):
            wrong = ~((part >= 0) & (part < most) & (part == np.floor(part)) | np.isin(part, ignored))
        if wrong.any():
            place = tuple(np.argwhere(wrong)[0])
            raise DataError(f"{where}sample {start + place[0]}: {_wrong_id(part[place], model)}")


def _parts(array: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Runs of samples, each with its first number."""
    size = max(int(np.prod(array.shape[1:])) * np.dtype(str(array.dtype).rsplit(".")[-1]).itemsize, 1)
    step = max(PART // size, 1)
    for start in range(0, min(len(array), max(LOOKED_AT // size, 1)), step):
        yield start, np.asarray(array[start : start + step])


def _takes_ids(loss: Any) -> bool:
    """Whether a loss takes class ids, one a pixel; of your own functions nothing is known."""
    if any(getattr(one, "mode", None) == "multilabel" for one in (loss, *getattr(loss, "losses", ()))):
        return False
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return hasattr(loss, "ignore_label") or name.lower().replace("_", "").startswith("sparse")


def _ignored(loss: Any) -> list[int]:
    found = (getattr(loss, "ignore_label", None), getattr(loss, "ignore_class", None))
    return [label for label in found if label is not None]


def _wrong_id(value: Any, model: Any) -> str:
    ignored = "".join(f", and {label} for ignored pixels" for label in _ignored(model.loss))
    return (
        f"class id {value:g} in the mask, but the model has the classes 0 to {max(model.num_classes, 2) - 1}{ignored}: "
        "correct the mask, or build the model with more classes"
    )


def _of_the_loss(error: Exception, model: Any) -> DataError | None:
    """What an error of TensorFlow's or PyTorch's cross-entropy says, in one sentence; None of another error."""
    text = str(error)
    match = re.search(r"Received a label value of (-?\d+)|Target (-?\d+) is out of bounds", text)
    if match:
        return DataError(_wrong_id(int(match[1] or match[2]), model).replace("the mask", "a mask", 1))
    if "CrossEntropy" in text and "assert_equal" in text:
        return DataError(
            "Images and masks of a batch differ in height or width: both must have the same size"
        )
    return None
