"""An optimizer's update of one variable as a single operation, where the backend has one."""

from typing import Any

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def one_operation(variable: Any, gradient: Any) -> bool:
    """Whether `adam` and `momentum` can update a variable.

    Keras composes an update of a dozen operations, each of which walks the variable; with two hundred variables they
    are most of a training graph's operations, and building it takes seconds. TensorFlow has one operation for it, for
    a float32 variable on one device and a gradient that is no `tf.IndexedSlices`.

    Args:
        variable: what `keras.optimizers.Optimizer.update_step` is given.
        gradient: its gradient.
    """
    if keras.backend.backend() != "tensorflow" or tf.distribute.has_strategy():
        return False
    return variable.dtype == "float32" and isinstance(gradient, tf.Tensor)


def adam_powers(iterations: Any, beta_1: float, beta_2: float) -> tuple[Any, Any]:
    """`(beta_1 ** step, beta_2 ** step)` of the step after so many."""
    step = keras.ops.cast(iterations + 1, "float32")
    return keras.ops.power(beta_1, step), keras.ops.power(beta_2, step)


def adam(variable, first, second, powers, rate, betas, epsilon, gradient) -> None:
    """Adam's update of a variable and its two moments.

    Args:
        variable: that `one_operation` answers True for.
        first, second: its moments, Keras variables.
        powers: of `adam_powers`.
        rate: learning rate.
        betas: `(beta_1, beta_2)`.
        epsilon: added to the root of the second moment.
        gradient: of the variable's shape.
    """
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=first.value.handle,
        v=second.value.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=tf.cast(rate, tf.float32),
        beta1=betas[0],
        beta2=betas[1],
        epsilon=epsilon,
        grad=tf.cast(gradient, tf.float32),
    )


def momentum(variable, velocity, rate, momentum, nesterov, gradient) -> None:
    """The update of gradient descent with momentum: `v = momentum * v - rate * gradient`, `w = w + v`.

    Args:
        variable: that `one_operation` answers True for.
        velocity: its velocity, a Keras variable.
        rate: learning rate.
        momentum: momentum.
        nesterov: whether it is Nesterov's.
        gradient: of the variable's shape.
    """
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=velocity.value.handle,
        lr=tf.cast(rate, tf.float32),
        grad=gradient,
        momentum=momentum,
        use_nesterov=nesterov,
    )
