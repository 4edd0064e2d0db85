"""When pooling is compiled into programs, that results stay what they are, and what programs must stand."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.ops import pooling
from kseg.ops.programs import fusion

pytestmark = pytest.mark.tensorflow
LARGE = np.random.default_rng(0).normal(size=(2, 64, 64, 32)).astype("float32")


def there_and_back(x, window=2, stride=None):
    pooled = pooling.max_pool_with_argmax(x, window, stride)
    return pooling.max_unpool(*pooled, window, stride, size=tuple(x.shape[1:3]))


def gradient(x, function=there_and_back):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
        y = tf.reduce_sum(y * y)
    return tape.gradient(y, x)


def programs(function, *arguments):
    """How many programs of XLA the graph of a function calls."""
    graph = tf.function(function, autograph=False).get_concrete_function(*arguments).graph
    compiled = {
        f.signature.name for f in graph.as_graph_def().library.function if f.attr["_XlaMustCompile"].b
    }
    return sum(node.attr["f"].func.name in compiled for node in graph.as_graph_def().node)


def test_programs_in_training_and_none_in_what_is_exported():
    assert programs(gradient, tf.constant(LARGE)) == 4  # pooling, unpooling, and the way back through each
    assert programs(there_and_back, tf.constant(LARGE)) == 0


@pytest.mark.parametrize(
    "x",
    [tf.TensorSpec((None, None, None, 32)), tf.TensorSpec((8, 8, 8, 32))],
    ids=["sizes known when it runs", "small maps"],
)
def test_no_programs_where_compiling_does_not_pay(x):
    def any_size(x):
        return pooling.max_unpool(*pooling.max_pool_with_argmax(x), size=tuple(tf.unstack(tf.shape(x)[1:3])))

    assert programs(lambda x: gradient(x, any_size if x.shape[1] is None else there_and_back), x) == 0


def test_no_programs_for_large_windows():
    assert programs(lambda x: gradient(x, lambda x: there_and_back(x, 4)), tf.constant(LARGE)) == 0
    assert programs(lambda x: gradient(x, lambda x: there_and_back(x, 3)), tf.constant(LARGE)) == 4


def test_no_programs_where_two_places_of_a_window_have_one_index():
    narrow = tf.TensorSpec((1, 2**12, 2, 16))
    assert programs(lambda x: gradient(x, lambda x: there_and_back(x, 3)), narrow) == 0
    assert programs(lambda x: gradient(x, lambda x: there_and_back(x, 2)), narrow) == 4


@pytest.mark.full
@pytest.mark.parametrize(
    ("dtype", "batch", "window", "stride"),
    [
        ("float32", 2, 2, None),
        ("float32", None, 2, None),
        ("float16", 2, 2, None),
        ("float16", None, 3, 2),
        ("bfloat16", 2, (2, 3), (1, 2)),
        ("float64", 2, 3, 2),
        ("float32", 2, 2, 3),
    ],
)
def test_programs_give_the_bits_of_plain_operations(dtype, batch, window, stride):
    x = np.random.default_rng(1).normal(size=(2, 67, 66, 32)).clip(0)  # with ties
    x = tf.cast(x, dtype)

    def all_of_it(x):
        pooled = pooling.max_pool_with_argmax(x, window, stride)
        return (
            *pooled,
            there_and_back(x, window, stride),
            gradient(x, lambda x: there_and_back(x, window, stride)),
        )

    fused = tf.function(
        all_of_it, input_signature=[tf.TensorSpec((batch, *x.shape[1:]), dtype)], autograph=False
    )
    assert programs(fused.python_function, *fused.input_signature) == 4
    for a, b in zip(fused(x), all_of_it(x), strict=True):  # run eagerly it is plain
        assert a.shape == b.shape
        np.testing.assert_array_equal(tf.cast(a, "float64"), tf.cast(b, "float64"))


def test_a_program_leaves_values_out_whose_index_is_outside_of_its_window():
    pooled, argmax = (np.array(t) for t in pooling.max_pool_with_argmax(LARGE))
    wrong = argmax.copy()
    wrong[0, 1, 1, :3] = -1, argmax[0, 1, 2, 1], argmax.max() + 32
    wrong[1, 5, 6, 7] += 1  # another channel

    def recorded(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            y = pooling.max_unpool(values, wrong)
        return y, tape.gradient(y, values)

    assert programs(recorded, tf.constant(pooled)) == 2
    y, reached = tf.function(recorded)(tf.constant(pooled))
    np.testing.assert_array_equal(reached, np.where(wrong == argmax, 1, 0))
    np.testing.assert_array_equal(y, pooling.max_unpool(np.where(wrong == argmax, pooled, 0), argmax))


@pytest.mark.parametrize("place", range(4))
def test_what_is_not_a_number_comes_through_in_training_too(place):
    x = LARGE[:1].copy()
    x[0, 4 + place // 2, 6 + place % 2, 5] = np.nan

    def recorded(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            pooled, argmax = pooling.max_pool_with_argmax(x)
        return pooled, argmax, tape.gradient(pooled, x)

    assert programs(recorded, tf.constant(x)) == 2
    pooled, argmax, _ = tf.function(recorded)(tf.constant(x))
    plain, plain_argmax = pooling.max_pool_with_argmax(x)
    assert np.argwhere(np.isnan(pooled)).tolist() == [[0, 2, 3, 5]]
    np.testing.assert_array_equal(pooled, plain)
    np.testing.assert_array_equal(argmax, plain_argmax)


def test_within_a_branch_and_under_a_sparse_gradient():
    x = tf.constant(LARGE)
    branch = tf.function(
        lambda x, yes: gradient(x, lambda x: tf.cond(yes, lambda: there_and_back(x), lambda: 3 * x)),
        autograph=False,
    )
    np.testing.assert_array_equal(branch(x, tf.constant(True)), gradient(x))
    np.testing.assert_allclose(branch(x, tf.constant(False)), 18 * x, rtol=1e-6)
    sparse = tf.function(lambda x: gradient(x, lambda x: tf.gather(there_and_back(x), [1])), autograph=False)
    np.testing.assert_array_equal(sparse(x)[1], gradient(x)[1])
    np.testing.assert_array_equal(sparse(x)[0], np.zeros_like(x[0]))


@pytest.mark.full
def test_derivatives_of_other_kinds():
    x, direction = tf.constant(LARGE), tf.constant(LARGE[::-1].copy())

    @tf.function(autograph=False)
    def forward_mode(x):
        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
            y = there_and_back(x) ** 2
        return accumulator.jvp(y)

    @tf.function(autograph=False)
    def second(x):
        return gradient(x, gradient)

    kept = np.asarray(there_and_back(x)) != 0
    np.testing.assert_allclose(forward_mode(x), np.where(kept, 2 * LARGE * direction, 0), rtol=1e-6)
    # y = (2 x)^2 where x is kept
    np.testing.assert_allclose(second(x), np.where(kept, 8 * LARGE, 0), rtol=1e-6)


def test_nothing_is_hidden_from_tensorflows_debugger():
    tf.debugging.enable_check_numerics()
    try:
        assert programs(gradient, tf.constant(LARGE)) == 0
        tf.function(gradient, autograph=False)(tf.constant(LARGE))
    finally:
        tf.debugging.disable_check_numerics()
    assert programs(gradient, tf.constant(LARGE)) == 4


def doubled(x, factor):
    return x * factor, None


def test_one_program_for_the_same_function_settings_and_shape():
    before = fusion._program.cache_info()
    for _ in range(3):
        y, nothing = fusion.compiled(doubled, 2.0)(tf.constant(LARGE))
    after = fusion._program.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)
    assert nothing is None
    np.testing.assert_array_equal(y, fusion.plain(doubled, 2.0)(LARGE)[0])
    fusion.compiled(doubled, 2.0)(tf.constant(LARGE[:1]))
    assert fusion._program.cache_info().misses == after.misses + 1


def test_nothing_is_compiled_outside_of_a_graph_that_records():
    assert fusion.training_graph() is False
    found = []

    @tf.function
    def recorded(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            found.append(fusion.training_graph())
        found.append(fusion.training_graph())
        return tape.gradient(x * x, x)

    recorded(tf.constant(1.0))
    assert found == [True, False]
