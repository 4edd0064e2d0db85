"""`initialise_from`: start a model from another model's weights, layer by layer."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes
import numpy as np

from kseg.errors import ModelError
from kseg.io.archive import UNREADABLE, check_archive, open_hdf5
from kseg.models.loading.preset import trained_file


@dataclass(frozen=True)
class Initialised:
    """What `initialise_from` did, as layer names.

    Attributes:
        copied: names of the layers that now have the file's weights.
        kept: names of the layers that kept their own: the file has none of that name, or of other shapes; or
            file or model has several of that name and these shapes, inside different layers, so that they
            cannot be told apart.
        unused: names of layers of the file whose weights found no place.

    Example:

    >>> kseg.training.Initialised(copied=["block1_conv1"], kept=["score_fr"], unused=[]).kept
    ['score_fr']
    """

    copied: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{len(self.copied)} layers from the file"
        if self.kept:
            text += f"; not in the file in that shape, so newly initialised: {', '.join(self.kept)}"
        if self.unused:
            text += f"; not used: {', '.join(self.unused)}"
        return text


def initialise_from(model: keras.Model, path: str | Path) -> Initialised:
    """Copy the weights of layers that have the same name and shapes in a Keras file.

    Staged training of FCN starts 16s from a trained 32s, and 8s from 16s: the new score layers are not in the
    file and keep their zeros, so the stage begins with the scores of the one before. A model with another
    number of classes keeps its own score layers.

    Args:
        model: the model to fill, in place.
        path: a `.keras` or `.weights.h5` file. No class in it is instantiated, so it may come from any
            program.

    Returns:
        An `Initialised`: the names of layers that were copied, kept and unused.

    Raises:
        ModelError: the file is not such a file, refers to other files, unpacks to a hundred times its size,
            or none of its layers fits.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> backbone.save("backbone.keras")
    >>> kseg.training.initialise_from(backbone, "backbone.keras").kept
    ()
    """
    path = trained_file(path)
    stored = _read(path)
    copied, kept, used = [], [], set()
    own = [(layer, variables) for layer in _all_layers(model) if (variables := _saved_variables(layer))]
    alike = Counter(_signature(layer, variables) for layer, variables in own)
    for layer, variables in own:
        shapes = [tuple(variable.shape) for variable in variables]
        fitting = [
            arrays
            for arrays in stored.get(layer.name, ())
            if [array.shape for array in arrays] == shapes and all(a.dtype.kind in "biuf" for a in arrays)
        ]
        if len(fitting) != 1 or alike[_signature(layer, variables)] > 1:
            kept.append(layer.name)
            continue
        for variable, value in zip(variables, fitting[0], strict=True):
            variable.assign(value)
        copied.append(layer.name)
        used.add(layer.name)
    if not copied:
        raise ModelError(
            f"{path}: no layer of this file has the name and shapes of one of {model.name}; it holds "
            f"{', '.join(sorted(stored)[:5]) or 'no weights'}{', ...' if len(stored) > 5 else ''}."
        )
    return Initialised(tuple(copied), tuple(kept), tuple(name for name in stored if name not in used))


def initialise_second_head(trainer: Any, path: str | Path, say: Callable[[str], Any]) -> None:
    """Give the layers that only the training has, those of a second head, the file's weights where it has such."""
    own = {layer.name for layer in trainer.own_layers if layer.weights}
    if own:
        taken = own & set(initialise_from(trainer.training_model, path).copied)
        new = "the file has no second head; it starts from random weights"
        said = "the second head goes on from the file" if taken else new
        rest = f", but for {', '.join(sorted(own - taken))}" if taken and own - taken else ""
        say(f"{path}: {said}{rest}")


def _signature(layer: keras.layers.Layer, variables: list[Any]) -> tuple[Any, ...]:
    return layer.name, tuple(tuple(variable.shape) for variable in variables)


def _all_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers of a model, those inside of models and of other layers included, once each."""
    found = {}
    for layer in model._flatten_layers(include_self=False, recursive=False):
        found[id(layer)] = layer
        found.update((id(inside), inside) for inside in _all_layers(layer))
    return list(found.values())


def _saved_variables(layer: keras.layers.Layer) -> list[Any]:
    """A layer's own variables in the order of its file; those of layers inside of it are theirs."""
    store = {}
    layer.save_own_variables(store)
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return own[: len(store)]


def _read(path: Path) -> dict[str, list[list[np.ndarray]]]:
    """Layer name -> the weights of every layer of that name, of a Keras file."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file.")
    if path.suffix == ".h5":
        content = path
    else:
        check_archive(path)
        try:
            with zipfile.ZipFile(path) as archive:
                content = io.BytesIO(archive.read("model.weights.h5"))
        except UNREADABLE as error:
            raise ModelError(
                f"{path}: not a Keras model file ({str(error)[:200]}); give a .keras or .weights.h5 file of a trained "
                "model."
            ) from None
    stored: dict[str, list[list[np.ndarray]]] = {}

    def visit(name: str, group: h5py.Group | h5py.Dataset) -> None:
        *outside, last = name.split("/")
        if last != "vars" or "optimizer" in outside or not isinstance(group, h5py.Group) or not len(group):
            return
        arrays = []
        for key in sorted(group, key=int):
            array = np.asarray(group[key])
            if group[key].attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2:
                array = array.view(ml_dtypes.bfloat16).astype(np.float32)  # HDF5 does not know it
            arrays.append(array)
        layer = str(group.attrs.get("name", outside[-1] if outside else ""))
        stored.setdefault(layer, []).append(arrays)

    with open_hdf5(content, path) as file:
        file.visititems(visit)
    return stored
