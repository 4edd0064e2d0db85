"""What `compile` takes where nothing is given, and what it is given that would take logits for probabilities."""

from typing import Any

import keras

from kseg.losses import CrossEntropy, Focal
from kseg.metrics import IoU, MeanIoU
from kseg.optimizers import AdamW

# Functions of Keras that take probabilities, unless `from_logits` says otherwise.
_OF_PROBABILITIES = {
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "kl_divergence",
    "poisson",
    "dice",
    "tversky",
}


def resolved(model: keras.Model, optimizer: Any, loss: Any, metrics: Any) -> tuple[Any, Any, Any]:
    """What `compile` takes where "auto" is given; everything else as it is.

    AdamW at a rate at which every network of kseg learns, from ImageNet's weights or a preset's; cross-entropy without
    the pixels of label 255 (of each class, where classes overlap); with this loss the mean IoU, and that of every
    class.
    """
    multilabel = getattr(model, "multilabel", False)
    if _is_auto(metrics) and _is_auto(loss):
        names = getattr(model, "classes", None)
        if names is not None and model.num_classes == 1 and not multilabel:
            names = names[1:]  # of background and object
        if multilabel:
            metrics = [IoU(names or model.num_classes, mode="multilabel")]
        else:
            metrics = [MeanIoU(model.num_classes), IoU(names or model.num_classes)]
    elif _is_auto(metrics):
        metrics = None
    if _is_auto(loss):
        loss = Focal(gamma=0.0, mode="multilabel") if multilabel else CrossEntropy()
    optimizer = AdamW(3e-4, weight_decay=1e-2) if _is_auto(optimizer) else optimizer
    return optimizer, loss, metrics


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def single_numbers(logs: dict[str, Any]) -> dict[str, Any]:
    """Those values of a step's logs that are scalars, or dicts of them."""
    return {name: value for name, value in logs.items() if not len(getattr(value, "shape", ()))}


def takes_probabilities(loss: Any) -> list[str]:
    """The names of those losses or metrics that read a model's output as probabilities.

    Args:
        loss: what Keras's `compile` takes as `loss` or `metrics`: a name, a function, an object, or lists and dicts
            of these.

    Returns:
        Names such as "sparse_categorical_crossentropy"; none where logits are expected or it is not known.

    Example:

    >>> import keras
    >>> takes_probabilities("sparse_categorical_crossentropy")
    ['sparse_categorical_crossentropy']
    >>> takes_probabilities(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    []
    """
    return [name for one in keras.tree.flatten(loss) if (name := _name(one)) is not None]


def _name(loss: Any) -> str | None:
    """The name of a loss or metric that does not take logits; None for another."""
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:  # a metric's name, or one that Keras will refuse
            return None
    if getattr(loss, "sparse_y_pred", False):  # Keras's IoU and MeanIoU
        return f"{type(loss).__name__}(sparse_y_pred=True)"
    if getattr(loss, "_fn_kwargs", {}).get("from_logits") or getattr(loss, "from_logits", False):
        return None
    function = getattr(loss, "fn", None) or getattr(loss, "_fn", None) or loss
    name = getattr(function, "__name__", None) or type(loss).__name__.lower()
    own = str(getattr(function, "__module__", "")).startswith("keras.")
    return name if own and name in _OF_PROBABILITIES else None
