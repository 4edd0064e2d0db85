"""A function of tensors under the compiler of Keras's backend."""

from collections.abc import Callable
from typing import Any

import keras

from kseg.parts import tensorflow as tf


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of tensors, or lists and tuples of them, with XLA under TensorFlow and JAX.

    JAX compiles it for every new shape of its arguments. TensorFlow traces it for the first shapes and once more for
    any, so axes that code counts on should always have one length. PyTorch runs it as it is.

    Args:
        function: of tensors only, in `keras.ops`.

    Returns:
        The compiled function.

    Example:

    >>> from kseg.ops.programs.compiled import compiled
    >>> double = compiled(lambda x: 2 * x)
    >>> float(double(keras.ops.convert_to_tensor(1.5)))
    3.0
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return tf.function(function, jit_compile=True, autograph=False, reduce_retracing=True)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function
