"""When element-wise steps are compiled into one program, and that nothing else changes."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.ops import pooling
from kseg.ops.fusion import fused, fused_gradient

pytestmark = pytest.mark.tensorflow
X = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype("float32")


def scaled_and_none(x, factor):
    return x * factor, None


def _programs(function, *arguments):
    """How many programs of XLA the graph of a function calls."""
    graph = tf.function(function, autograph=False).get_concrete_function(*arguments).graph
    compiled = {
        f.signature.name for f in graph.as_graph_def().library.function if f.attr["_XlaMustCompile"].b
    }
    return sum(node.attr["f"].func.name in compiled for node in graph.as_graph_def().node)


def _there_and_back(x):
    return pooling.max_unpool(*pooling.max_pool_with_argmax(x))


def _gradient(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(_there_and_back(x) ** 2)
    return tape.gradient(y, x)


def test_a_program_where_a_gradient_is_recorded_and_none_where_models_are_exported():
    x = tf.constant(X)
    assert _programs(_there_and_back, x) == 0
    assert _programs(_gradient, x) == 4  # pooling, unpooling, and the way back through each


def test_sizes_known_only_at_run_time_are_left_as_they_are():
    assert _programs(_gradient, tf.TensorSpec((None, None, None, 3))) == 0
    factor = tf.constant(2.0)
    np.testing.assert_array_equal(fused_gradient(scaled_and_none, factor)(tf.constant(X))[0], X * 2)


def test_the_batch_may_be_unknown():
    run = tf.function(_gradient, input_signature=[tf.TensorSpec((None, 6, 8, 3))], autograph=False)
    np.testing.assert_array_equal(run(tf.constant(X)), _gradient(tf.constant(X)))
    assert run(tf.constant(X[:1])).shape == (1, 6, 8, 3)


@pytest.mark.parametrize(("window", "stride", "size"), [(2, 2, (6, 8)), (3, 2, (6, 8)), (2, 3, (6, 8))])
def test_the_program_gives_the_same_bits(window, stride, size):
    def there_and_back(x):
        pooled = pooling.max_pool_with_argmax(x, window, stride)
        return *pooled, pooling.max_unpool(*pooled, window, stride, size=size)

    plain = there_and_back(tf.constant(X))
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        recorded = there_and_back(x)
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_settings_share_one_program_and_the_shape_stays_known():
    assert fused_gradient(scaled_and_none, 3.0) is fused_gradient(scaled_and_none, 3.0)
    with tf.GradientTape():
        program = fused(scaled_and_none, 3.0)
        assert program is fused_gradient(scaled_and_none, 3.0)
    assert fused(scaled_and_none, 3.0) is not program
    y, nothing = program(tf.constant(X))
    assert nothing is None
    np.testing.assert_array_equal(y, X * 3)
    graph = tf.function(lambda x: program(x)[0], autograph=False).get_concrete_function(tf.constant(X)).graph
    assert "EnsureShape" in {node.op for node in graph.as_graph_def().node}
