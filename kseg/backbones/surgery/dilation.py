"""`dilate`: strides become holes (DeepLab's idea), for any Keras classifier."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import keras
from keras import layers, tree
from keras.src.applications.convnext import LayerScale, StochasticDepth

from kseg.backbones.construction import graph_settings
from kseg.backbones.surgery.graph import Copies, free_input, functional, rebuild
from kseg.errors import ModelError
from kseg.layers import AtrousConv2D, Conv2D, DepthwiseConv2D, Normalize
from kseg.layers.pooling.dilated_pooling import DilatedPooling2D

_FULL = (layers.Conv2D, Conv2D, AtrousConv2D)
_CONVOLUTIONS = (*_FULL, layers.DepthwiseConv2D, DepthwiseConv2D, layers.SeparableConv2D)
_POOLS = {layers.MaxPooling2D: "max", layers.AveragePooling2D: "average"}
_MARGINS = {layers.ZeroPadding2D: 1, layers.Cropping2D: -1}
_GLOBAL = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
_POINTWISE = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax, layers.Identity),
    *(layers.BatchNormalization, layers.Rescaling, layers.Normalization, Normalize, layers.Dense),
    *(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
    *(layers.Concatenate, layers.LayerNormalization, LayerScale, StochasticDepth),
)
# keras.ops that a functional graph may hold, by class name
_POINTWISE_OPS = {
    *(
        "Add",
        "Subtract",
        "Multiply",
        "Divide",
        "TrueDivide",
        "Maximum",
        "Minimum",
        "Concatenate",
        "Clip",
        "Cast",
    ),
    *("Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "HardSilu", "Tanh", "Gelu", "Elu", "Softmax", "Exp"),
}


@dataclass(frozen=True)
class Grid:
    """Where a feature map's values lie.

    stride: the original network's; rate: how much of it is left to holes; excess: by how many places, counted
    in the original map, it is larger than image size / stride (rows, columns).
    """

    stride: int = 1
    rate: int = 1
    excess: tuple[int, int] = (0, 0)


class Step(NamedTuple):
    """A layer's output tensor in the dilated graph.

    grid: None after a global pooling; inputs: the ids of the tensors that the layer took.
    """

    operation: keras.Operation
    tensor: keras.KerasTensor
    grid: Grid | None
    inputs: frozenset[int]


class Dilation:
    """One pass over a functional graph: call it with every layer; it answers with the dilated layer's output.

    `steps` then lists a `Step` for every output of a layer, in graph order.
    """

    def __init__(self, output_stride: int) -> None:
        self.output_stride = output_stride
        self.copy = Copies()
        self.steps = []
        self._grids = {}

    def start(self, tensor):
        self._grids[id(tensor)] = Grid()

    def __call__(self, operation, *args, **kwargs):
        kind = type(operation)
        tensors = [one for one in tree.flatten((args, kwargs)) if isinstance(one, keras.KerasTensor)]
        grids = [grid for tensor in tensors if (grid := self._grids[id(tensor)]) is not None]
        if len({(grid.stride, grid.rate) for grid in grids}) > 1 or (
            len(set(grids)) > 1 and grids[0].rate > 1
        ):
            raise ModelError(
                f"layer {operation.name!r} joins maps of different strides; it cannot be dilated."
            )
        # NASNet pads one branch and crops the other: the sizes agree on the images that it takes.
        grid = min(grids, key=lambda grid: sum(map(abs, grid.excess)), default=None)
        if grid is None or kind in _GLOBAL:
            output, grid = self.copy(operation)(*args, **kwargs), None
        elif kind in _CONVOLUTIONS or kind in _POOLS:
            output, grid = self._window(operation, grid, *args, **kwargs)
        elif kind in _MARGINS:
            output, grid = self._margin(operation, grid, *args, **kwargs)
        else:
            known = isinstance(operation, _POINTWISE) or kind.__name__ in _POINTWISE_OPS
            if not known and (grid.rate > 1 or not _keeps_size(operation, args, kwargs)):
                flattens = kind.__name__ in ("Flatten", "Reshape")
                hint = "use convolutionalize first" if flattens else "choose a larger output stride"
                raise ModelError(f"layer {operation.name!r} ({kind.__name__}) cannot be dilated; {hint}.")
            output = self.copy(operation)(*args, **kwargs)
        inputs = frozenset(id(tensor) for tensor in tensors)
        for tensor in tree.flatten(output):
            self._grids[id(tensor)] = grid
            self.steps.append(Step(operation, tensor, grid, inputs))
        return output

    def _window(self, layer, grid, x):
        """Convolution or pooling: keeps its stride while the output stride allows, else gets holes."""
        window = _Window(layer)
        stride = grid.stride * window.stride
        hole = window.stride > 1 and (grid.rate > 1 or stride > self.output_stride)
        excess, margins = window.geometry(grid)
        after = Grid(stride, grid.rate * (window.stride if hole else 1), excess)
        if grid.rate == 1 and not hole:
            return self.copy(layer)(x), after
        if type(layer) in _POOLS:
            pool = {"kind": DilatedPooling2D, "without": ("pool_size", "padding", "strides", "data_format")}
            changes = {"pool_size": window.taps, "rate": grid.rate, "padding": margins}
            return self.copy(layer, **pool, **changes, mode=_POOLS[type(layer)])(x), after
        spans = [grid.rate * span for span in window.spans]
        same = all(pair == (span // 2, span - span // 2) for pair, span in zip(margins, spans, strict=True))
        if not same and any(map(any, margins)):
            x = layers.ZeroPadding2D(margins, name=f"{layer.name}_dilation_pad")(x)
        rate = tuple(grid.rate * own for own in window.rates)
        padding = "same" if same else "valid"
        if type(layer) in _FULL:
            without = ("strides", "dilation_rate", "data_format")
            copy = self.copy(layer, kind=AtrousConv2D, without=without, rate=rate, padding=padding)
        else:
            copy = self.copy(layer, strides=(1, 1), dilation_rate=rate, padding=padding)
        return copy(x), after

    def _margin(self, layer, grid, x):
        """Padding or cropping, by as many holes as the map has."""
        key = "padding" if type(layer) is layers.ZeroPadding2D else "cropping"
        pairs = getattr(layer, key)
        change = [_MARGINS[type(layer)] * sum(pair) for pair in pairs]
        excess = tuple(old + new for old, new in zip(grid.excess, change, strict=True))
        scaled = tuple(tuple(grid.rate * side for side in pair) for pair in pairs)
        copy = self.copy(layer) if grid.rate == 1 else self.copy(layer, **{key: scaled})
        return copy(x), replace(grid, excess=excess)


class _Window:
    """Window, stride and padding of a convolution or pooling layer."""

    def __init__(self, layer: keras.layers.Layer) -> None:
        self.taps = tuple(getattr(layer, "kernel_size", None) or layer.pool_size)
        self.rates = tuple(getattr(layer, "dilation_rate", (1, 1)))
        self.spans = tuple((taps - 1) * rate for taps, rate in zip(self.taps, self.rates, strict=True))
        strides = tuple(layer.strides)
        if strides[0] != strides[1] or layer.data_format != "channels_last":
            raise ModelError(
                f"layer {layer.name!r} has strides {strides} and {layer.data_format}; "
                "dilation needs equal strides and channels_last."
            )
        self.stride, self.same = strides[0], layer.padding == "same"

    def geometry(self, grid: Grid) -> tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
        """(excess of the output, ((top, bottom), (left, right)) padding of the window with holes).

        With them, the dense map sampled at the stride is the strided one, and its size is a multiple of it.
        """
        excess, margins = [], []
        for span, extra in zip(self.spans, grid.excess, strict=True):
            if self.same:
                left_over = -extra % self.stride
                before = max(span + 1 - self.stride + left_over, 0) // 2
                result = (extra + left_over) // self.stride
            else:
                before, result = 0, (extra - span - 1) // self.stride + 1
            total = self.stride * result - extra + span
            excess.append(result)
            margins.append((grid.rate * before, grid.rate * (total - before)))
        return tuple(excess), tuple(margins)


def _keeps_size(operation, args, kwargs):
    """Whether an unknown layer leaves height and width alone."""

    def sized(tensor):
        free = isinstance(tensor, keras.KerasTensor) and len(tensor.shape) == 4
        return keras.KerasTensor((1, 32, 48, tensor.shape[3]), tensor.dtype) if free else tensor

    specs = tree.map_structure(sized, (args, kwargs))
    output = operation.compute_output_spec(*specs[0], **specs[1])
    return all(len(t.shape) == 4 and tuple(t.shape[1:3]) == (32, 48) for t in tree.flatten(output))


def check_output_stride(output_stride: int) -> None:
    if output_stride not in (1, 2, 4, 8, 16, 32):
        raise ModelError(f"an output stride is 1, 2, 4, 8, 16 or 32, not {output_stride!r}.")


@graph_settings()
def dilate(model: keras.Model, output_stride: int) -> keras.Model:
    """Copy a classifier so that its feature maps stay at `output_stride`: later strides become dilation.

    The layers keep their names and weights; the windows of those after a removed stride are spread (atrous
    convolution; `DilatedPooling2D` for pooling). Sampled at the old stride from pixel (0, 0), the dilated
    features are the original ones, for images whose sides are multiples of the original stride. To that end a
    convolution of stride 2 and "same" padding, which on even sizes pads at the bottom and right only, is
    still padded there once its stride is gone.

    Args:
        model: functional Keras model (or Sequential) with one image input, without Flatten (use
            `convolutionalize` first for a classifier with dense layers on a flattened map); not modified.
        output_stride: 1, 2, 4, 8, 16 or 32; a model of a smaller stride is copied as it is.

    Returns:
        A functional Keras model for images of any size.

    Raises:
        ModelError: not a functional model, or a layer that cannot be dilated, with its name.

    Reference:
        Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR
        2015 (hole algorithm); Yu and Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR
        2016.

    Example:

    >>> classifier = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, include_top=False)
    >>> kseg.backbones.dilate(classifier, 8)(np.zeros((1, 64, 64, 3), "float32")).shape
    TensorShape([1, 8, 8, 1280])
    """
    check_output_stride(output_stride)
    graph = functional(model)
    image, dilation = free_input(graph), Dilation(output_stride)
    dilation.start(image)
    outputs = rebuild(graph, image, dilation)
    dilation.copy.fill()
    return keras.Model(image, outputs, name=graph.name)
