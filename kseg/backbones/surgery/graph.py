"""Rebuilding a Keras functional model layer by layer: the common ground of surgery and dilation."""

from typing import Any

import keras
from keras import tree

from kseg.errors import ModelError


class Copies:
    """Fresh layers with the settings and, after `fill`, the weights of the ones they stand for.

    A layer that a model uses twice stays one layer; it cannot be copied with two different settings.
    """

    def __init__(self) -> None:
        self._made = {}

    def __call__(
        self,
        layer: keras.Operation,
        kind: type[keras.layers.Layer] | None = None,
        without: tuple[str, ...] = (),
        **changes: Any,
    ) -> keras.Operation:
        """A copy of a layer, or of a `kind` with its settings less `without` and with `changes`."""
        if not isinstance(layer, keras.layers.Layer):
            return layer  # keras.ops in a functional graph: no state
        kind = kind or layer.__class__
        config = {key: value for key, value in layer.get_config().items() if key not in without}
        config.update(changes)
        if id(layer) not in self._made:
            self._made[id(layer)] = (layer, kind.from_config(config), kind, config)
        _, copy, made_kind, made_config = self._made[id(layer)]
        if (made_kind, made_config) != (kind, config):
            raise ModelError(f"layer {layer.name!r} is used at two strides, which cannot share one layer.")
        return copy

    def fill(self) -> None:
        """Copy the weights; a dense kernel is reshaped where its copy is a convolution."""
        for layer, copy, _, _ in self._made.values():
            shapes = [tuple(weight.shape) for weight in copy.weights]
            copy.set_weights(
                [value.reshape(shape) for value, shape in zip(layer.get_weights(), shapes, strict=True)]
            )


def functional(model: keras.Model) -> keras.Model:
    """The model as one flat Functional graph with a single image-shaped input.

    Raises:
        ModelError: not a functional or Sequential Keras model, not built, or several inputs.
    """
    inputs = getattr(model, "inputs", None) if isinstance(model, keras.Model) else None
    if not inputs or not getattr(model, "outputs", None):
        name = getattr(model, "name", type(model).__name__)
        raise ModelError(
            f"{name} is not a functional Keras model: surgery needs a graph of layers (keras.Model(inputs, "
            "outputs), a built Sequential, or a network of keras.applications)."
        )
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[3] is None:
        shapes = [tuple(tensor.shape) for tensor in inputs]
        raise ModelError(
            f"{model.name} takes {shapes}; surgery needs one input (batch, height, width, channels)."
        )
    if any(isinstance(layer, keras.Model) for layer in model.layers):
        copies = Copies()
        image = keras.Input(batch_shape=inputs[0].shape, dtype=inputs[0].dtype, name=inputs[0].name)
        outputs = rebuild(model, image, lambda op, *args, **kwargs: copies(op)(*args, **kwargs))
        copies.fill()
        return keras.Model(image, outputs, name=model.name)
    return keras.Model(inputs[0], _output(model), name=model.name)


def _output(model: keras.Model) -> Any:
    """The output in the model's structure; a Sequential has no `.output` until it is called."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def free_input(model: keras.Model, name: str | None = None) -> keras.KerasTensor:
    """A new input like the model's, of any height and width."""
    image = model.inputs[0]
    return keras.Input((None, None, image.shape[3]), dtype=image.dtype, name=name or image.name)


def rebuild(model, image, call):
    """Run a model's graph on a new input tensor with `call(operation, *args, **kwargs)` at every step.

    Models inside the model are entered, so that `call` meets layers and keras.ops only.

    Returns:
        The output tensors, in the model's structure.
    """

    def step(operation, *args, **kwargs):
        if not isinstance(operation, keras.Model):
            return call(operation, *args, **kwargs)
        tensors = tree.flatten(args)
        if len(tensors) != 1 or not getattr(operation, "inputs", None):
            raise ModelError(f"the inner model {operation.name!r} is not a graph of layers with one input.")
        return rebuild(operation, tensors[0], call)

    graph = keras.Model(model.inputs[0], _output(model))
    made = {id(graph.inputs[0]): image}
    # Keras's own record of the calls, which `clone_model` follows; that loses the outputs of a Sequential inside of a
    # model.
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input:
                continue
            given = (node.arguments.args, node.arguments.kwargs)
            args, kwargs = tree.map_structure(lambda value: made.get(id(value), value), given)
            outputs = tree.flatten(step(node.operation, *args, **kwargs))
            made.update((id(old), new) for old, new in zip(node.output_tensors, outputs, strict=True))
    return tree.map_structure(lambda tensor: made[id(tensor)], graph.output)
