"""Running a chain of element-wise steps as one program while training, where that is sure to be paid back."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    from tensorflow.python.eager import context, record  # what is asked here has no public name


def training_graph() -> bool:
    """Whether a graph is being built and a gradient recorded in it, as in the training step of Keras's `fit`.

    There shapes are few and come back, so that compiling is paid back, and nothing is exported (ONNX does not take a
    compiled part of a graph). Where TensorFlow's debugger looks at every operation
    (`tf.debugging.enable_check_numerics`), nothing may be hidden from it, and this is False.
    """
    if keras.backend.backend() != "tensorflow" or tf.executing_eagerly():
        return False
    return record.could_possibly_record() and not context.context().op_callbacks


def plain(function: Callable[..., Any], *settings: Any) -> Callable[..., Any]:
    """A function of tensors alone that runs `function(*tensors, *settings)` as it is."""
    return lambda *tensors: function(*tensors, *settings)


def compiled(function: Callable[..., Any], *settings: Any) -> Callable[..., Any]:
    """As `plain`, but as one XLA program.

    Comparisons and selections are bound by memory: an operation at a time, each of them reads and writes its maps
    again; the program reads and writes once. It is compiled for every shape that comes. Comparisons and selections
    give the same bits, but for the sign of a zero that is the maximum of two.

    Args:
        function: of tensors and settings, without variables; a function of a module, not a closure.
        settings: hashable.
    """

    def run(*tensors):
        # Sparse gradients become maps; taken into this graph first, tensors of a graph around it (a branch of
        # `tf.cond`) are not captured from inside of the program.
        tensors = [tf.identity(tf.convert_to_tensor(t)) for t in tensors]
        specs = tuple(tf.TensorSpec(t.shape, t.dtype) for t in tensors)
        return tf.nest.map_structure(_with_known_shape, _program(function, settings, specs)(*tensors))

    return run


@lru_cache(maxsize=256)
def _program(
    function: Callable[..., Any], settings: tuple[Any, ...], specs: tuple[Any, ...]
) -> Callable[..., Any]:
    def program(*tensors):
        return function(*tensors, *settings)

    return tf.function(program, input_signature=specs, jit_compile=True, autograph=False)


def _with_known_shape(y: Any) -> Any:
    """Tell the optimiser of graphs, which does not look into programs and does less for maps of unknown shape."""
    if y is None or 0 in y.shape or y.shape[1:].rank is None or not y.shape[1:].is_fully_defined():
        return y
    return tf.reshape(y, [-1, *y.shape[1:]] if y.shape[0] is None else y.shape)
