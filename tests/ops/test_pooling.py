"""Pooling against TensorFlow's own operation, plain scattering, PyTorch and loops over bins."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kseg.errors import SettingsError
from kseg.ops import pooling

CASES = [
    ((8, 8), 2, None, "same"),
    ((7, 9), 2, None, "same"),
    ((13, 6), (3, 2), None, "same"),
    ((7, 7), 3, 2, "same"),
    ((9, 8), 3, 1, "valid"),
    ((9, 8), 2, 3, "valid"),
    ((1, 5), 2, None, "same"),
]


def _map(size, ties, channels=3):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=(2, *size, channels)) if ties else rng.normal(size=(2, *size, channels))
    return x.astype("float32")


def _scattered(values, indices, shape):
    """Every value written at its index, as PyTorch does: equal values overwrite each other."""
    out = np.zeros((shape[0], np.prod(shape[1:])), "float32")
    for b in range(shape[0]):
        out[b][np.asarray(indices)[b].ravel()] = np.asarray(values)[b].ravel()
    return out.reshape(shape)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("size", "window", "stride", "padding"), CASES)
def test_values_and_indices_are_tensorflows(size, window, stride, padding, ties):
    x = _map(size, ties)
    values, indices = pooling.max_pool_with_argmax(x, window, stride, padding)
    want, want_indices = tf.nn.max_pool_with_argmax(x, window, stride or window, padding.upper())
    assert keras.backend.standardize_dtype(indices.dtype) == pooling.INDEX_DTYPE
    np.testing.assert_array_equal(values, want)
    np.testing.assert_array_equal(indices, want_indices)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("size", "window", "stride", "padding"), CASES)
def test_unpooling_restores_every_maximum_and_its_gradient(size, window, stride, padding, ties, gradients):
    x = _map(size, ties)
    weight = np.random.default_rng(1).normal(size=x.shape).astype("float32")

    def there_and_back(x):
        pooled = pooling.max_pool_with_argmax(x, window, stride, padding)
        return pooling.max_unpool(*pooled, window, stride, padding, size)

    y = there_and_back(x)
    (gradient,) = gradients(lambda x: ops.sum(there_and_back(x) * weight), x)
    want = tf.nn.max_pool_with_argmax(x, window, stride or window, padding.upper())
    np.testing.assert_allclose(y, _scattered(*want, x.shape), rtol=1e-6)
    # Each maximum goes through once, however many windows share it.
    reached = _scattered(np.ones_like(want[0]), want[1], x.shape)
    np.testing.assert_allclose(gradient, reached * weight, rtol=1e-5)


def test_the_mean_of_the_windows_that_share_a_place():
    x = np.array([0, 0, 9, 0, 0], "float32").reshape(1, 1, 5, 1)
    _, argmax = pooling.max_pool_with_argmax(x, (1, 3), 1, "valid")
    np.testing.assert_array_equal(np.ravel(argmax), [2, 2, 2])
    y = pooling.max_unpool(np.array([1, 2, 6], "float32").reshape(1, 1, 3, 1), argmax, (1, 3), 1, "valid")
    np.testing.assert_array_equal(np.ravel(y), [0, 0, 3, 0, 0])


@pytest.mark.tensorflow
def test_second_gradient():
    x = tf.constant(_map((4, 4), False))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(pooling.max_unpool(*pooling.max_pool_with_argmax(x)) ** 3)
        first = tf.reduce_sum(tape.gradient(y, x))
    reached = pooling.max_unpool(*pooling.max_pool_with_argmax(x))
    np.testing.assert_allclose(outer.gradient(first, x), 6 * reached, rtol=1e-5)


@pytest.mark.full
@pytest.mark.tensorflow
@pytest.mark.parametrize(("size", "window", "stride", "padding"), CASES[1:4:2])
def test_unknown_sizes_and_xla_give_the_same_bits(size, window, stride, padding):
    x = tf.constant(_map(size, False))

    def there_and_back(x):
        pooled, argmax = pooling.max_pool_with_argmax(x, window, stride, padding)
        return pooled, argmax, pooling.max_unpool(pooled, argmax, window, stride, padding, tf.shape(x)[1:3])

    def known(x):
        pooled, argmax = pooling.max_pool_with_argmax(x, window, stride, padding)
        return pooled, argmax, pooling.max_unpool(pooled, argmax, window, stride, padding, x.shape[1:3])

    dynamic = tf.function(there_and_back, input_signature=[tf.TensorSpec((None, None, None, 3))])
    compiled = tf.function(known, jit_compile=True)
    for got in (dynamic(x), compiled(x)):
        for a, b in zip(got, known(x), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.tensorflow
@pytest.mark.full
def test_gradient_compiles():
    x = tf.constant(_map((7, 9), True))

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(pooling.max_unpool(*pooling.max_pool_with_argmax(x), size=(7, 9)) ** 2)
        return tape.gradient(y, x)

    np.testing.assert_array_equal(tf.function(gradient, jit_compile=True)(x), gradient(x))


_DOUBLE = pytest.param("float64", marks=pytest.mark.tensorflow)  # JAX makes float32 of it


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", _DOUBLE, "int32"])
def test_other_dtypes(dtype):
    x = ops.cast(np.random.default_rng(0).integers(-99, 99, size=(1, 5, 6, 2)), dtype)
    values, indices = pooling.max_pool_with_argmax(x)
    want, want_indices = tf.nn.max_pool_with_argmax(np.array(ops.cast(x, "float32")), 2, 2, "SAME")
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(ops.cast(values, "float32"), want)
    np.testing.assert_array_equal(indices, want_indices)
    y = pooling.max_unpool(values, indices, size=(5, 6))
    np.testing.assert_array_equal(ops.cast(y, "float32"), _scattered(want, want_indices, x.shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_overlapping_windows_keep_dtype_and_large_values(dtype, gradients):
    """The value that nine windows share is above a ninth of what float16 holds."""
    x = np.zeros((1, 5, 5, 1), "float32")
    x[0, 2, 2] = 32768
    x = ops.cast(x, dtype)
    y = pooling.max_unpool(*pooling.max_pool_with_argmax(x, 3, 1), 3, 1, size=(5, 5))
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(ops.cast(y, "float32"), ops.cast(x, "float32"))
    if dtype != "int32":
        pooled, argmax = pooling.max_pool_with_argmax(x, 3, 1)
        (gradient,) = gradients(lambda v: ops.sum(pooling.max_unpool(v, argmax, 3, 1, size=(5, 5))), pooled)
        assert gradient.dtype == x.dtype
        np.testing.assert_allclose(ops.cast(gradient, "float32")[0, 1:4, 1:4], 1 / 9, rtol=1e-2)


def _bins(x, grid, reduce):
    """Adaptive pooling by its definition, bin by bin."""
    height, width = x.shape[1:3]
    out = np.empty((x.shape[0], *grid, x.shape[3]), "float64")
    for i, j in np.ndindex(grid):
        top, bottom = i * height // grid[0], -(-(i + 1) * height // grid[0])
        left, right = j * width // grid[1], -(-(j + 1) * width // grid[1])
        out[:, i, j] = reduce(x[:, top:bottom, left:right].astype("float64"), axis=(1, 2))
    return out


GRIDS = [
    ((12, 18), (6, 6)),
    ((13, 7), (1, 1)),
    ((13, 7), (3, 3)),
    ((13, 7), (6, 2)),
    ((2, 5), (3, 6)),
    ((6, 6), (6, 6)),
]


@pytest.mark.parametrize(("mode", "reduce"), [("average", np.mean), ("max", np.max)])
@pytest.mark.parametrize(("size", "grid"), GRIDS)
def test_grid_pool_covers_its_bins(size, grid, mode, reduce):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    want = _bins(x, grid, reduce)
    np.testing.assert_allclose(pooling.grid_pool(x, grid, mode), want, atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("mode", "reduce"), [("average", np.mean), ("max", np.max)])
@pytest.mark.parametrize(("size", "grid"), GRIDS)
def test_grid_pool_of_unknown_sizes(size, grid, mode, reduce):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    want = _bins(x, grid, reduce)
    dynamic = tf.function(
        lambda x: pooling.grid_pool(x, grid, mode), input_signature=[tf.TensorSpec((None, None, None, 3))]
    )
    np.testing.assert_allclose(dynamic(x), want, atol=1e-6)


def test_grid_pool_sums_half_precision_in_float32():
    x = np.full((1, 40, 41, 1), 3.0, "float16")  # 1640 threes exceed what float16 counts exactly
    y = pooling.grid_pool(ops.convert_to_tensor(x), 1)
    assert keras.backend.standardize_dtype(y.dtype) == "float16"
    np.testing.assert_array_equal(y, np.full((1, 1, 1, 1), 3.0))


@pytest.mark.parametrize(
    ("bins", "mode"),
    [
        (0, "average"),
        ((1, -2), "max"),
        (2, "median"),
        ("3", "max"),
        ("23", "max"),
        (2.5, "max"),
        ((2, 1.5), "max"),
    ],
)
def test_grid_pool_refuses(bins, mode):
    with pytest.raises(SettingsError):
        pooling.grid_pool(np.zeros((1, 4, 4, 1), "float32"), bins, mode)


def test_grid_pool_of_other_dimensions_and_numpys_integers():
    for shape in ((4, 4, 1), (1, 1, 4, 4, 1)):
        with pytest.raises(SettingsError, match="batch, height, width, channels"):
            pooling.grid_pool(np.zeros(shape, "float32"), 2)
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(pooling.grid_pool(x, np.int64(2)), pooling.grid_pool(x, (2, np.int32(2))))


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["average", "max"])
@pytest.mark.parametrize("size", [(60, 60), (45, 61), (7, 13), (4, 5)])
def test_grid_pool_is_pytorchs_adaptive_pooling(size, mode):
    torch = pytest.importorskip("torch")
    theirs = {"average": torch.nn.AdaptiveAvgPool2d, "max": torch.nn.AdaptiveMaxPool2d}[mode]
    x = np.random.default_rng(0).normal(size=(2, *size, 4)).astype("float32")
    for bins in (1, 2, 3, 6):
        there = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
        (theirs(bins)(there) ** 2).sum().backward()
        here = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(here)
            y = pooling.grid_pool(here, bins, mode)
            loss = tf.reduce_sum(y**2)
        want = theirs(bins)(there).detach().numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(y, want, atol=1e-5)
        np.testing.assert_allclose(
            tape.gradient(loss, here), there.grad.numpy().transpose(0, 2, 3, 1), atol=1e-5
        )


@pytest.mark.parity
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("size", "window", "stride"), [((8, 8), 2, 2), ((9, 7), 2, 2), ((9, 9), 3, 3), ((10, 8), 2, 3)]
)
def test_pool_and_unpool_are_pytorchs(size, window, stride, ties):
    torch = pytest.importorskip("torch")
    x = _map(size, ties)
    there = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    values, indices = torch.nn.MaxPool2d(window, stride, return_indices=True)(there)
    want = torch.nn.MaxUnpool2d(window, stride)(values, indices, output_size=size)
    ((want + 1) ** 3).sum().backward()
    here = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(here)
        pooled = pooling.max_pool_with_argmax(here, window, stride, "valid")
        y = pooling.max_unpool(*pooled, window, stride, "valid", size)
        loss = tf.reduce_sum((y + 1) ** 3)
    np.testing.assert_array_equal(y, want.detach().numpy().transpose(0, 2, 3, 1))
    np.testing.assert_allclose(tape.gradient(loss, here), there.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-6)


@pytest.mark.parametrize("mode", ["average", "max"])
@pytest.mark.parametrize(("size", "bins"), [((3, 8), (3, 4)), ((8, 3), (4, 3)), ((3, 4), (3, 4))])
def test_bins_that_divide_along_one_axis_alone(size, bins, mode):
    x = _map(size, ties=False)
    windows = x.reshape(2, bins[0], size[0] // bins[0], bins[1], size[1] // bins[1], 3)
    expected = windows.mean((2, 4)) if mode == "average" else windows.max((2, 4))
    np.testing.assert_allclose(np.asarray(pooling.grid_pool(x, bins, mode)), expected, rtol=1e-5, atol=1e-6)
