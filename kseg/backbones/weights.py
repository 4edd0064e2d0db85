"""Weights files by layer and variable name, and VGG16's ImageNet weights through Keras's verified download."""

from pathlib import Path

import numpy as np

from kseg.errors import ModelError

_FOLDER = Path(__file__).parent / "imagenet"


def packaged(name):
    """Path of a weights file inside the package."""
    return _FOLDER / name


def load(model, path):
    """Give a model the numbers of a weights file.

    Args:
        model: a Keras model whose layers have fixed names.
        path: an .npz file with keys "<layer>/<variable>" (any float dtype), or Keras's .weights.h5.

    Raises:
        ModelError: no such file, another kind of file, a missing layer or another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file; give an .npz or .weights.h5 file, or weights=None")
    if path.name.endswith(".weights.h5"):
        try:
            model.load_weights(path)
        except Exception as error:
            raise ModelError(f"{path}: these weights do not fit {model.name}: {error}") from error
        return
    try:
        with np.load(path, allow_pickle=False) as arrays:
            _assign(model, arrays, path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a readable .npz weights file ({error})") from error


def _assign(model, arrays, path):
    for layer in model.layers:
        for variable in layer.weights:
            key = f"{layer.name}/{variable.name}"
            if key not in arrays:
                raise ModelError(f"{path}: has no {key}, which {model.name} needs")
            if arrays[key].shape != tuple(variable.shape):
                raise ModelError(f"{path}: {key} is {arrays[key].shape}, {model.name} needs {tuple(variable.shape)}")
            variable.assign(arrays[key].astype("float32"))
