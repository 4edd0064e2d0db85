"""`with_channels`: the same network for images of other channels."""

from __future__ import annotations

from typing import Any

from kseg.backbones import ChannelBackbone
from kseg.errors import ModelError, SettingsError
from kseg.models.multi_scale import MultiScale
from kseg.models.structure.segmenter import Segmenter


def with_channels(
    model: Segmenter,
    channels: int,
    *,
    value_range: tuple[float, float] = (0, 255),
    mean: Any = None,
    std: Any = None,
    first_convolution: str = "repeat",
) -> Segmenter:
    """A network like a given one for RGB that takes images of other channels, with its weights.

    Args:
        model: any network of kseg that takes RGB images of 0-255; it is not changed.
        channels, value_range, mean, std, first_convolution: see `kseg.backbones.ChannelBackbone`.

    Returns:
        A network of the same class and arguments, with the same classes; `model` itself where nothing is asked of it.

    Raises:
        ModelError: not a network of kseg, one that takes no RGB, or an encoder that cannot be adapted.
        SettingsError: see `kseg.backbones.ChannelBackbone`.

    Example:

    >>> people = kseg.models.from_preset("people")
    >>> kseg.models.with_channels(people, 4, value_range=(0, 65535)).input_shape
    (None, None, None, 4)
    """
    adapted = isinstance(getattr(model, "backbone", None), ChannelBackbone)
    if not adapted and (channels, tuple(value_range), mean, std) == (3, (0, 255), None, None):
        return model
    if not isinstance(model, Segmenter):
        raise ModelError(
            f"{model.name} is a {type(model).__name__}, not a network of kseg: kseg cannot build it for other channels"
        )
    settings = {"value_range": value_range, "mean": mean, "std": std, "first_convolution": first_convolution}
    if isinstance(model, MultiScale):
        base = with_channels(model.base, channels, **settings)
        return MultiScale(base, model.scales, name=model.name)
    if model.input_shape[-1] != 3 or adapted:
        raise SettingsError(
            f"{model.name} takes images of {model.input_shape[-1]} channels; give the network for RGB it was made of"
        )
    backbone = ChannelBackbone(model.backbone, channels, **settings)
    other = type(model).from_config({**model.get_config(), "backbone": backbone})
    mine = {layer.name for layer in model.backbone.layers}
    for layer in model.layers:
        if layer.name not in mine and layer.weights:
            other.get_layer(layer.name).set_weights(layer.get_weights())
    return other
