"""`Rematerialized`: a training step that computes stages of the backbone twice rather than keep their maps."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.ops.programs.recompute import recomputed

ALL = "all"


class Rematerialized:
    """The graph of a training step, in which stages of the backbone are computed a second time for their gradient.

    A training step keeps every map until the gradient comes back to it. Of these stages it keeps only what goes in
    and what comes out. Outputs, gradients, moving statistics and random numbers are those of the graph itself.

    Args:
        graph: a functional Keras model; it is not changed.
        stages: the stages of the backbone that the graph was drawn on, shallow first.
        chosen: names of stages, or `("all",)`.

    Raises:
        SettingsError: no such stage.
    """

    def __init__(
        self, graph: keras.Model, stages: dict[str, keras.KerasTensor], chosen: Sequence[str]
    ) -> None:
        check_stages(chosen, stages)
        self.graph, self.pieces = graph, _pieces(graph, [*stages.values()])
        self.again = [ALL in chosen or name in chosen for name in stages]

    def __call__(self, image: Any) -> tuple[Any, list[Any]]:
        """The graph's outputs in training, and the losses that its layers have added."""
        (given,) = self.graph.inputs
        values, losses = {id(given): ops.cast(image, given.dtype)}, []
        for piece, again in zip(self.pieces, [*self.again, False], strict=True):
            inputs = [values[id(tensor)] for tensor in piece.inputs]
            if again and piece.outputs:  # a stage that the graph does not use has none
                outputs, added = _again(piece, inputs)
                losses += added
            else:
                outputs = piece(inputs)
            values |= {id(tensor): output for tensor, output in zip(piece.outputs, outputs, strict=True)}
        return keras.tree.map_structure(lambda tensor: values[id(tensor)], self.graph.output), losses


def check_stages(chosen: Sequence[str], stages: Iterable[str]) -> None:
    """SettingsError where a name is none of the backbone's stages, nor "all"."""
    if unknown := [name for name in chosen if name not in (ALL, *stages)]:
        raise SettingsError(
            f"remat names {', '.join(unknown)}, but the backbone's stages are {', '.join(stages)}; give some of these, "
            'or "all".'
        )


@dataclass(frozen=True)
class _Piece:
    """Some of the calls of a graph, and the tensors of the graph that go into them and come out."""

    calls: list[Any]  # Keras's nodes
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]

    def __call__(self, inputs: list[Any]) -> list[Any]:
        """What comes out in training."""
        # Not a keras.Model of these tensors, which would leave calls of its own in the layers, and none of them could
        # be saved again.
        values = {id(tensor): value for tensor, value in zip(self.inputs, inputs, strict=True)}
        for call in self.calls:
            args, kwargs = call.arguments.fill_in(values)
            if "training" in inspect.signature(call.operation.call).parameters:
                kwargs["training"] = True
            outputs = keras.tree.flatten(call.operation(*args, **kwargs))
            values |= {id(tensor): value for tensor, value in zip(call.output_tensors, outputs, strict=True)}
        return [values[id(tensor)] for tensor in self.outputs]

    def variables(self, kind: str) -> list[keras.Variable]:
        """The layers' "trainable_variables" or "non_trainable_variables"."""
        layers = [call.operation for call in self.calls if isinstance(call.operation, keras.layers.Layer)]
        return [*{id(variable): variable for layer in layers for variable in getattr(layer, kind)}.values()]


def _pieces(graph: keras.Model, stages: list[keras.KerasTensor]) -> list[_Piece]:
    """What leads to each stage from those before it, and last what is behind them all."""
    place: dict[int, int] = {}  # of the call that makes a tensor, by the tensor
    for number, ends in enumerate([*([stage] for stage in stages), graph.outputs]):
        waiting = list(ends)
        while waiting:
            operation, index, _ = waiting.pop()._keras_history
            call = operation._inbound_nodes[index]
            if not call.is_input and id(call.output_tensors[0]) not in place:
                place |= {id(tensor): number for tensor in call.output_tensors}
                waiting += call.input_tensors
    depths = sorted(graph._nodes_by_depth, reverse=True)
    calls = [call for depth in depths for call in graph._nodes_by_depth[depth] if not call.is_input]
    asked = {id(tensor): {len(stages) + 1} for tensor in graph.outputs}  # by which pieces, and by the caller
    for call in calls:
        for tensor in call.input_tensors:
            asked.setdefault(id(tensor), set()).add(place[id(call.output_tensors[0])])
    found = []
    for number in range(len(stages) + 1):
        own = [call for call in calls if place[id(call.output_tensors[0])] == number]
        inputs = {id(t): t for call in own for t in call.input_tensors if place.get(id(t)) != number}
        outputs = [t for call in own for t in call.output_tensors if asked.get(id(t), set()) - {number}]
        found.append(_Piece(own, [*inputs.values()], outputs))
    return found


def _again(piece: _Piece, inputs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Call a piece so that its gradient computes it a second time; its outputs, and the losses that its layers add.

    Its variables are handed in and out as values, so that the second time finds those of the first, changes no moving
    statistics, and draws the same random numbers.
    """
    trained, others = (piece.variables(kind) for kind in ("trainable_variables", "non_trainable_variables"))
    kept = [ops.copy(variable.value) for variable in others]  # PyTorch's variables change in place

    def run(*tensors):
        values = zip([*trained, *others], [*tensors[len(inputs) :], *kept], strict=True)
        with keras.StatelessScope(list(values), collect_losses=True) as scope:
            outputs = piece(list(tensors[: len(inputs)]))
        state = [scope.get_current_value(variable) for variable in others]
        return [*outputs, *scope.losses], state

    results, state = recomputed(run)(*inputs, *(variable.value for variable in trained))
    for variable, value in zip(others, state, strict=True):
        variable.assign(value)
    return list(results[: len(piece.outputs)]), list(results[len(piece.outputs) :])
