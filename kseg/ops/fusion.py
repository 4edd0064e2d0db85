"""Running many element-wise steps as one program, where that is sure to be paid back."""

from functools import lru_cache

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    from tensorflow.python.eager.record import could_possibly_record  # has no public name


def fused(function, *settings):
    """`function` of tensors, in training as one XLA program instead of an operation at a time.

    A chain of comparisons and selections is bound by memory: each step reads and writes its maps again, the
    program reads and writes once. It is compiled for every new shape, and what it is part of cannot be converted
    to LiteRT or ONNX. So it is taken only where a gradient is being recorded or computed: there shapes are few and
    come back, and nothing is exported. What it gives is the same everywhere, bit for bit.

    Args:
        function: of `(*tensors, *settings)`, without variables; a function of a module, not a closure.
        settings: hashable; where they hold tensors, nothing is compiled.
    """
    if keras.backend.backend() != "tensorflow" or not could_possibly_record():
        return lambda *tensors: function(*tensors, *settings)
    return fused_gradient(function, *settings)


def fused_gradient(function, *settings):
    """`function` as `fused` has it, for a place that runs in training alone."""
    if keras.backend.backend() != "tensorflow" or any(tf.is_tensor(v) for v in tf.nest.flatten(settings)):
        return lambda *tensors: function(*tensors, *settings)
    return _program(function, settings)


@lru_cache(maxsize=256)
def _program(function, settings):
    program = tf.function(lambda *tensors: function(*tensors, *settings), jit_compile=True, autograph=False)

    # The optimiser of graphs does not look into the program, and does less for maps whose shape it cannot tell.
    def shaped(y):
        return y if y is None else tf.ensure_shape(y, y.shape)

    return lambda *tensors: tf.nest.map_structure(shaped, program(*tensors))
