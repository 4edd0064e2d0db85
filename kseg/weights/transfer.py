"""`plan` and `Transfer`: which array goes into which variable, settled in full before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.ops.memory import empty_array, tensor_of

_COLUMNS = 32


@dataclass(frozen=True)
class Move:
    """Arrays of a file that make one variable.

    Args:
        target: the variable, as `variables` names it: "conv1_conv/kernel".
        keys: of the file; none for a constant.
        make: from the arrays, and the variable's shape, to the variable's value. It may return a view.
        back: from the variable's value to the only array of `keys`; None where that is not wanted.
    """

    target: str
    keys: tuple[str, ...]
    make: Callable[[Sequence[np.ndarray], tuple[int, ...]], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Transfer:
    """A settled plan: every variable of the model has its value, every key is used or left out on purpose.

    Attributes:
        copied: keys whose numbers the model gets.
        unused: keys that are left out.
    """

    values: dict[str, np.ndarray]
    targets: dict[str, Any]
    copied: tuple[str, ...]
    unused: tuple[str, ...]

    def apply(self) -> None:
        """Write the values into the model's variables."""
        with ThreadPoolExecutor() as pool:  # NumPy's copies let each other run
            for name, laid_out in zip(self.targets, pool.map(self._laid_out, self.targets), strict=True):
                self.targets[name].assign(tensor_of(laid_out))

    def _laid_out(self, name: str) -> np.ndarray:
        """A value in the order of its variable's memory, read a few columns at a time: each finds the last one's
        neighbours still in the processor's cache, which makes it two to ten times as fast as a plain copy."""
        value = self.values.pop(name)
        found = empty_array(value.shape, self.targets[name].dtype)
        for start in range(0, value.shape[-1] if value.ndim else 1, _COLUMNS):
            found[..., start : start + _COLUMNS] = value[..., start : start + _COLUMNS]
        return found


def plan(
    model: keras.Model,
    arrays: dict[str, np.ndarray],
    moves: Iterable[Move],
    left_out: Callable[[str], bool],
    what: str,
) -> Transfer:
    """Settle which array goes where, and whether all of it fits. The model is not touched.

    Args:
        model: the network.
        arrays: the file's.
        moves: one for each variable of the model.
        left_out: whether a key that no move names is meant to have no place.
        what: file and source, for messages.

    Raises:
        ModelError: with both lists, where a variable gets no value, or a key has no place, or shapes differ.
    """
    targets, moves = variables(model), {move.target: move for move in moves}
    unknown = [name for name in moves if name not in targets]
    if unknown:
        raise ModelError(f"{what}: the key map names {some(unknown)}, which {model.name} does not have")
    wanted = {key for move in moves.values() for key in move.keys}
    without = [name for name in targets if name not in moves]
    without += [name for name, move in moves.items() if not all(key in arrays for key in move.keys)]
    rest = [key for key in arrays if key not in wanted]
    homeless = [key for key in rest if not left_out(key)]
    if without or homeless:
        raise ModelError(
            f"{what}: does not fit {type(model).__name__} in full; nothing was written. Layers that got no array: "
            f"{some(without)}; keys that found no place: {some(homeless)}"
        )
    for key in (key for key in arrays if key in wanted):
        _check_numbers(arrays[key], key, what)
    values, misfits = {}, []
    for name, move in moves.items():
        shape, value = tuple(targets[name].shape), None
        given = [arrays[key] for key in move.keys]
        with suppress(ValueError):  # reshape and transpose of another shape
            value = move.make(given, shape)
        if value is None or value.shape != shape:
            found = " and ".join(f"{key} {array.shape}" for key, array in zip(move.keys, given, strict=True))
            misfits.append(f"{name} {shape} from {found}")
        elif name.endswith("/moving_variance") and value.size and not value.min() >= 0:
            raise ModelError(
                f"{what}: {', '.join(move.keys)} has negative variances, which no training makes"
            )
        values[name] = value
    if misfits:
        raise ModelError(f"{what}: shapes differ; nothing was written: {some(misfits)}")
    return Transfer(values, targets, tuple(key for key in arrays if key in wanted), tuple(rest))


def _check_numbers(array: np.ndarray, key: str, what: str) -> None:
    """Refuse what is no number that a network can have. The sum of an array is finite where all its numbers are."""
    if array.dtype.kind not in "biuf":
        kind = "complex numbers" if array.dtype.kind == "c" else f"values of the kind {array.dtype}"
        raise ModelError(f"{what}: {key} holds {kind}, which no network of kseg has")
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            total = array.sum(dtype=np.float32 if array.dtype.itemsize < 8 else np.float64)
            if not np.isfinite(total) and not np.isfinite(array).all():
                raise ModelError(
                    f"{what}: {key} holds NaN or infinite numbers, as of a training that diverged; nothing was written"
                )


def variables(model: keras.Model) -> dict[str, Any]:
    """The variables of a model by "<layer>/<variable>"; of layers inside of a layer by "<layer>/<inner>/<variable>".

    Random generators' seeds are not among them.
    """
    found = {}
    for layer in model.layers:
        if not isinstance(layer, keras.Model):  # the backbone, whose layers are the model's too
            found.update(_variables_of(layer, layer.name))
    return found


def _variables_of(layer: keras.layers.Layer, path: str) -> dict[str, Any]:
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    found = {f"{path}/{variable.name}": variable for variable in own if "seed_generator" not in variable.path}
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        found.update(_variables_of(inner, f"{path}/{inner.name}"))
    return found


def state_of(model: keras.Model, moves: Iterable[Move]) -> dict[str, np.ndarray]:
    """The way back: arrays by the source's keys and in its axes, of the moves that have one."""
    targets = variables(model)
    return {
        move.keys[0]: np.ascontiguousarray(move.back(np.asarray(targets[move.target])))
        for move in moves
        if move.back is not None
    }


def some(names: Sequence[str], most: int = 8) -> str:
    """Names for a message, the first few of them."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name[:120] for name in names[:most]) + more
