"""Reading a trained model from its file."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from kseg.backbones import Backbone
from kseg.errors import ModelError
from kseg.io.archive import check_archive
from kseg.models.pspnet import TwoHeaded
from kseg.parts import import_all


def load(path: str | Path, custom_objects: dict[str, Any] | None = None) -> keras.Model:
    """Load a `.keras` file in Keras's safe mode, without its optimizer.

    Args:
        path: path of the file.
        custom_objects: dict from name to class or function, for your own layers that are not registered with
            Keras in this program.

    Returns:
        The Keras model: a `Segmenter` if kseg wrote it, otherwise any model with one image as input and one
        map as output. Of a file of `with_auxiliary_head` it is the network, whose `second_head` tells training of
        the other head.

    Raises:
        ModelError: no such file, not a Keras file, an archive that reaches out of itself or unpacks to a hundred
            times its size, a class or code that safe mode refuses, or not an image-to-map model.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> kseg.models.DilatedFCN(backbone, num_classes=3, filters=8).save("model.keras")
    >>> kseg.models.load("model.keras").num_classes
    3
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; expected a .keras file such as runs/x/best.keras")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise ModelError(
            f"{path}: not a Keras model file; expected a .keras file that kseg train or Keras wrote"
        )
    check_archive(path)
    for package in ("kseg.layers", "kseg.backbones", "kseg.models"):  # Keras finds the classes that are registered
        import_all(package)
    try:
        model = keras.saving.load_model(path, custom_objects, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds here; the user needs one sentence
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: Keras cannot load this model ({reason}). Where it has layers of your own, import the module that "
            "registers them or give custom_objects={name: class}; else it was written by another program."
        ) from error
    if isinstance(model, TwoHeaded):
        model.segmenter.second_head = model.second_head
        model = model.segmenter
    _check_shapes(model, path)
    return model


@contextmanager
def without_optimizer(model: keras.Model) -> Iterator[None]:
    """Within it `model.save` writes no optimizer, loss and metrics; its own switch does nothing for `.keras`."""
    if not model.compiled:
        yield
        return
    kept, model.optimizer, model.compiled = model.optimizer, None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = kept, True


def _check_shapes(model: keras.Model, path: Path) -> None:
    given, made = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if not given:  # a subclassed model has no graph; it is asked about an image
        given = [keras.KerasTensor((1, 64, 64, 3))]
        try:
            made = keras.tree.flatten(model.compute_output_spec(given[0]))
        except Exception as error:  # your own call raises what it likes
            raise ModelError(
                f"{path}: not a segmentation model: it takes no image (batch, height, width, 3)"
            ) from error
    fits = len(given) == 1 and len(made) == 1 and len(given[0].shape) == 4 and len(made[0].shape) == 4
    if isinstance(model, Backbone):
        raise ModelError(
            f"{path}: a backbone, and no segmentation model: build one on it, such as "
            "kseg.models.PSPNet(keras.saving.load_model(...), classes); kseg train takes it as --model FILE.py:NAME"
        )
    if not fits or given[0].shape[-1] is None:
        had = f"inputs {[tuple(t.shape) for t in given]} and outputs {[tuple(t.shape) for t in made]}"
        raise ModelError(
            f"{path}: not a segmentation model: expected one input (batch, height, width, channels) and one "
            f"output (batch, height, width, classes), it has {had}"
        )
