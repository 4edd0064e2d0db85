"""Computing a part of a network once more for its gradient, rather than keeping what it computed."""

from collections.abc import Callable
from typing import Any

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def recomputed(function: Callable[..., tuple[list, Any]]) -> Callable[..., tuple[list, Any]]:
    """Let a function keep its arguments for the gradient, and nothing of what it computes on the way.

    Args:
        function: of tensors alone, to (results that have a gradient, other results). It reads no variable that is
            trained, changes none, and gives the same each time: random numbers come from seeds that it is given or
            has.

    Returns:
        The same function, to be called where a gradient is recorded. The gradient runs it a second time.

    Reference:
        Chen et al., 2016, arXiv 1604.06174.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.checkpoint(function)
    if keras.backend.backend() == "torch":
        from torch.utils.checkpoint import checkpoint

        return lambda *tensors: checkpoint(function, *tensors, use_reentrant=False)

    # Not tf.recompute_grad, which adds a zero to every argument, so that all of them are copied.
    @tf.custom_gradient
    def forward(*tensors):
        def gradient(*upstream: Any) -> list:
            # Not before the gradient has come as far as here: nothing else keeps the second run from being the first.
            with tf.control_dependencies([one for one in upstream if one is not None]):
                again = [tf.identity(one) for one in tensors]
            with tf.GradientTape() as tape:
                tape.watch([one for one in again if one.dtype.is_floating])
                results = function(*again)[0]
            pairs = [pair for pair in zip(results, upstream, strict=False) if pair[1] is not None]
            results, upstream = zip(*pairs, strict=True)
            return tape.gradient(results, again, list(upstream), tf.UnconnectedGradients.ZERO)

        return function(*tensors), gradient

    return forward
