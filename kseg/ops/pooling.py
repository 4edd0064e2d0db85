"""Max pooling that remembers where each maximum stood, its inverse, and pooling to a fixed grid of bins."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kseg import checks
from kseg.errors import SettingsError
from kseg.ops import windows
from kseg.ops.programs.fusion import compiled, plain, training_graph
from kseg.ops.resize import spatial_shape
from kseg.ops.switches import INDEX_DTYPE, at_hand, check_indices, check_unpooling, unpooled_size
from kseg.ops.windows import pooling_axes, window_and_stride

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

MODES = ("average", "max")
FUSED_FROM = 2**17  # values in the map of one image; below, compiling (half a second) is not paid back soon
FUSED_PLACES = 9  # in a window; XLA compiles for a minute at 256


def max_pool_with_argmax(x, pool_size=2, strides=None, padding="same"):
    """Pool by maximum, and give the flat index of every maximum.

    Args:
        x: tensor `(batch, height, width, channels)`.
        pool_size: size of the window, an integer or (height, width).
        strides: steps between windows; None takes the window.
        padding: "same" or "valid", as in `tf.nn.max_pool_with_argmax`.

    Returns:
        `(pooled, argmax)`, both `(batch, rows, columns, channels)`. `argmax` holds
        `(y * width + x) * channels + channel` with `y`, `x` on the unpadded map and the batch left out: bit
        for bit what `tf.nn.max_pool_with_argmax(include_batch_in_index=False)` gives (int64; int32 under
        JAX). Of equal values the first in reading order counts.

    Raises:
        SettingsError: a window or stride below 1, or a map smaller than a "valid" window.

    Example:

    >>> x = np.array([[1.0, 5.0], [2.0, 3.0]]).reshape(1, 2, 2, 1)
    >>> pooled, argmax = kseg.ops.pooling.max_pool_with_argmax(x)
    >>> float(pooled[0, 0, 0, 0]), int(argmax[0, 0, 0, 0])
    (5.0, 1)
    """
    rows, columns = pooling_axes(spatial_shape(x), pool_size, strides, padding)
    steps = windows.Steps.of_map(columns, x.shape[-1])
    if keras.backend.backend() != "tensorflow":
        _, argmax, offset = _pool(ops.stop_gradient(x), rows, columns, steps)
        pooled = windows.pick(x, offset, rows, columns, steps)  # has the gradient of the first maximum alone
        return pooled, argmax

    x = tf.convert_to_tensor(x)
    run, larger = plain, ops.maximum
    if _pays(x, rows, columns):
        run, larger, steps = compiled, windows.larger_or_nan, windows.Steps.of_window(columns)

    @tf.custom_gradient
    def pool(x):
        pooled, argmax, offset = run(_pool, rows, columns, steps, larger)(x)
        place = run(windows.place, rows, columns, steps)
        return (pooled, argmax), lambda upstream, _: place(upstream, offset)

    return pool(x)


def max_unpool(pooled, argmax, pool_size=2, strides=None, padding="same", size=None):
    """Put pooled values back where their maxima stood; every other place is zero.

    Args:
        pooled: tensor `(batch, rows, columns, channels)`.
        argmax: indices of the same shape, as `max_pool_with_argmax` with the same window, stride and padding
            gives them.
        pool_size, strides, padding: the settings of the pooling.
        size: (height, width) of the result, integers or scalar tensors: the size of the map that was
            pooled. By default the pooled size times the stride ("same") or the least size that holds the
            windows ("valid"), which is right where that size was a multiple of the stride.

    Returns:
        `(batch, height, width, channels)`. Where windows overlap and several hold their maximum at one place,
        that place gets the mean of their values: pooling and unpooling in a row then gives each maximum
        itself, as PyTorch's `MaxUnpool2d` does, and does not depend on any order. The gradient is that of the
        mean.

    Raises:
        SettingsError: indices of another shape, a size that such a pooling cannot have come from, or, in
            eager execution, indices out of range or outside their window. A compiled graph leaves values with
            such an index out.

    Example:

    >>> x = np.array([[1.0, 5.0], [2.0, 3.0]]).reshape(1, 2, 2, 1)
    >>> pooled, argmax = kseg.ops.pooling.max_pool_with_argmax(x)
    >>> np.asarray(kseg.ops.pooling.max_unpool(pooled, argmax))[0, :, :, 0].tolist()
    [[0.0, 5.0], [0.0, 0.0]]
    """
    window, stride = window_and_stride(pool_size, strides, padding)
    counts = spatial_shape(pooled)
    if size is None:
        size = [unpooled_size(*each, padding) for each in zip(counts, window, stride, strict=True)]
    size = size[0], size[1]
    check_unpooling(pooled, argmax, window, stride, padding, size)
    rows, columns = pooling_axes(size, window, stride, padding)
    # The sizes of the pooled map itself: known where those of `like` are not, and the other way round.
    rows, columns = (axis._replace(count=n) for axis, n in zip((rows, columns), counts, strict=True))
    if at_hand(argmax):
        check_indices(argmax, rows, columns)
    run, steps = plain, windows.Steps.of_map(columns, pooled.shape[-1])
    if keras.backend.backend() != "tensorflow":
        return _unpool(pooled, argmax, rows, columns, steps)[0]
    pooled, argmax = tf.convert_to_tensor(pooled), tf.convert_to_tensor(argmax)
    if _pays(pooled, rows, columns):
        run, steps = compiled, windows.Steps.of_window(columns)

    @tf.custom_gradient
    def unpool(pooled):
        placed, offset, shares = run(_unpool, rows, columns, steps)(pooled, argmax)

        def gradient(upstream: Any) -> Any:
            upstream = upstream if shares is None else upstream / shares
            return run(windows.pick, rows, columns, steps)(upstream, offset)

        return placed, gradient

    return unpool(pooled)


def grid_pool(x, bins, mode="average"):
    """Pool a map of any size to a grid of bins (adaptive pooling).

    Bin i of n covers the places from floor(i * size / n) to ceil((i + 1) * size / n), the end left out, as in
    PyTorch's `AdaptiveAvgPool2d` and `AdaptiveMaxPool2d`: neighbours overlap where n does not divide the
    size, and a map smaller than the grid is repeated. Where both sizes are known and divide, this is plain
    pooling.

    Args:
        x: tensor `(batch, height, width, channels)`; sizes may be known only when the graph runs.
        bins: bins along each axis, an integer or (rows, columns).
        mode: "average" or "max".

    Returns:
        Tensor `(batch, rows, columns, channels)` of the dtype of `x`. Averages of half-precision maps are
        summed in float32.

    Raises:
        SettingsError: bins below 1, another mode, or a tensor that does not have four dimensions.

    Example:

    >>> y = kseg.ops.pooling.grid_pool(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2))
    >>> np.asarray(y)[0, 0, :, 0].tolist()
    [1.0, 3.0]
    """
    grid = checks.pair(bins, "bins")
    if len(x.shape) != 4:
        raise SettingsError(
            f"Pooling takes (batch, height, width, channels), not a tensor of {tuple(x.shape)}."
        )
    if mode not in MODES:
        raise SettingsError(f"`mode` is one of {', '.join(MODES)}, not {mode!r}.")
    if mode == "average" and keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16"):
        return ops.cast(grid_pool(ops.cast(x, "float32"), bins), x.dtype)
    sizes = spatial_shape(x)
    if all(isinstance(size, int) and size % n == 0 for size, n in zip(sizes, grid, strict=True)):
        window = tuple(size // n for size, n in zip(sizes, grid, strict=True))
        if window == (1, 1):
            return x
        pool = ops.max_pool if mode == "max" else ops.average_pool
        return pool(x, window, window, "valid", "channels_last")
    if mode == "max":
        return _bin_maxima(_bin_maxima(x, sizes[0], grid[0], 1), sizes[1], grid[1], 2)
    # Both axes as products with a matrix of bin weights: one pass over the map, whatever its size.
    height, width = sizes
    channels = x.shape[-1]
    lines = ops.reshape(x, (-1, height, width * channels))
    lines = ops.matmul(_bin_weights(height, grid[0], x.dtype), lines)
    cells = ops.reshape(lines, (-1, width, channels))
    cells = ops.matmul(_bin_weights(width, grid[1], x.dtype), cells)
    return ops.reshape(cells, (-1, *grid, channels))


def _edges(i: Any, size: Any, n: int) -> tuple[Any, Any]:
    return i * size // n, ((i + 1) * size + n - 1) // n


def _bin_maxima(x, size, n, dim):
    edges = [_edges(i, size, n) for i in range(n)]
    parts = [x[:, a:b] if dim == 1 else x[:, :, a:b] for a, b in edges]
    return ops.stack([ops.max(part, axis=dim) for part in parts], axis=dim)


def _bin_weights(size: Any, n: int, dtype: Any) -> Any:
    """`(n, size)`: 1 / length in the places of each bin, 0 elsewhere."""
    library = np if isinstance(size, int) else ops
    i = library.arange(n, dtype="int32")
    start, stop = _edges(i, size, n)
    place = library.arange(size, dtype="int32")
    inside = library.logical_and(place[None] >= start[:, None], place[None] < stop[:, None])
    length = (stop - start)[:, None]
    return ops.cast(inside, dtype) / ops.cast(length, dtype)


def _pays(x, rows, columns):
    """Whether to run as compiled programs: in training, on large maps of known size, for small windows."""
    sizes = [n for axis in (rows, columns) for n in axis] + [x.shape[-1]]
    return (
        all(isinstance(n, int) for n in sizes)
        and rows.size * columns.size * x.shape[-1] >= FUSED_FROM
        and rows.window * columns.window <= FUSED_PLACES
        and columns.window <= columns.size  # else two places of a window may have one index
        and training_graph()
    )


def _pool(x, rows, columns, steps, larger=ops.maximum):
    pooled, offset = windows.first_maximum(x, rows, columns, steps, larger)
    starts = _window_starts(rows, columns, x.shape[-1])
    distance = windows.distance_of(offset, columns, x.shape[-1], steps)
    return pooled, ops.cast(ops.cast(distance, starts.dtype) + starts, INDEX_DTYPE), offset


def _unpool(pooled, argmax, rows, columns, steps):
    """The unpooled map, the offsets, and how many windows share each place (None: at most one)."""
    starts = _window_starts(rows, columns, pooled.shape[-1])
    distance = ops.cast(ops.cast(argmax, starts.dtype) - starts, "int32")
    offset = windows.offset_of(distance, rows, columns, pooled.shape[-1], steps)
    if rows.reach == columns.reach == 1:
        return windows.place(pooled, offset, rows, columns, steps), offset, None
    # Half precision would overflow in the sum of a few large values.
    half = keras.backend.standardize_dtype(pooled.dtype) in ("float16", "bfloat16")
    values = ops.cast(pooled, "float32") if half else pooled
    shares = ops.maximum(windows.place(ops.ones_like(values), offset, rows, columns, steps), 1)
    placed = windows.place(values, offset, rows, columns, steps) / shares
    return ops.cast(placed, pooled.dtype), offset, ops.cast(shares, pooled.dtype)


def _window_starts(rows: Any, columns: Any, channels: int) -> Any:
    """Flat index of every window's start (which may lie ahead of the map), `(rows, columns, channels)`."""
    known = isinstance(rows.size, int) and isinstance(columns.size, int)
    dtype = "int64" if known and rows.size * columns.size * channels >= 2**31 else "int32"
    y, x = (ops.arange(a.count, dtype=dtype) * a.stride - ops.cast(a.before, dtype) for a in (rows, columns))
    flat = y[:, None, None] * (columns.size * channels) + x[None, :, None] * channels
    return flat + ops.arange(channels, dtype=dtype)
