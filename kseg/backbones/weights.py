"""Weights files by layer and variable name, and VGG16's ImageNet weights through Keras's own download."""

import os
import re
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.io.archive import open_hdf5, read_npz

_FOLDER = Path(__file__).parent / "imagenet"
_SITE = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
# file name and MD5 as in keras.applications.vgg16; the first one holds fc1 and fc2
_VGG16_FILES = {
    True: ("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"),
    False: ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"),
}
# Keras's classifiers name the dense layers, Shelhamer et al. their convolutions
_RENAMED = {"fc1": "fc6", "fc2": "fc7"}
# convolutions inside of VGG's and ResNet's blocks, as keras.applications names them
_IN_A_BLOCK = re.compile(r"block\d+_conv\d+|conv\d+_block\d+_")
_WAY_OUT = "give weights=None or a local .npz, .weights.h5 or .h5 file"


def packaged(name: str) -> Path:
    """Path of a weights file inside the package."""
    return _FOLDER / name


def keras_vgg16_imagenet(include_dense: bool = True, timeout: float = 10) -> Path:
    """Path of keras.applications' VGG16 ImageNet weights: Keras's cached copy, else a verified download.

    Args:
        include_dense: with fc1 and fc2 (553 MB) or the thirteen convolutions only (59 MB).
        timeout: seconds to wait for the server's answer.

    Raises:
        ModelError: the server cannot be reached or sends something else; the message names the way out.
    """
    name, md5 = _VGG16_FILES[bool(include_dense)]
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    cached = home / "models" / name
    try:
        if not cached.is_file():  # get_file has no timeout of its own: ask first
            question = urllib.request.Request(_SITE + name, method="HEAD")
            urllib.request.urlopen(question, timeout=timeout).close()
        found = keras.utils.get_file(name, _SITE + name, cache_subdir="models", file_hash=md5, cache_dir=home)
        return Path(found)
    except Exception as error:  # get_file raises plain Exception
        raise ModelError(
            f"cannot download VGG16's ImageNet weights from {_SITE} ({error}); {_WAY_OUT}, "
            f"or place {name} in {cached.parent}."
        ) from error


def load(model: keras.Model, path: str | Path) -> dict[str, np.ndarray]:
    """Give a model the weights of a file.

    Args:
        model: a Keras model whose layers have fixed names.
        path: an .npz file with keys "<layer>/<variable>" of any float dtype, a .weights.h5 file that Keras saved from
            the same network, or an .h5 file of a keras.applications classifier, whose dense kernels are reshaped where
            the model has a convolution of that name (fc1 and fc2 are known as fc6 and fc7). Entries for layers that the
            model does not have, such as a classifier, are left aside; more blocks than it has (ResNet-101 for
            ResNet-50) are refused.

    Returns:
        A dict "<layer>/bias" -> array of the biases that an .h5 file has for convolutions which have none here.

    Raises:
        ModelError: no such file, another kind of file, a missing layer or another shape; a file that draws on
            other files, holds Python objects, or promises more than it has. The model is unchanged then, except
            by a .weights.h5 file that fits in part.
    """
    if not isinstance(path, str | os.PathLike):
        raise ModelError(f"weights={path!r}: expected None, 'imagenet' or a weights file; {_WAY_OUT}.")
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file; {_WAY_OUT}.")
    if path.name.endswith(".weights.h5"):
        with open_hdf5(path, path):
            pass  # Keras opens it by itself
        try:
            model.load_weights(path)
        except Exception as error:  # h5py and Keras raise OSError, ValueError and KeyError
            raise ModelError(f"{path}: these weights do not fit {model.name}: {error}") from error
    elif path.suffix in (".h5", ".hdf5"):
        arrays, biases = _read_h5(model, path)
        _assign(model, arrays, path)
        return biases
    elif path.suffix == ".npz":
        arrays = read_npz(path)
        check_depth(model, (key.partition("/")[0] for key in arrays), path)
        _assign(model, arrays, path)
    else:
        raise ModelError(f"{path}: not a kind of weights file that kseg reads; {_WAY_OUT}.")
    return {}


def check_depth(model: keras.Model, names: Iterable[str], source: str | Path) -> None:
    """ModelError where layers called `names` are those of a deeper VGG or ResNet than `model`.

    Such weights have all that the model needs, and mean other features.
    """
    own = {layer.name for layer in model.layers}
    deeper = [name for name in names if _IN_A_BLOCK.match(name) and name not in own]
    if deeper:
        raise ModelError(
            f"{source}: has {deeper[0]}, which {model.name} does not have: these are the weights of a deeper network; "
            "take those of the same depth."
        )


def save(model: keras.Model, path: str | Path, dtype: str = "float16") -> None:
    """Write a model's weights as the .npz file that `load` reads."""
    arrays = {key: np.asarray(variable).astype(dtype) for key, variable in _variables(model).items()}
    np.savez_compressed(path, **arrays)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    return {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}


def _assign(model: keras.Model, arrays: dict[str, np.ndarray], path: Path) -> None:
    variables = _variables(model)
    for key, variable in variables.items():
        if key not in arrays:
            raise ModelError(f"{path}: has no {key}, which {model.name} needs.")
        given, needed = arrays[key].shape, tuple(variable.shape)
        if given != needed:
            raise ModelError(f"{path}: {key} is {given}, {model.name} needs {needed}.")
        if arrays[key].dtype.kind not in "biuf":
            raise ModelError(f"{path}: {key} holds {arrays[key].dtype}, where numbers are expected.")
    for key, variable in variables.items():
        variable.assign(arrays[key].astype(variable.dtype))


def _read_h5(model: keras.Model, path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The arrays of an .h5 file of Keras 1 or 2 under the model's own keys; by position in a layer. And the biases of
    layers that have none here."""
    own = {layer.name: layer.weights for layer in model.layers}
    arrays, biases = {}, {}
    with open_hdf5(path, path) as file:
        group = file.get("model_weights", file)
        for name in _texts(group.attrs["layer_names"]):
            layer = name if name in own else _RENAMED.get(name)
            saved = [np.asarray(group[name][key]) for key in _texts(group[name].attrs["weight_names"])]
            check_depth(model, [name] if saved else [], path)
            for variable, array in zip(own.get(layer, ()), saved, strict=False):
                shape = tuple(variable.shape)
                dense = (
                    array.ndim == 2 and len(shape) == 4 and array.shape == (int(np.prod(shape[:3])), shape[3])
                )
                arrays[f"{layer}/{variable.name}"] = array.reshape(shape) if dense else array
            if layer in own and len(own[layer]) == 1 and len(saved) == 2 and saved[1].ndim == 1:
                biases[f"{layer}/bias"] = saved[1]
    return arrays, biases


def _texts(names: Iterable[Any]) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
