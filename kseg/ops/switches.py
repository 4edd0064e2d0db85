"""What the values and indices of a pooling look like, and refusing those that do not belong together."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.ops.windows import pooling_axis

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
elif keras.backend.backend() == "jax":
    import jax

INDEX_DTYPE = "int32" if keras.backend.backend() == "jax" else "int64"


def unpooled_size(count: Any, window: Any, stride: int, padding: str) -> Any:
    """The size that unpooling restores along one axis where none is given."""
    if count is None:
        return None
    return count * stride if padding == "same" else (count - 1) * stride + window


def pooled_shape(shape: Any, window: Any, stride: int, padding: str) -> tuple[int | None, ...]:
    """The static shape that `max_pool_with_argmax` gives for a static shape."""
    sizes = [
        pooling_axis(*each, padding).count if each[0] else None
        for each in zip(shape[1:3], window, stride, strict=True)
    ]
    return (shape[0], *sizes, shape[3])


def unpooled_shape(shape: Any, window: Any, stride: int, padding: str) -> tuple[int | None, ...]:
    """The static shape that `max_unpool` gives where no size is given."""
    sizes = [unpooled_size(*each, padding) for each in zip(shape[1:3], window, stride, strict=True)]
    return (shape[0], *sizes, shape[3])


def check_unpooling(pooled, argmax, window, stride, padding, size=None):
    """Refuse shapes that, as far as they are known, cannot have come from one pooling (SettingsError)."""
    pairs = zip(pooled.shape, argmax.shape, strict=False)
    if len(pooled.shape) != 4 or len(argmax.shape) != 4 or any(None not in p and p[0] != p[1] for p in pairs):
        raise SettingsError(
            "Unpooling needs the indices that came with the values: expected two tensors of one shape "
            f"(batch, rows, columns, channels), got values {tuple(pooled.shape)} and indices "
            f"{tuple(argmax.shape)}."
        )
    if not keras.backend.is_int_dtype(keras.backend.standardize_dtype(argmax.dtype)):
        raise SettingsError(
            f"The indices of an unpooling are integers, not {argmax.dtype}: pass [pooled, argmax]."
        )
    for count, length, w, s in zip(pooled.shape[1:3], size or (None, None), window, stride, strict=True):
        if not (isinstance(count, int) and isinstance(length, int)):
            continue
        expected = pooling_axis(length, w, s, padding).count
        if expected != count:
            raise SettingsError(
                f"A length of {length} pooled by {w} in steps of {s} gives {expected} values, "
                f"not the {count} given: `like` must have the size of the map that was pooled."
            )


def at_hand(tensor):
    """Whether the values of a tensor are known now, rather than when a compiled graph runs."""
    if keras.backend.backend() == "tensorflow":
        return tf.executing_eagerly()
    return keras.backend.backend() == "jax" and not isinstance(tensor, jax.core.Tracer)


def check_indices(argmax, rows, columns):
    """Refuse indices, at hand, that lie outside of the map or of their window (SettingsError)."""
    channels = argmax.shape[-1]
    if 0 in argmax.shape:
        return
    low, high, count = int(ops.min(argmax)), int(ops.max(argmax)), rows.size * columns.size * channels
    if low < 0 or high >= count:
        raise SettingsError(
            f"Indices from {low} to {high} came for a map of {rows.size} x {columns.size} x {channels}, "
            f"whose places are 0 to {count - 1}: they belong to another map, or count the batch "
            "(include_batch_in_index=True)."
        )
    argmax = ops.cast(argmax, INDEX_DTYPE)
    place = argmax // channels
    inside = argmax % channels == ops.arange(channels, dtype=INDEX_DTYPE)
    for position, axis, dim in ((place // columns.size, rows, 1), (place % columns.size, columns, 2)):
        start = ops.arange(axis.count, dtype=INDEX_DTYPE) * axis.stride - axis.before
        within = position - ops.reshape(start, [-1 if d == dim else 1 for d in range(4)])
        inside = inside & (within >= 0) & (within < axis.window)
    if not bool(ops.all(inside)):
        raise SettingsError(
            "Some indices point outside of their pooling window "
            f"on a map of {rows.size} x {columns.size}: they come from another pool_size, stride or padding, "
            "or from a map of another size (give it as [pooled, argmax, like])."
        )
