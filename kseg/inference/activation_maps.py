"""What a network's decoder sees in an image, map by map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import keras
import numpy as np

from kseg.errors import ModelError
from kseg.inference.checks import checked_image
from kseg.inference.model_info import inspect_model
from kseg.visualize.activations import Activation, drawn_activations


def decoder_layers(model: keras.Model) -> list[str]:
    """The layers that show how a map of the image comes about: of the head (all layers, where the model has no
    `backbone`), the first and the last one at each size, from the input to the logits.
    """
    size = inspect_model(model).size or (256, 256)
    encoder = {id(layer) for layer in getattr(getattr(model, "backbone", None), "layers", ())}
    maps = [
        layer
        for layer in model.layers
        if id(layer) not in encoder
        and not isinstance(layer, (keras.layers.InputLayer, keras.Model))
        and isinstance(getattr(layer, "output", None), keras.KerasTensor)
        and len(layer.output.shape) == 4
    ]
    if not maps:
        raise ModelError(
            f"The model {model.name!r} has no layers with maps to show: is it a functional model?"
        )
    shapes = keras.Model(model.inputs[0], [layer.output for layer in maps]).compute_output_shape(
        (1, *size, 3)
    )
    sizes = [shape[1:3] for shape in shapes]
    return [
        layer.name
        for i, layer in enumerate(maps)
        if i == 0 or i + 1 == len(maps) or sizes[i] != sizes[i - 1] or sizes[i] != sizes[i + 1]
    ]


def activations(
    model: keras.Model, image: np.ndarray, layers: Sequence[str] | None = None
) -> list[Activation]:
    """Find the most telling channel of each layer for one image: the one that goes along best with the prediction.

    That is the channel with the highest correlation, over the layer's own grid, with the probability of the
    class that the model finds most often beside class 0.

    Args:
        model: functional Keras model, images to a map of classes.
        image: uint8 `(height, width, 3)` RGB; resized to the size that the model takes or works at, if it has
            one.
        layers: names of layers; None: the head's first and last layer at each size.

    Returns:
        An `Activation` per layer: `name`, `channel` (its index), `channels` and `values` (float32, at the
        layer's own size).

    Raises:
        ModelError: a name that is not a layer of the model, or not a functional model.
        DataError: an array that is not an RGB image.

    Example:

    >>> model = kseg.models.from_preset("people")
    >>> shown = kseg.inference.activations(model, np.zeros((64, 64, 3), "uint8"))
    >>> shown[0].values.ndim
    2
    """
    image = checked_image(image)
    info = inspect_model(model)
    size = info.size or getattr(model, "working_size", None)
    names = list(layers) if layers is not None else decoder_layers(model)
    if unknown := sorted(set(names) - {layer.name for layer in model.layers}):
        raise ModelError(f"The model {model.name!r} has no layer {', '.join(unknown)}")
    if size is not None:
        image = cv2.resize(image, tuple(size)[::-1], interpolation=cv2.INTER_LINEAR)
    parts = keras.Model(model.inputs[0], [*(model.get_layer(name).output for name in names), model.output])
    *maps, output = parts(image[None].astype(np.float32))
    maps = [np.asarray(one, np.float32)[0] for one in maps]
    # The probability of the most frequent class but the background: float32 (H, W).
    probabilities = np.asarray(info.probabilities(info.scores(output)))[0]
    counts = np.bincount(probabilities.argmax(-1).ravel(), minlength=probabilities.shape[-1])
    counts[0] = 0
    if not counts.any():  # only background: then the class that comes nearest
        counts[1:] = np.argsort(np.argsort(probabilities[..., 1:].mean((0, 1)))) + 1
    found = probabilities[..., counts.argmax()]
    telling = []
    for name, values in zip(names, maps, strict=True):
        rows, columns, channels = values.shape
        target = cv2.resize(found, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1)
        target = target - target.mean()
        flat = values.reshape(-1, channels) - values.reshape(-1, channels).mean(0)
        spread = np.sqrt((flat**2).sum(0)) * np.sqrt((target**2).sum())
        best = int((flat.T @ target / np.maximum(spread, 1e-12)).argmax())
        telling.append(Activation(name, best, channels, values[..., best]))
    return telling


def activation_sheet(
    model: keras.Model, image: np.ndarray, layers: Sequence[str] | None = None, columns: int = 4
) -> np.ndarray:
    """Draw an image and its `activations`, from black over red to white.

    Args:
        model: functional Keras model, images to a map of classes.
        image: uint8 `(height, width, 3)` RGB.
        layers: names of layers; None: see `activations`.
        columns: images side by side.

    Returns:
        uint8 `(height, width, 3)` RGB.

    Raises:
        ModelError: a name that is not a layer of the model, or not a functional model.
        DataError: an array that is not an RGB image.

    Reference:
        Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, figure 4.

    Example:
    ```python
    drawn = kseg.inference.activation_sheet(kseg.models.from_preset("people"), image)
    PIL.Image.fromarray(drawn).save("activations.png")
    ```
    """
    return drawn_activations(image, activations(model, image, layers), columns)
