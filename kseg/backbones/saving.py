"""`check_reloads`: whether a model that is about to be trained or saved can be loaded again."""

from collections.abc import Iterator
from typing import Any

import keras

from kseg.errors import ModelError

_DECORATOR = '@keras.saving.register_keras_serializable(package="...")'


def check_reloads(model: keras.Model) -> None:
    """Refuse a model with a part that is not registered with Keras: its file could not be loaded again.

    `save` of every kseg model calls this, and so does training before its first step.

    Args:
        model: any Keras model.

    Raises:
        ModelError: your own layer, initializer or activation is not registered, a Lambda layer, or a layer
            that its own `get_config` does not describe; the message names the layer and what to do.

    Example:

    >>> kseg.models.check_reloads(keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]))
    """
    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception as error:  # NotImplementedError, TypeError and what your own get_config raises
        raise ModelError(
            f"{model.name} cannot be saved ({_first_line(error)}): give each class of your own a `get_config` that "
            "returns all of its arguments."
        ) from error
    for part, layer in _parts(config, model.name):
        _check(part, layer)


def _parts(config: Any, layer: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every serialised object in a config, with the name of the layer it belongs to."""
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            inner = config["config"]
            layer = inner.get("name", layer) if isinstance(inner, dict) else layer
            yield config, layer
        for value in config.values():
            yield from _parts(value, layer)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _parts(value, layer)


def _check(part: dict[str, Any], layer: str) -> None:
    kind = part["class_name"]
    if kind in ("Lambda", "__lambda__"):
        raise ModelError(
            f"layer {layer!r} holds a Python lambda, which Keras refuses to load for safety: write it as a layer "
            f"of your own, with {_DECORATOR} above the class."
        )
    if kind.startswith("__"):  # __tensor__, __tuple__ and other plain values
        return
    function = kind == "function"
    name = part["config"] if function else kind
    found = keras.saving.get_registered_object(name if function else part.get("registered_name") or kind)
    # What nobody registered Keras finds among its own.
    known = found is not None or str(part.get("module")).split(".")[0] == "keras"
    if function and found is None:
        try:
            known = keras.saving.deserialize_keras_object(part) is not None
        except (TypeError, ValueError):
            known = False
    if not known:
        what = "function" if function else "class"
        raise ModelError(
            f"layer {layer!r}: the {what} {name} is not registered with Keras, so that the saved model could not be "
            f"loaded again. Put {_DECORATOR} above it."
        )
    if isinstance(found, type) and found.__module__.split(".")[0] not in ("keras", "kseg"):
        try:
            keras.saving.deserialize_keras_object({k: v for k, v in part.items() if k != "build_config"})
        except Exception as error:  # your own constructor raises what it likes
            raise ModelError(
                f"layer {layer!r} ({kind}) cannot be rebuilt from its own get_config ({_first_line(error)}): let "
                "get_config return all arguments of the constructor."
            ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
