"""`inspect_model`: what goes into a Keras model, and what its output means. Everything that runs a model asks here."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kseg.errors import KsegWarning, ModelError, SettingsError
from kseg.inference.last_activation import last_activation
from kseg.io.bands import BYTES
from kseg.ops.labels import two_classes

OUTPUTS = ("logits", "probabilities", "labels")
PROBE = (64, 64)  # size of the imagined image that a model without a graph is asked about


@dataclass(frozen=True)
class ModelInfo:
    """What goes into a segmentation model and what comes out.

    `inspect_model` reads it from a model.

    Attributes:
        name: the model's name.
        batch: its fixed batch size, or None.
        sides: (height, width) of the input, None where a side is free.
        channels: channels of the image.
        output: what the values are: "logits"; "probabilities" (softmax, or a sigmoid per channel); "labels" (class
            ids).
        output_channels: channels of the output; 0 for labels `(batch, height, width)`.
        num_classes: classes; 2 (background and object) for an output of one channel.
        activation: "softmax" or "sigmoid" where the model ends in one, else None.
        value_range: (lowest, highest) value of the images that the model takes, as it says itself; else (0, 255).
        multilabel: whether each channel is a class of its own, a sigmoid; the model says so itself.

    Example:

    >>> image = keras.Input((32, 48, 3))
    >>> info = kseg.inference.inspect_model(keras.Model(image, keras.layers.Conv2D(5, 1)(image)))
    >>> info.size, info.output, info.num_classes
    ((32, 48), 'logits', 5)
    """

    name: str
    batch: int | None
    sides: tuple[int | None, int | None]
    channels: int
    output: str
    output_channels: int
    num_classes: int
    activation: str | None = None
    value_range: tuple[float, float] = BYTES
    multilabel: bool = False

    @property
    def even(self) -> float:
        """The score that stands for a probability of 0.5, of a sigmoid."""
        return 0.0 if self.output == "logits" else 0.5

    @property
    def is_rgb(self) -> bool:
        return self.channels == 3 and self.value_range == BYTES

    @property
    def size(self) -> tuple[int, int] | None:
        """The fixed (height, width) of the input, or None where a side is free."""
        return None if None in self.sides else self.sides

    def scores(self, values: Any) -> Any:
        """Bring the model's raw output to one channel per class.

        One channel becomes background and object, labels become ones and zeros.

        Args:
            values: what the model gave.

        Returns:
            float32 `(batch, height, width, num_classes)`: logits, or probabilities, as `output` says.
        """
        if self.output == "labels":
            values = values if len(values.shape) == 3 else ops.squeeze(values, -1)
            return ops.one_hot(ops.cast(values, "int32"), self.num_classes, dtype="float32")
        values = ops.cast(values, "float32")
        return values if self.multilabel else two_classes(values, self.output == "logits")

    def probabilities(self, scores: Any) -> Any:
        """Turn what `scores` gave into probabilities.

        Args:
            scores: `(batch, height, width, num_classes)`.

        Returns:
            Probabilities of that shape.
        """
        if self.output != "logits":
            return scores
        return ops.sigmoid(scores) if self.multilabel else ops.softmax(scores, axis=-1)


def inspect_model(model: keras.Model, output: str | None = None) -> ModelInfo:
    """What a Keras model takes and gives, read from its graph, once, before it runs.

    What the values of the output are follows from the last activation (a layer's `activation`, a `Softmax` layer, an
    operation such as `keras.ops.softmax`), from `argmax`, or from what the caller says.

    Args:
        model: a Keras model, image `(batch, height, width, channels)` in, one map `(batch, height', width',
            channels')`, or labels `(batch, height', width')`, out.
        output: "logits", "probabilities" or "labels", where the caller knows better than the graph.

    Returns:
        `ModelInfo`.

    Raises:
        ModelError: not one image in and one map out.
        SettingsError: an unknown `output`, or one that does not suit the model.

    Example:

    >>> import keras
    >>> from kseg.inference import inspect_model
    >>> image = keras.Input((None, None, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(4, 1, activation="softmax")(image))
    >>> info = inspect_model(model)
    >>> info.output, info.num_classes
    ('probabilities', 4)
    """
    if output is not None and output not in OUTPUTS:
        raise SettingsError(f"`output` is one of {', '.join(OUTPUTS)}, or None; got {output!r}")
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"A Keras model is expected, got {type(model).__name__}; kseg.models.load reads one from a file"
        )
    inputs = getattr(model, "inputs", None)
    if inputs and len(inputs) > 1:
        raise ModelError(f"The model {model.name!r} has {len(inputs)} inputs; expected one, the image")
    image = tuple(inputs[0].shape) if inputs else (None, None, None, 3)  # a subclassed model does not say
    result = _one_output(model)
    given = tuple(result.shape)
    if (
        len(image) != 4
        or image[-1] is None
        or len(given) not in (3, 4)
        or (len(given) == 4 and not given[-1])
    ):
        raise ModelError(
            f"The model {model.name!r} takes {image} and gives {given}; expected images (batch, height, width, "
            "channels) and a map of classes (batch, height, width, classes)"
        )
    channels = given[-1] if len(given) == 4 else 0
    activation, counted = last_activation(model)
    output = _meaning(model, activation, channels, result) if output is None else output
    if output == "labels" and channels > 1:
        raise SettingsError(
            f"The model {model.name!r} gives {channels} channels; labels are one number per pixel"
        )
    if output != "labels" and channels == 0:
        raise ModelError(
            f"The model {model.name!r} gives {given}; expected one channel per class, "
            "(batch, height, width, classes)"
        )
    multilabel = bool(getattr(model, "multilabel", False))
    names = getattr(model, "classes", None)
    ids = len(names) if names else counted if activation == "labels" else None
    return ModelInfo(
        name=model.name,
        batch=image[0],
        sides=tuple(image[1:3]),
        channels=image[3],
        output=output,
        output_channels=channels,
        num_classes=ids or 256 if output == "labels" else max(channels, 1 if multilabel else 2),
        value_range=tuple(map(float, getattr(model, "value_range", BYTES))),
        multilabel=multilabel,
        activation=activation if output == "probabilities" and activation in ("softmax", "sigmoid") else None,
    )


def check_rgb(info: ModelInfo) -> ModelInfo:
    """The same, or a ModelError where the model does not take RGB images, or as `check_sides`."""
    if not info.is_rgb:
        low, high = info.value_range
        raise ModelError(
            f"The model {info.name!r} takes images of {info.channels} channels of {low:g} to {high:g}; expected 3, RGB"
        )
    return check_sides(info)


def check_sides(info: ModelInfo) -> ModelInfo:
    """The same, or a ModelError where the model takes images of one side fixed and one free."""
    if (info.sides[0] is None) != (info.sides[1] is None):
        raise ModelError(
            f"The model {info.name!r} takes images {info.sides}; expected both sides free or both fixed"
        )
    return info


def _meaning(model: keras.Model, activation: str | None, channels: int, result: Any) -> str:
    """What the output is by the model's last activation; a KsegWarning where that cannot be read."""
    whole = keras.backend.standardize_dtype(result.dtype).startswith(("int", "uint", "bool"))
    if activation == "labels" or (channels < 2 and whole):
        return "labels"
    if activation == "softmax" and channels == 1:
        raise ModelError(
            f"The model {model.name!r} ends in a softmax over one channel, which is 1 everywhere; use a sigmoid, or "
            "one channel per class"
        )
    if activation in ("softmax", "sigmoid"):
        return "probabilities"
    if activation == "unknown":
        warnings.warn(
            f"The end of the model {model.name!r} cannot be read; its output is taken for logits. If it gives "
            'probabilities, say so: output="probabilities" (--output-kind probabilities)',
            KsegWarning,
            stacklevel=4,
        )
    return "logits"


def _one_output(model: keras.Model) -> Any:
    outputs = getattr(model, "outputs", None)
    if not outputs:
        try:
            spec = model.compute_output_spec(keras.KerasTensor((1, *PROBE, 3), "float32"))
        except Exception as error:  # the user's own code may raise anything
            raise ModelError(f"The model {model.name!r} cannot take an image: {error}") from error
        outputs = keras.tree.flatten(spec)
    if len(outputs) > 1:
        raise ModelError(
            f"The model {model.name!r} has {len(outputs)} outputs; expected one, the class logits"
        )
    return outputs[0]
