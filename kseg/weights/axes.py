"""How arrays of other programs become Keras's variables: axes, order of channels, statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from kseg.weights.transfer import Move

# Convolution (out, in, rows, columns) -> (rows, columns, in, out). Of a transposed convolution, which PyTorch and
# Caffe keep as (in, out, rows, columns), the same turn gives Keras's (rows, columns, out, in).
CONVOLUTION = (2, 3, 1, 0)
DEPTHWISE = (2, 3, 0, 1)  # (channels, 1, rows, columns) -> (rows, columns, channels, 1)
NORMALIZATION = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def turned(target: str, key: str, axes: tuple[int, ...], order: np.ndarray | None = None) -> Move:
    """A kernel whose axes change places.

    Args:
        target, key: the variable and its array.
        axes: as `numpy.transpose` takes them.
        order: of the input channels: the array's channel `order[i]` is the variable's channel i.
    """

    def make(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        kernel = arrays[0].transpose(axes)
        return kernel if order is None or kernel.shape != shape else kernel[:, :, order]

    def back(value: np.ndarray) -> np.ndarray:
        plain = value if order is None else value[:, :, np.argsort(order)]
        return plain.transpose(np.argsort(axes))

    return Move(target, (key,), make, back)


def kept(target: str, key: str) -> Move:
    """An array as it is, or with axes of length one around it, as Caffe's files have them."""

    def make(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        (array,) = arrays
        same = [side for side in array.shape if side > 1] == [side for side in shape if side > 1]
        return array.reshape(shape) if same else array

    return Move(target, (key,), make, lambda value: value)


def constant(target: str, value: float) -> Move:
    """A variable that no array of the file gives."""
    return Move(target, (), lambda _, shape: np.full(shape, value, np.float32))


def torch_moves(
    model: keras.Model,
    modules: dict[str, str],
    orders: dict[str, np.ndarray] | None = None,
) -> Iterator[Move]:
    """The moves of layers that PyTorch names by modules with `weight`, `bias` and running statistics.

    Args:
        model: the network.
        modules: kseg's layer -> PyTorch's module, such as "conv1_conv" -> "backbone.conv1".
        orders: of the input channels, by layer, as `turned` takes it.
    """
    from kseg.weights.transfer import variables

    for target, variable in variables(model).items():
        layer, _, name = target.rpartition("/")
        module = modules.get(layer)
        if module is None:
            continue
        if name in NORMALIZATION:
            yield kept(target, f"{module}.{NORMALIZATION[name]}")
        elif name == "bias":
            yield kept(target, f"{module}.bias")
        else:
            kind = model.get_layer(layer.partition("/")[0])
            depthwise = variable.shape[-1] == 1 and isinstance(kind, keras.layers.DepthwiseConv2D)
            order = (orders or {}).get(layer)
            yield turned(target, f"{module}.weight", DEPTHWISE if depthwise else CONVOLUTION, order)
