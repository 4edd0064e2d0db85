"""Where the maximum of each pooling window stands, and how to put values back there, without any scatter.

The map is cut into cells of one stride, every place of a window becomes one plain slice, and all that is left are
comparisons and selections. They compile under XLA, convert to builtin LiteRT operations and to ONNX, and give the same
bits everywhere. Windows may overlap (window > stride), touch, or leave gaps (window < stride).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from kseg import checks
from kseg.errors import SettingsError

OUTSIDE = 255  # the number of a place that is not in its window
NOWHERE = 254  # the number of no place: where windows leave gaps


class Axis(NamedTuple):
    """The windows along one axis; `size`, `count` and `before` may be scalars of the running graph."""

    size: Any  # length of the map
    window: int
    stride: int
    count: Any  # number of windows
    before: Any  # places by which the first window starts ahead of the map

    @property
    def reach(self) -> int:
        """How many cells of one stride a window touches."""
        return -(-self.window // self.stride)

    @property
    def span(self) -> Any:
        """Length of the cells that the windows touch, counted from the start of the first window."""
        return (self.count + self.reach - 1) * self.stride

    @property
    def spare(self) -> int:
        """Empty cells to add after the last window: "valid" pooling may have cut the map short."""
        known = all(isinstance(n, int) for n in (self.size, self.count, self.before))
        return 0 if known and self.span - self.before >= self.size else 1

    @property
    def first_inside(self) -> Any:
        """For each window, its first place inside the map; zero where no window starts ahead of the map."""
        if _known(self.before, 0):
            return 0
        return ops.maximum(self.before - ops.arange(self.count, dtype="int32") * self.stride, 0)


class Steps(NamedTuple):
    """What an offset counts: how much one place further down, or to the right, in a window adds to it."""

    down: Any  # may be a scalar of the running graph
    right: int
    dtype: str

    @classmethod
    def of_map(cls, columns: Axis, channels: int) -> "Steps":
        """Offsets are flat distances on the map, as in the indices of a pooling."""
        return cls(columns.size * channels, channels, "int32")

    @classmethod
    def of_window(cls, columns: Axis) -> "Steps":
        """Offsets number the places of a window, fewer than `NOWHERE`: a quarter of the bytes to write and read."""
        return cls(columns.window, 1, "uint8")

    @property
    def on_map(self) -> bool:
        return self.dtype == "int32"


def _known(value: Any, number: Any) -> bool:
    return isinstance(value, int) and value == number


def window_and_stride(
    pool_size: int | tuple[int, int], strides: int | tuple[int, int], padding: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Check the settings of a pooling: (height, width) of the window and of the step."""
    window = checks.pair(pool_size, "pool_size")
    stride = window if strides is None else checks.pair(strides, "strides")
    checks.one_of(padding, "padding", ("same", "valid"))
    return window, stride


def pooling_axes(
    size: Any, pool_size: int | tuple[int, int], strides: int | tuple[int, int], padding: str
) -> tuple[Axis, Axis]:
    """The windows of a pooling along the height and along the width of a map."""
    window, stride = window_and_stride(pool_size, strides, padding)
    return tuple(pooling_axis(*each, padding) for each in zip(size, window, stride, strict=True))


def pooling_axis(size: Any, window: Any, stride: int, padding: str) -> Axis:
    """The windows of a pooling along one axis, placed as TensorFlow places them."""
    if padding == "valid" and isinstance(size, int) and size < window:
        raise SettingsError(
            f"A 'valid' pooling window of {window} does not fit a map of {size}: upsample the image, take a smaller "
            "pool_size, or padding='same'."
        )
    count = (size + stride - 1) // stride if padding == "same" else (size - window) // stride + 1
    if padding == "valid" or window <= 2 <= stride or window == 1:
        return Axis(size, window, stride, count, 0)
    missing = (count - 1) * stride + window - size
    missing = max(missing, 0) if isinstance(missing, int) else ops.maximum(missing, 0)
    return Axis(size, window, stride, count, missing // 2)


def first_maximum(x, rows, columns, steps, larger=ops.maximum):
    """The maximum of every window and its place in the window.

    Args:
        x: `(batch, height, width, channels)`.
        rows, columns, steps: `Axis` of the height and of the width, and `Steps` of the offset.
        larger: the larger of two tensors.

    Returns:
        `(maximum, offset)`, both `(batch, rows.count, columns.count, channels)`. `offset` leads from the window's start
        to the maximum: `dy * steps.down + dx * steps.right`. Of equal values the first in reading order counts.
    """
    x = _extend(_extend(x, rows, 1), columns, 2)
    # Along the width first: only then does "the later one wins if strictly greater" keep the reading order.
    best, offset = _best_along(x, None, columns, 2, steps.right, steps.dtype, larger)
    return _best_along(best, offset, rows, 1, steps.down, steps.dtype, larger)


def distance_of(offset: Any, columns: Axis, channels: int, steps: Steps) -> Any:
    """Offsets as flat distances on the map."""
    if steps.on_map:
        return offset
    flat = Steps.of_map(columns, channels)
    offset = ops.cast(offset, flat.dtype)
    return offset // steps.down * flat.down + offset % steps.down * flat.right


def offset_of(distance: Any, rows: Axis, columns: Axis, channels: int, steps: Steps) -> Any:
    """Flat distances on the map as offsets; those that lead out of the window still do."""
    if steps.on_map:
        return distance
    flat = Steps.of_map(columns, channels)
    offset = ops.full_like(distance, OUTSIDE, dtype=steps.dtype)
    for dy, dx in np.ndindex(rows.window, columns.window):
        here = ops.equal(distance, dy * flat.down + dx * flat.right)
        offset = ops.where(here, ops.cast(dy * steps.down + dx * steps.right, steps.dtype), offset)
    return offset


def larger_or_nan(earlier: Any, later: Any) -> Any:
    """The larger of two values; what is not a number comes through, which XLA's maximum on CPUs does not promise."""
    # XLA's code for this takes half the time of "later, where it is larger or not a number".
    return ops.where(ops.logical_or(earlier >= later, ops.not_equal(earlier, earlier)), earlier, later)


def _extend(x, axis, dim):
    """Cover the span of the windows; outside the map its border is repeated, which never wins alone."""
    length = axis.span
    if _known(axis.before, 0) and isinstance(axis.size, int) and length == axis.size:
        return x
    return ops.take(x, ops.clip(ops.arange(length, dtype="int32") - axis.before, 0, axis.size - 1), axis=dim)


def _best_along(x, inherited, axis, dim, step, dtype, larger):
    """Reduce one axis: the best value, and `step * place` of the first best (plus the inherited offset)."""
    places = _places(x, axis, dim)
    # `step` is a number here, or a scalar of the graph where the width is not known before.
    offsets = _places(inherited, axis, dim) if inherited is not None else None
    shape = [-1 if d == dim else 1 for d in range(4)]

    def offset_of(k: int) -> Any:
        # A border repeated ahead of the map stands for the first place inside it.
        inside = k
        if not _known(axis.before, 0):
            inside = ops.cast(ops.reshape(ops.maximum(axis.first_inside, k), shape), dtype)
        return inside * step if offsets is None else offsets[k] + inside * step

    best, offset = places[0], offset_of(0)
    for k in range(1, axis.window):
        better = places[k] > best
        best = larger(best, places[k])
        if isinstance(offset, int):  # so far the first place everywhere
            offset = ops.cast(better, dtype) * offset_of(k)
        else:
            offset = ops.where(better, offset_of(k), offset)
    if isinstance(offset, int) or offset.shape[-1] != best.shape[-1]:
        offset = offset + ops.zeros_like(best, dtype=dtype)
    return best, offset


def _places(x, axis, dim):
    """For each place in the window, the slice of `x` that holds it for all windows."""
    shape = list(ops.shape(x))
    cells = axis.count + axis.reach - 1
    x = ops.reshape(x, [*shape[:dim], cells, axis.stride, *shape[dim + 1 :]])
    phases = ops.unstack(x, axis.stride, axis=dim + 1)
    if axis.reach == 1:
        return phases[: axis.window]
    places = []
    for k in range(axis.window):
        phase, cells = phases[k % axis.stride], slice(k // axis.stride, k // axis.stride + axis.count)
        places.append(phase[:, cells] if dim == 1 else phase[:, :, cells])
    return places


def place(values, offset, rows, columns, steps):
    """Put every value at its place in an empty map; where windows overlap the values add up.

    Args:
        values: `(batch, rows.count, columns.count, channels)`.
        offset: same shape, as `first_maximum` gives it with the same `steps`. A value whose offset lies outside of
            its window is left out.

    Returns:
        `(batch, rows.size, columns.size, channels)`.
    """
    if not steps.on_map and rows.reach == columns.reach == 1:
        y = _spread(values, offset, rows, columns, steps)
    else:
        sides = range(rows.stride), range(columns.stride)
        cells = [[_gathered(values, offset, rows, columns, steps, y, x) for x in sides[1]] for y in sides[0]]
        y = _interleave([_interleave(line, 2) for line in cells], 1)
    return _trim(_trim(y, rows, 1), columns, 2)


def _spread(values, offset, rows, columns, steps):
    """`place` into the cells of windows that do not overlap, in one step, which is of more axes than LiteRT takes."""
    down, right = np.arange(rows.stride)[:, None], np.arange(columns.stride)
    numbers = down * steps.down + right * steps.right
    numbers[rows.window :], numbers[:, columns.window :] = NOWHERE, NOWHERE
    batch, height, width, channels = ops.shape(values)
    values, offset = (ops.reshape(t, (batch, height, 1, width, 1, channels)) for t in (values, offset))
    here = ops.equal(offset, numbers.reshape(rows.stride, 1, columns.stride, 1).astype(steps.dtype))
    y = ops.where(here, values, ops.cast(0, values.dtype))
    y = ops.reshape(y, (batch, height * rows.stride, width * columns.stride, channels))
    return ops.pad(y, [[0, 0], [0, rows.spare * rows.stride], [0, columns.spare * columns.stride], [0, 0]])


def _gathered(values, offset, rows, columns, steps, py, px):
    """The values that belong to place (py, px) of the cells: the sum over the windows that reach there."""
    total = None
    for dy in range(py, rows.window, rows.stride):
        for dx in range(px, columns.window, columns.stride):
            here = ops.equal(offset, dy * steps.down + dx * steps.right)
            value = ops.where(here, values, ops.cast(0, values.dtype))
            value = _shift_into_cells(value, rows, columns, dy // rows.stride, dx // columns.stride)
            total = value if total is None else total + value
    if total is None:  # between windows that leave gaps
        total = _shift_into_cells(ops.zeros_like(values), rows, columns, 0, 0)
    return total


def _shift_into_cells(x, rows, columns, down, right):
    after_rows = rows.reach - 1 - down + rows.spare
    after_columns = columns.reach - 1 - right + columns.spare
    if not (down or right or after_rows or after_columns):
        return x
    return ops.pad(x, [[0, 0], [down, after_rows], [right, after_columns], [0, 0]])


def _interleave(parts: Sequence[Any], dim: int) -> Any:
    """Merge equal maps along `dim`: element i of part k goes to i * len(parts) + k."""
    if len(parts) == 1:
        return parts[0]
    shape = list(ops.shape(parts[0]))
    merged = [*shape[:dim], shape[dim] * len(parts), *shape[dim + 1 :]]
    return ops.reshape(ops.stack(parts, axis=dim + 1), merged)


def _trim(y: Any, axis: Any, dim: int) -> Any:
    span = axis.span + axis.spare * axis.stride
    if _known(axis.before, 0) and isinstance(axis.size, int) and span == axis.size:
        return y
    stop = axis.before + axis.size
    return y[:, axis.before : stop] if dim == 1 else y[:, :, axis.before : stop]


def pick(x, offset, rows, columns, steps):
    """Read the map at every window's place: the adjoint of `place`.

    Args:
        x: `(batch, rows.size, columns.size, channels)`.
        offset: `(batch, rows.count, columns.count, channels)`, counted by `steps`.

    Returns:
        `(batch, rows.count, columns.count, channels)`; zero where the offset lies outside of its window.
    """
    x = _extend(_extend(x, rows, 1), columns, 2)
    lines = _places(x, rows, 1)
    picked = ops.cast(0, x.dtype)
    for dy, line in enumerate(lines):
        for dx, value in enumerate(_places(line, columns, 2)):
            here = ops.equal(offset, dy * steps.down + dx * steps.right)
            if not _known(columns.before, 0):
                # On a map narrower than the window, a place ahead of a row shares the offset of one inside.
                here = ops.logical_and(here, ops.reshape(columns.first_inside <= dx, (1, 1, -1, 1)))
            picked = ops.where(here, value, picked)
    return picked
