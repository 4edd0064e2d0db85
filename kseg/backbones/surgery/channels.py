"""`ChannelBackbone`: an encoder made for RGB that takes images of other channels and of another range of values."""

from typing import Any

import keras
import numpy as np
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.backbones.surgery.graph import Copies, rebuild
from kseg.errors import ModelError
from kseg.layers import Normalize

FIRST_CONVOLUTIONS = ("repeat", "mean")
_PREPROCESSING = (Normalize, layers.Rescaling, layers.Normalization)


@keras.saving.register_keras_serializable(package="kseg")
class ChannelBackbone(Backbone):
    """An encoder for images of any number of channels, with the weights of one for RGB.

    The layers that normalise RGB give way to one `Normalize` for the new channels. All other weights stay; those of
    the first convolution are adapted, so that an image whose channels are all alike gives what it gave before.

    Args:
        backbone: a `Backbone` for RGB images of 0-255; not modified.
        channels: channels of the images.
        value_range: (lowest, highest) value of the images as they are stored: (0, 255), (0, 65535), (0, 1), ...
        mean, std: of each channel, in the images' own units, or one number for all; None takes what `backbone`
            subtracts and divides by, the average of red, green and blue, at the same place of `value_range`.
        first_convolution: "repeat" takes the filters of red, green, blue, red, ... times 3 / channels (of one channel
            the sum of the three); "mean" gives every channel the average of the three, times 3 / channels.
        name, trainable: as in Keras.

    Attributes:
        channels, value_range: the arguments of the same names.

    Raises:
        SettingsError: no such number of channels, an empty range, other numbers of means than channels.
        ModelError: an encoder without a first convolution that reads the three channels.

    Input shape:
        `(batch, height, width, channels)`, values of `value_range`.

    Output shape:
        The stages of `backbone`.

    Example:

    >>> rgb = kseg.backbones.DeepLabMobileNetV2(0.25)
    >>> backbone = kseg.backbones.ChannelBackbone(rgb, 6, value_range=(0, 65535))
    >>> backbone.input_shape
    (None, None, None, 6)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        channels: int,
        *,
        value_range: tuple[float, float] = (0, 255),
        mean: Any = None,
        std: Any = None,
        first_convolution: str = "repeat",
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        channels = checks.whole(channels, "channels")
        value_range = checks.value_range(value_range)
        checks.one_of(first_convolution, "first_convolution", FIRST_CONVOLUTIONS)
        shift, scale = _preprocessing(backbone)
        low, high = value_range
        unit = (high - low) / 255
        mean = _each(low + shift * unit if mean is None else mean, channels, "mean")
        std = _each(scale * unit if std is None else std, channels, "std", above=0)
        image = keras.Input((None, None, channels), name="image")
        surgery = _Surgery(backbone, Normalize(mean, std, name=_name_of_normalize(backbone)))
        stages = rebuild(backbone, image, surgery)
        if surgery.first is None:
            raise ModelError(
                f"{backbone.name} has no first convolution over three channels that could be adapted."
            )
        surgery.fill(first_convolution)
        super().__init__(
            image, {stage: stages[stage] for stage in backbone.stages}, name=name or backbone.name
        )
        self.channels, self.value_range = channels, value_range
        self.first_convolution, self._mean, self._std = first_convolution, mean, std
        self.output_stride, self.padding = backbone.output_stride, backbone.padding
        self.image_scale = backbone.image_scale
        self._rgb = _Held(backbone)
        if not checks.flag(trainable, "trainable"):
            self.trainable = False

    @property
    def aligned(self) -> bool:
        return self._rgb.backbone.aligned

    @property
    def deepest(self) -> keras.KerasTensor:
        names = list(self._rgb.backbone.stages)
        deepest = self._rgb.backbone.deepest
        return self.stages[next(name for name in names if self._rgb.backbone.stages[name] is deepest)]

    def get_config(self) -> dict[str, Any]:
        own = {
            "backbone": keras.saving.serialize_keras_object(self._rgb.backbone),
            "channels": self.channels,
            "value_range": self.value_range,
            "mean": self._mean,
            "std": self._std,
            "first_convolution": self.first_convolution,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ChannelBackbone":
        backbone = keras.saving.deserialize_keras_object(config["backbone"], custom_objects)
        return super().from_config({**config, "backbone": backbone}, custom_objects)


class _Held:
    """The RGB encoder, which Keras would track as a layer."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone


class _Surgery(Copies):
    """Copies a graph onto other channels; `first` becomes the first convolution."""

    def __init__(self, backbone: Backbone, normalize: Normalize) -> None:
        super().__init__()
        self.normalize, self.first = normalize, None
        self._before = {id(operation) for operation in _operations_before(backbone)}
        self._normalized = not self._before

    def __call__(self, operation, *args, **kwargs):
        if id(operation) in self._before:  # one layer stands for all that normalise
            if self._normalized:
                return args[0]
            self._normalized = True
            return self.normalize(args[0])
        if not self._normalized and isinstance(operation, layers.Conv2D):
            raise ModelError("images reach a convolution before they are normalised")
        x = args[0]
        if not self._before and self.first is None and self.normalize is not None:
            x, self.normalize = self.normalize(x), None
        copy = super().__call__(operation)
        if self.first is None and isinstance(operation, layers.Conv2D):
            self.first = operation
        return copy(x, *args[1:], **kwargs)

    def fill(self, how: str) -> None:
        for layer, copy, _, _ in self._made.values():
            weights = layer.get_weights()
            if layer is self.first:
                weights[0] = adapted(weights[0], copy.weights[0].shape[2], how)
            copy.set_weights(weights)


def adapted(kernel: np.ndarray, channels: int, how: str = "repeat") -> np.ndarray:
    """A kernel over three channels as one over others; see `ChannelBackbone`.

    Args:
        kernel: `(rows, columns, 3, filters)`.
        channels: of the images.
        how: "repeat" or "mean".

    Returns:
        `(rows, columns, channels, filters)`, whose sum over the channels is that of `kernel` (with "repeat" where
        `channels` is 1 or a multiple of 3).
    """
    if how == "mean" or channels == 1:
        return np.repeat(kernel.sum(axis=2, keepdims=True) / channels, channels, axis=2)
    return kernel[:, :, np.arange(channels) % kernel.shape[2]] * (kernel.shape[2] / channels)


def _operations_before(backbone: Backbone) -> list[Any]:
    """What normalises the image in front of the first convolution, in order."""
    found, tensors = [], {id(backbone.input)}
    for operation in backbone.operations:
        node = operation._inbound_nodes[0]
        if not any(id(tensor) in tensors for tensor in node.input_tensors):
            continue
        if isinstance(operation, layers.Conv2D):
            break
        if isinstance(operation, _PREPROCESSING):
            found.append(operation)
        tensors.update(id(tensor) for tensor in node.output_tensors)
    return found


def _preprocessing(backbone: Backbone) -> tuple[float, float]:
    """Mean and standard deviation that an encoder converts 0-255 to, averaged over red, green and blue."""
    black, white = np.zeros((1, 1, 1, 3), "float32"), np.full((1, 1, 1, 3), 255, "float32")
    for operation in _operations_before(backbone):
        black, white = np.asarray(operation(black)), np.asarray(operation(white))
    black, white = float(np.mean(black, dtype="float64")), float(np.mean(white, dtype="float64"))
    scale = 255 / (white - black)
    return -black * scale, scale


def _name_of_normalize(backbone: Backbone) -> str:
    first = next((one for one in _operations_before(backbone) if isinstance(one, Normalize)), None)
    return backbone.free_name("normalize") if first is None else first.name


def _each(values: Any, channels: int, name: str, **bounds: float) -> tuple[float, ...]:
    """One number a channel, of one for all or of as many as there are channels."""
    if np.ndim(values) == 0:
        return (checks.number(values, name, **bounds),) * channels
    return checks.numbers(values, name, count=channels, **bounds)
