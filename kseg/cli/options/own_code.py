"""FILE.py:NAME: a loss or a network of the user's own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def from_file(word: str, option: str, instead: str) -> Any:
    """What NAME is in FILE.py, which is run for it.

    Args:
        word: FILE.py:NAME.
        option: the option it was given for, for messages.
        instead: what else the option takes, for messages.

    Raises:
        SettingsError: no such file or name, or a file that fails when it is run.
    """
    from kseg.errors import SettingsError

    path, _, name = word.rpartition(":")
    if not Path(path).is_file():
        raise SettingsError(f"{option} {word}: there is no file {path}; give FILE.py:NAME or {instead}.")
    module_name = Path(path).stem
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise SettingsError(f"{option} {word}: {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(module_name, module)  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # code of the user's own raises what it likes
        raise SettingsError(f"{option} {word}: {path} fails ({type(error).__name__}: {error}).") from error
    if not hasattr(module, name):
        raise SettingsError(f"{option} {word}: {path} has no {name}.")
    return getattr(module, name)


def own_loss(word: str) -> Any:
    """The loss of FILE.py:NAME: an object, a function of (labels, logits), or a class that needs no arguments."""
    loss = from_file(word, "--loss", "a name of kseg.losses")
    return loss() if isinstance(loss, type) else loss


def own_model(word: str, num_classes: int, dtype: str | None) -> Any:
    """The Keras model of FILE.py:NAME: NAME(num_classes), a model with that many channels.

    Args:
        word: FILE.py:NAME.
        num_classes: of the data.
        dtype: policy to build it in.

    Raises:
        SettingsError: it fails, or gives something else.
        ModelError: a model that could not be loaded again from its file.
    """
    import keras

    from kseg.errors import KsegError, SettingsError
    from kseg.models import check_reloads

    build = from_file(word, "--model", "a name that kseg models lists")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or policy)
    try:
        model = build(num_classes)
    except KsegError:
        raise
    except Exception as error:  # code of the user's own raises what it likes
        raise SettingsError(
            f"--model {word}: {word.rpartition(':')[2]}({num_classes}) fails ({type(error).__name__}: {error}); it is "
            "called with the number of classes, and returns a Keras model."
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    if not isinstance(model, keras.Model):
        raise SettingsError(
            f"--model {word}: expected a function of the number of classes that returns a Keras model; it returned "
            f"{type(model).__name__}."
        )
    check_reloads(model)
    if of_own_classes(model):
        path = word.rpartition(":")[0]
        print(
            f"kseg: {model.name} has classes of {path}: a program that loads the trained file must import it first.",
            file=sys.stderr,
        )
    return model


def of_own_classes(model: Any) -> bool:
    """Whether a model or a layer of it is of a class that neither Keras nor kseg brings."""
    layers = [model, *model._flatten_layers(include_self=False)]
    return any(type(layer).__module__.split(".")[0] not in ("keras", "kseg") for layer in layers)
