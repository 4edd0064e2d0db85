"""`HeadGraph`: the layers between a backbone and the logits, so that a model drawn by hand can be saved."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import keras

from kseg.backbones import Backbone
from kseg.errors import ModelError

Place = tuple[str, int, int]


class HeadGraph:
    """The graph from tensors of a backbone to logits.

    Args:
        backbone: the backbone that the graph was built on.
        logits: the tensor that the graph ends in.

    Raises:
        ModelError: logits that do not depend on the backbone alone, or a layer that backbone and head share.
    """

    def __init__(self, backbone: Backbone, logits: keras.KerasTensor):
        places = {id(tensor): place for tensor, place in _tensors(backbone)}
        inputs = _boundary(logits, places, {id(operation) for operation in backbone.operations})
        self._graph = keras.Model(inputs, logits, name="head")
        self._inputs = [places[id(tensor)] for tensor in inputs]

    def get_config(self) -> dict[str, Any]:
        """The graph, and the name, node and output of the backbone's layer that each input comes from."""
        return {"inputs": self._inputs, "graph": self._graph.get_config()}


def logits_from_config(
    config: dict[str, Any], backbone: Backbone, custom_objects: dict[str, Any] | None
) -> keras.KerasTensor:
    """Draw a head on a backbone again, from `HeadGraph.get_config`."""
    graph = keras.Model.from_config(config["graph"], custom_objects)
    tensors = {place: tensor for tensor, place in _tensors(backbone)}
    inputs = [tensors[tuple(place)] for place in config["inputs"]]
    made = {}

    def call(operation, *args, **kwargs):
        made[operation.name] = operation(*args, **kwargs)
        return made[operation.name]

    # Not the copy's own output: where an input is not an image, Keras connects that to placeholders.
    keras.models.clone_model(
        graph, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
    )
    operation, _, number = graph.output._keras_history
    return keras.tree.flatten(made[operation.name])[number]


def _tensors(backbone: Backbone) -> Iterator[tuple[keras.KerasTensor, Place]]:
    """Every tensor of a backbone, with the name of its layer, the number of the call, and that of the output."""
    nodes: dict[str, list] = {}
    seen, waiting = set(), [backbone.input, *backbone.outputs]
    while waiting:
        # Keras's record of what made a tensor; there is no public name for it.
        operation, index, _ = waiting.pop()._keras_history
        node = operation._inbound_nodes[index]
        if id(node) not in seen:
            seen.add(id(node))
            nodes.setdefault(operation.name, []).append((index, node))
            waiting += node.input_tensors
    for name, calls in nodes.items():
        for number, (_, node) in enumerate(sorted(calls, key=lambda call: call[0])):
            for output, tensor in enumerate(node.output_tensors):
                yield tensor, (name, number, output)


def _boundary(
    logits: keras.KerasTensor, places: dict[int, Place], layers: set[int]
) -> list[keras.KerasTensor]:
    """The tensors of the backbone that a head starts from."""
    inputs, waiting, seen = [], [logits], set()
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if id(tensor) in places:
            inputs.append(tensor)
            continue
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if not node.input_tensors:
            raise ModelError(
                f"the logits depend on {operation.name!r}, which is not a layer of the backbone's graph"
            )
        if id(operation) in layers:
            raise ModelError(
                f"the backbone and what is drawn on it share the layer {operation.name!r}, which cannot be saved: "
                "use a layer of its own"
            )
        waiting += node.input_tensors
    return inputs


def with_other_channels(model: keras.Model, config: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """A head's configuration with another number of classes.

    Args:
        model: the network, whose head was drawn by hand.
        config: `HeadGraph.get_config` of it.
        num_classes: the new number.

    Raises:
        ModelError: the layers that give the scores are not found.
    """
    # The layers whose number of channels is the number of classes, each with the argument that says so.
    scoring, waiting = {}, [model.output]
    own = {id(operation) for operation in model.backbone.operations}
    while waiting:
        tensor = waiting.pop()
        operation, index, _ = tensor._keras_history
        given = operation.get_config()
        argument = next((key for key in ("filters", "units", "num_classes") if key in given), None)
        if argument is not None and given[argument] == model.num_classes:
            scoring[operation.name] = argument
            continue
        before = operation._inbound_nodes[index].input_tensors
        # Of ResizeLike's two inputs the first is the map.
        before = [one for one in before if one.shape[-1] == model.num_classes and one is not model.input]
        if argument is not None or id(operation) in own or not before:
            raise ModelError(
                f"{model.name}: no layer is found that gives the scores (looked after {operation.name!r}); "
                "draw the network again with the other number of classes."
            )
        waiting += before
    graph = copy.deepcopy(config["graph"])
    for layer in graph["layers"]:
        if layer["name"] in scoring:
            layer["config"][scoring[layer["name"]]] = num_classes
            layer.pop("build_config", None)
    return {**config, "graph": graph}
