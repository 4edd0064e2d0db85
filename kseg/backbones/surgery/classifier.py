"""The two ideas behind this family of networks, for any Keras classifier: dense layers become convolutions
(`convolutionalize`), and a classifier becomes an encoder with named stages whose strides are holes
(`from_classifier`; see `kseg.backbones.surgery.dilation` for `dilate`)."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph, graph_settings
from kseg.backbones.surgery.dilation import Dilation, check_output_stride, dilate
from kseg.backbones.surgery.graph import Copies, free_input, functional, rebuild
from kseg.backbones.surgery.stages import RULES, choose_stages
from kseg.errors import ModelError
from kseg.layers import PadToMultiple

__all__ = ["ClassifierBackbone", "convolutionalize", "dilate", "from_classifier"]

_GLOBAL = {
    layers.GlobalAveragePooling2D: layers.AveragePooling2D,
    layers.GlobalMaxPooling2D: layers.MaxPooling2D,
}
_UNCHANGED = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.ELU,
    layers.Softmax,
    layers.Identity,
    layers.Dropout,
)
LARGEST_STRIDE = 32  # of the classifiers there are
_ON_VECTORS = (layers.BatchNormalization, layers.Conv2D)


@graph_settings()
def convolutionalize(model: keras.Model, size: tuple[int, int] | None = None) -> keras.Model:
    """Copy a classifier so that it gives a map of scores for images larger than those it was trained on.

    Each value of the map answers for the window of the image below it. An image of the classifier's own size
    gives one value: its own logits (a final softmax stays, per value).

    - Flatten and Dense (VGG16): the dense kernel becomes a convolution as large as the map it flattened, further dense
      layers become 1x1 convolutions.
    - Global pooling and Dense (ResNet, MobileNet): pooling over the size that the map had in training, at stride 1,
      then 1x1 convolutions. Gates inside the network that pool globally (squeeze and excitation) stay as they are.

    Layers keep their names. Images smaller than the classifier's own size are refused by Keras.

    Args:
        model: functional Keras model (or Sequential) with one image input and one output; not modified.
        size: (height, width) of the classifier's images; needed if the model leaves them open.

    Returns:
        A functional Keras model from `(batch, height, width, channels)` to `(batch, rows, columns, classes)`.

    Raises:
        ModelError: not a functional model, no dense end, an open size, or a layer that cannot be converted,
            with its name.

    Reference:
        Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017, section 3.1.

    Example:

    >>> classifier = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=5)
    >>> kseg.backbones.convolutionalize(classifier)(np.zeros((1, 96, 128, 3), "float32")).shape
    TensorShape([1, 2, 3, 5])
    """
    graph = functional(model)
    body, tail = _split(graph)
    if not tail:
        raise ModelError(
            f"{graph.name} has no global pooling or Flatten at its end: nothing to convolutionalize."
        )
    given = tuple(graph.inputs[0].shape[1:3]) if size is None else tuple(size)
    if None in given:
        raise ModelError(f"{graph.name} leaves its image size open: give size=(height, width).")
    rows, columns = body.compute_output_shape((1, *given, graph.inputs[0].shape[3]))[1:3]
    image, copies = free_input(graph), Copies()
    x = rebuild(body, image, lambda op, *args, **kwargs: copies(op)(*args, **kwargs))
    kernel = None
    for layer in tail:
        x, kernel = _convert(layer, x, kernel, (rows, columns), copies)
    copies.fill()
    return keras.Model(image, x, name=graph.name)


def _split(graph: keras.Model) -> tuple[keras.Model, list[keras.Operation]]:
    """The part that makes maps, and the chain of layers after its last global pooling or Flatten."""
    tensor, tail = graph.output, []
    while isinstance(tensor, keras.KerasTensor):
        # Keras's record of what made a tensor; there is no public name for it.
        operation, index = tensor._keras_history.operation, tensor._keras_history.node_index
        inputs = operation._inbound_nodes[index].input_tensors
        if len(inputs) != 1:
            break
        tail.insert(0, operation)
        x = inputs[0]
        flat = isinstance(operation, (layers.Flatten, layers.Reshape)) and len(tensor.shape) == 2
        if type(operation) in _GLOBAL or (flat and len(x.shape) == 4 and x.shape[1:3] != (1, 1)):
            return keras.Model(graph.inputs[0], x, name=graph.name), tail
        tensor = x
    return graph, []


def _convert(layer, x, kernel, size, copies):
    """One layer of the end on maps; `kernel` is the window that the next dense layer has to cover."""
    if kernel is None:
        if type(layer) not in _GLOBAL:
            return x, size  # Flatten
        pool = _GLOBAL[type(layer)]
        return pool(size, strides=1, padding="valid", name=layer.name, dtype=layer.dtype_policy)(x), (1, 1)
    if isinstance(layer, layers.Dense):
        own = ("units", "quantization_config")
        dense = copies(layer, kind=layers.Conv2D, without=own, filters=layer.units, kernel_size=kernel)
        return dense(x), (1, 1)
    if isinstance(layer, _UNCHANGED):
        return copies(layer)(x), kernel
    if kernel == (1, 1) and isinstance(layer, (layers.Flatten, layers.Reshape)):
        return x, kernel
    if kernel == (1, 1) and isinstance(layer, _ON_VECTORS):
        return copies(layer)(x), kernel
    raise ModelError(f"layer {layer.name!r} ({type(layer).__name__}) cannot be turned into a convolution.")


def from_classifier(
    model: keras.Model,
    output_stride: int = 32,
    normalize: keras.layers.Layer | None = None,
    *,
    padding: str = "image",
    stage_maps: str = "main",
    name: str | None = None,
) -> "ClassifierBackbone":
    """Make an encoder with named stages from a Keras classifier.

    The dense end is left out, strides beyond `output_stride` become dilation (see `dilate`), and `stage<k>`
    is the last feature map at 1/2^k of the image, counted by the *classifier's* strides: dilated stages keep
    their names. "Last" means just before the next stride, so in MobileNetV2 it is the expanded activation of
    the block that strides next, and in VGG16 the map before the pooling.

    Args:
        model: functional Keras model (or Sequential) with one image input, such as from keras.applications,
            with or without its classification layers; not modified.
        output_stride: 8, 16 or 32 (also 1, 2, 4).
        normalize: layer that converts RGB images of 0-255 to what the classifier expects, such as
            `kseg.layers.Normalize((127.5,) * 3, (127.5,) * 3)` for MobileNetV2; None if the classifier takes
            0-255 itself.
        padding: "image" fills images up to a multiple of the stride (zeros after `normalize`, at the bottom and the
            right), and to the least size that the classifier takes, such as 96 of InceptionV3, so that a stage's cells
            stand over the same pixels at every size, and maps that the classifier gives other sizes (it does not pad)
            are resized to theirs; "same" leaves both as the classifier has it.
        stage_maps: "main", as above, or "last", the last map at each stride, be it inside of a block: files of
            before kseg 0.1.0.
        name: name of the backbone; None takes the classifier's.

    Returns:
        A `ClassifierBackbone`, with the classifier's weights.

    Raises:
        ModelError: not a functional model, or a layer that cannot be dilated, with its name.

    Example:

    >>> classifier = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None)
    >>> normalize = kseg.layers.Normalize((127.5,) * 3, (127.5,) * 3)
    >>> backbone = kseg.backbones.from_classifier(classifier, output_stride=8, normalize=normalize)
    >>> backbone.output_stride
    8
    """
    return ClassifierBackbone(
        model,
        output_stride=output_stride,
        normalize=normalize,
        padding=padding,
        stage_maps=stage_maps,
        name=name or model.name,
    )


@keras.saving.register_keras_serializable(package="kseg")
class ClassifierBackbone(Backbone):
    """The encoder inside a Keras classifier; `from_classifier` makes one.

    Args:
        classifier: functional Keras model (or Sequential) with one image input, with or without its
            classification layers; not modified.
        output_stride: 8, 16 or 32 (also 1, 2, 4).
        normalize: layer that converts RGB images of 0-255 to what the classifier expects; None if it takes
            0-255 itself.
        padding: "image" or "same", as in `from_classifier`.
        stage_maps: "main" or "last", as in `from_classifier`.
        name: name of the backbone; None takes the classifier's.
        trainable: False freezes all layers.

    Raises:
        ModelError: not a functional model, or a layer that cannot be dilated, with its name.

    Input shape:
        `(batch, height, width, channels)`, any size.

    Output shape:
        A dict of stages, shallow first.

    Example:

    >>> classifier = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None)
    >>> list(kseg.backbones.ClassifierBackbone(classifier, output_stride=16).stages)
    ['stage1', 'stage2', 'stage3', 'stage4', 'stage5']
    """

    @draws_graph
    def __init__(
        self,
        classifier: keras.Model,
        *,
        output_stride: int = 32,
        normalize: keras.layers.Layer | None = None,
        padding: str = "image",
        stage_maps: str = "main",
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        check_output_stride(output_stride)
        checks.one_of(padding, "padding", ("image", "same"))
        checks.one_of(stage_maps, "stage_maps", RULES)
        body, _ = _split(functional(classifier))
        image, dilation = free_input(body, "image"), Dilation(output_stride)
        x = image if normalize is None else normalize(image)
        like = None
        if padding == "image":
            x = like = PadToMultiple(LARGEST_STRIDE, _least_size(body), name="pad_to_stride")(x)
        dilation.start(x)
        rebuild(body, x, dilation)
        dilation.copy.fill()
        stages = choose_stages(dilation.steps, body.name, stage_maps, output_stride, like)
        super().__init__(image, stages, name=name, trainable=trainable)
        self.output_stride, self.normalize = output_stride, normalize
        self.padding, self.stage_maps = padding, stage_maps
        # as text, so that Keras does not track what is inside
        self._parts = json.dumps([keras.saving.serialize_keras_object(part) for part in (body, normalize)])

    @property
    def aligned(self) -> bool:
        return self.padding == "image"

    def get_config(self) -> dict[str, Any]:
        classifier, normalize = json.loads(self._parts, object_hook=_settings)
        own = {
            "classifier": classifier,
            "output_stride": self.output_stride,
            "normalize": normalize,
            "padding": self.padding,
            "stage_maps": self.stage_maps,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "ClassifierBackbone":
        config = {"padding": "same", "stage_maps": "last", **config}  # files of before both
        for part in ("classifier", "normalize"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects)
        return super().from_config(config)


def _least_size(body: keras.Model) -> int:
    """The least multiple of the stride whose maps are nowhere smaller than the next window; 0 where it is the stride.

    InceptionV3 takes no windows beyond a map's edge, and images of 64 pixels leave none for its last ones. The size
    that a classifier was made for does not count.
    """

    def shape_after(operation: keras.Operation) -> Callable[..., Any]:
        if isinstance(operation, keras.Model) and hasattr(operation, "_run_through_graph"):
            return lambda x, **_: operation._run_through_graph(x, operation_fn=shape_after)
        return operation.compute_output_spec

    for size in range(LARGEST_STRIDE, 8 * LARGEST_STRIDE + 1, LARGEST_STRIDE):
        image = keras.KerasTensor((1, size, size, body.input.shape[-1]))
        with contextlib.suppress(ValueError):
            shape_after(body)(image)
            return 0 if size == LARGEST_STRIDE else size
    return 0


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Less what differs from run to run: shapes that layers happened to be built with, memory addresses."""
    return {key: value for key, value in config.items() if key not in ("build_config", "shared_object_id")}
