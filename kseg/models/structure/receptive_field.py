"""`receptive_fields`: how far each map of a model looks, and how far apart its cells stand."""

import math
from dataclasses import dataclass

import keras
from keras import layers

import kseg.layers as own
from kseg.errors import ModelError


@dataclass(frozen=True)
class ReceptiveField:
    """The region of the image that one cell of a map depends on.

    Args:
        size: (height, width) in pixels of the image; infinite after a layer that looks at the whole image.
            Padding counts as image, so cells near the border see less. Behind an upsampling the cells of one
            map differ by up to one old cell, and this is their mean.
        stride: (vertical, horizontal) pixels from one cell to the next, that is, the output stride.

    Example:

    >>> kseg.models.ReceptiveField(size=(7.0, 7.0), stride=(2.0, 2.0)).stride
    (2.0, 2.0)
    """

    size: tuple[float, float]
    stride: tuple[float, float]


PerAxis = float | tuple[float, float]  # one number for both axes, or (vertical, horizontal)
PIXEL = ReceptiveField((1, 1), (1, 1))


def receptive_fields(
    model: keras.Model, tensors: dict[str, keras.KerasTensor] | None = None
) -> dict[str, ReceptiveField]:
    """Compute the receptive field and the output stride of maps of a functional Keras model.

    A convolution or pooling of `k` taps, rate `r` and stride `s` reads k + (k - 1)(r - 1) cells of its input
    (Chen et al., "DeepLab", section 3.1), so the field grows by (k - 1) r times the stride so far, and the
    stride is multiplied by s. Where branches meet, the largest field counts. The field is what can have an
    influence; what does have one is usually a smaller part around its centre.

    Args:
        model: a functional or Sequential model with one image as its input; models inside it are followed.
        tensors: a dict from name to tensor of the model's graph, such as `backbone.stages`. None takes the
            outputs of all layers, by layer name; a layer that is used several times counts with its largest
            field.

    Returns:
        A dict from name to `ReceptiveField`.

    Raises:
        ModelError: not a graph of layers, or a layer whose receptive field is not known.

    Reference:
        Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill 2019,
        which lists 212 for VGG16's pool5 and 483, 1027 and 1507 for ResNet-50, 101 and 152.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> kseg.models.receptive_fields(backbone, backbone.stages)["stage5"].stride
    (32, 32)
    """
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ModelError(
            f"{getattr(model, 'name', model)} is not a graph of layers with one image as its input"
        )
    fields, by_layer = {}, {}
    _walk(model, list(tensors.values()) if tensors else model.outputs, PIXEL, fields, by_layer)
    if tensors is None:
        return by_layer
    return {name: fields[id(tensor)] for name, tensor in tensors.items()}


def _walk(
    model: keras.Model,
    wanted: list[keras.KerasTensor],
    start: ReceptiveField,
    fields: dict[int, ReceptiveField],
    by_layer: dict[str, ReceptiveField],
) -> None:
    """Fill `fields` (by the identity of a tensor) and `by_layer` up to the wanted tensors of one graph."""
    fields.update({id(tensor): start for tensor in model.inputs})
    waiting = list(wanted)
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in fields:
            waiting.pop()
            continue
        operation, node, _ = tensor._keras_history
        node = operation._inbound_nodes[node]
        missing = [one for one in node.input_tensors if id(one) not in fields]
        if missing:
            waiting += missing
            continue
        if not node.input_tensors:
            raise ModelError(f"{model.name}: a tensor depends on {operation.name}, which is not its input")
        given = [fields[id(tensor)] for tensor in node.input_tensors]
        if isinstance(operation, keras.Model) and getattr(operation, "inputs", None):
            inner = {}
            _walk(operation, operation.outputs, given[0], inner, by_layer)
            found = [inner[id(tensor)] for tensor in operation.outputs]
        else:
            found = [_after(operation, given)] * len(node.output_tensors)
            by_layer[operation.name] = _largest([found[0], *filter(None, [by_layer.get(operation.name)])])
        fields.update({id(tensor): field for tensor, field in zip(node.output_tensors, found, strict=True)})


def _after(layer: keras.Operation, given: list[ReceptiveField]) -> ReceptiveField:
    """The field after a layer, from those of its inputs."""
    field = given[0]
    # Keras's transposed and depthwise convolutions are no subclasses of Conv2D.
    if isinstance(layer, layers.Conv2DTranspose):
        reads = tuple(math.ceil(k / s) for k, s in zip(layer.kernel_size, layer.strides, strict=True))
        return ReceptiveField(_window(field, reads).size, _finer(field, layer.strides))
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)):
        return _window(field, layer.kernel_size, layer.dilation_rate, layer.strides)
    if isinstance(layer, (layers.MaxPooling2D, layers.AveragePooling2D, own.MaxPoolingWithArgmax2D)):
        return _window(field, layer.pool_size, 1, layer.strides)
    if isinstance(layer, own.DilatedPooling2D):
        return _window(field, layer.pool_size, layer.rate)
    if isinstance(layer, own.AtrousSpatialPyramidPooling):
        return _window(field, 3, max(layer.rates))
    if isinstance(layer, own.BilinearUpsampling):
        return _upsampled(field, layer.factor)
    if isinstance(layer, layers.UpSampling2D):
        return _upsampled(field, layer.size, 1 if layer.interpolation == "nearest" else 2)
    if isinstance(layer, own.ResizeLike):  # to the cells of the second tensor
        like = given[1]
        ratio = tuple(1 if a == b else 2 for a, b in zip(field.stride, like.stride, strict=True))
        bilinear = getattr(layer, "method", "bilinear") == "bilinear"
        return ReceptiveField(_window(field, ratio if bilinear else 1).size, like.stride)
    if isinstance(layer, own.ScaledImage):
        return _upsampled(field, layer.scale)
    if isinstance(layer, own.MaxUnpooling2D):
        # A place is taken or not by the index, which saw the pooling's whole window.
        return ReceptiveField(_largest(given[:2]).size, _finer(field, layer.strides))
    if isinstance(layer, own.CropLike):
        return field
    if isinstance(layer, (own.PyramidPooling, layers.GroupNormalization)):
        return ReceptiveField((math.inf, math.inf), field.stride)
    if isinstance(layer, (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten)):
        return ReceptiveField((math.inf, math.inf), (math.inf, math.inf))
    operation = not isinstance(layer, layers.Layer) and type(layer).__name__ in _POINTWISE_OPERATIONS
    if operation or isinstance(layer, _POINTWISE):
        return _largest(given)
    raise ModelError(
        f"how far the layer {layer.name!r} ({type(layer).__name__}) looks is not known, and so neither is the "
        "receptive field after it"
    )


def _largest(fields: list[ReceptiveField]) -> ReceptiveField:
    """Where branches meet: the largest field; of strides the smallest, as a 1x1 map spreads over the others."""
    size = tuple(max(field.size[axis] for field in fields) for axis in (0, 1))
    return ReceptiveField(size, tuple(min(field.stride[axis] for field in fields) for axis in (0, 1)))


def _window(field: ReceptiveField, places: PerAxis, rate: PerAxis = 1, stride: PerAxis = 1) -> ReceptiveField:
    """After a window of this many places."""
    places, rate, stride = (_pair(value) for value in (places, rate, stride))
    grown = zip(field.size, field.stride, places, rate, strict=True)
    size = tuple(size + (k - 1) * r * step if k > 1 else size for size, step, k, r in grown)
    return ReceptiveField(size, tuple(step * s for step, s in zip(field.stride, stride, strict=True)))


def _upsampled(field: ReceptiveField, factor: PerAxis, reads: PerAxis = 2) -> ReceptiveField:
    """After an upsampling of which each new cell reads `reads` old ones in a row."""
    factor, reads = _pair(factor), _pair(reads)
    grown = _window(field, tuple(n if f != 1 else 1 for n, f in zip(reads, factor, strict=True)))
    return ReceptiveField(grown.size, _finer(field, factor))


def _finer(field: ReceptiveField, factor: tuple[float, float]) -> tuple[float, float]:
    """The stride of a field's map with `factor` times as many cells."""
    return tuple(step / f for step, f in zip(field.stride, factor, strict=True))


def _pair(value: PerAxis) -> tuple[float, float]:
    return (value, value) if isinstance(value, int | float) else tuple(value)


_POINTWISE = (
    *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.Rescaling, layers.Normalization),
    *(layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise, layers.GaussianDropout),
    *(layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
    *(layers.Concatenate, layers.ZeroPadding2D, layers.Cropping2D, layers.Identity, layers.Dense),
    *(own.Normalize, own.PadToLeast, own.PadToMultiple),
)
_POINTWISE_OPERATIONS = {
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Concatenate", "Cast"),
    *("Relu", "Relu6", "Sigmoid", "HardSigmoid", "HardSwish", "Silu", "Tanh", "Softmax", "Clip", "Negative"),
}
