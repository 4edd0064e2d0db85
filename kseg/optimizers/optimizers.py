"""`SGD` and `AdamW` of Keras with a learning rate per layer, and the weight decay that the papers mean."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.ops import updates

# Caffe gives biases and BatchNorm's scale and offset no decay; they are the variables of one dimension.
_DECAYED_DIMENSIONS = 2


@keras.saving.register_keras_serializable(package="kseg")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent as Caffe does it, which trained the networks of this package.

    A step is `v = momentum * v - rate * (g + l2 * w)`, `w = w + v`, where `rate` is `learning_rate` times the
    multipliers of the variable. Keras's own `weight_decay` is another thing: it does not pass through the
    momentum.

    Args:
        learning_rate: a float or a `LearningRateSchedule`; `.learning_rate` stays a single value.
        momentum: momentum, in [0, 1].
        nesterov: whether to use Nesterov momentum.
        l2: weight decay, on kernels only: biases and the scale and offset of BatchNormalization have none.
        layer_multipliers: dict from layer name to a factor on the learning rate of that layer's variables.
        bias_multiplier: a further factor for biases (2 in the Caffe family).
        name: name of the optimizer.
        **kwargs: Keras's own optimizer arguments (`clipnorm`, `gradient_accumulation_steps`, ...).

    Raises:
        SettingsError: a name in `layer_multipliers` is not a layer with trainable variables.

    Reference:
        Caffe's `sgd_solver.cpp` (`lr_mult`, `decay_mult`, L2 regularisation before the momentum).

    Example:

    >>> optimizer = kseg.training.SGD(kseg.training.Poly(0.01, steps=1000), momentum=0.9, l2=5e-4)
    >>> round(float(optimizer.learning_rate), 4)
    0.01
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        nesterov: bool = False,
        l2: float = 0.0,
        layer_multipliers: Mapping[str, float] | None = None,
        bias_multiplier: float = 1.0,
        name: str = "sgd",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum=float(momentum), nesterov=nesterov, name=name, **kwargs)
        self.l2 = float(l2)
        self.layer_multipliers = dict(layer_multipliers or {})
        self.bias_multiplier = float(bias_multiplier)

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            self._rate_factors = rate_factors(variables, self.layer_multipliers, self.bias_multiplier)
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        factor = self._rate_factors[self._get_variable_index(variable)]
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2 and len(variable.shape) >= _DECAYED_DIMENSIONS:
            gradient = gradient + self.l2 * ops.convert_to_tensor(variable)
        learning_rate = learning_rate * factor
        if self.momentum and updates.one_operation(variable, gradient):
            velocity = self.momentums[self._get_variable_index(variable)]
            updates.momentum(variable, velocity, learning_rate, self.momentum, self.nesterov, gradient)
        else:
            super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        own = {
            "l2": self.l2,
            "layer_multipliers": self.layer_multipliers,
            "bias_multiplier": self.bias_multiplier,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kseg")
class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW with a learning rate per layer, and decoupled decay on kernels only.

    Args:
        learning_rate: a float or a `LearningRateSchedule`; `.learning_rate` stays a single value.
        weight_decay: a step shrinks kernels by `rate * weight_decay`, where `rate` includes the layer's
            multiplier (as in PyTorch's parameter groups); biases and the scale and offset of
            BatchNormalization are left alone.
        layer_multipliers: dict from layer name to a factor on the learning rate of that layer's variables.
        bias_multiplier: a further factor for biases.
        name: name of the optimizer.
        **kwargs: Keras's own optimizer arguments (`beta_1`, `clipnorm`, `gradient_accumulation_steps`, ...).

    Raises:
        SettingsError: a name in `layer_multipliers` is not a layer with trainable variables.

    Reference:
        Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Example:

    >>> kseg.training.AdamW(1e-3, weight_decay=0.01).weight_decay
    0.01
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        layer_multipliers: Mapping[str, float] | None = None,
        bias_multiplier: float = 1.0,
        name: str = "adamw",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, name=name, **kwargs)
        self._powers = None
        self.layer_multipliers = dict(layer_multipliers or {})
        self.bias_multiplier = float(bias_multiplier)

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            self._rate_factors = rate_factors(variables, self.layer_multipliers, self.bias_multiplier)
        super().build(variables)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        # Keras would decay with the common rate; update_step does it with the layer's own.
        pass

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        # once, not once a variable
        self._powers = updates.adam_powers(self.iterations, self.beta_1, self.beta_2)
        try:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
        finally:
            self._powers = None

    def update_step(self, gradient, variable, learning_rate):
        number = self._get_variable_index(variable)
        learning_rate = learning_rate * self._rate_factors[number]
        if self.weight_decay and len(variable.shape) >= _DECAYED_DIMENSIONS:
            shrink = ops.cast(learning_rate * self.weight_decay, variable.dtype)
            self.assign_sub(variable, ops.convert_to_tensor(variable) * shrink)
        if self._powers and not self.amsgrad and updates.one_operation(variable, gradient):
            moments = self._momentums[number], self._velocities[number]
            betas = self.beta_1, self.beta_2
            updates.adam(variable, *moments, self._powers, learning_rate, betas, self.epsilon, gradient)
        else:
            super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        own = {"layer_multipliers": self.layer_multipliers, "bias_multiplier": self.bias_multiplier}
        return {**super().get_config(), **own}


def rate_factors(
    variables: list[Any], layer_multipliers: Mapping[str, float], bias_multiplier: float
) -> list[float]:
    """The learning-rate factor of each variable.

    A variable belongs to a layer when the layer's name is a part of the variable's path, `layer/kernel` or
    `model/layer/kernel`.
    """
    found, factors = set(), []
    for variable in variables:
        *owners, kind = variable.path.split("/")
        factor = bias_multiplier if kind == "bias" else 1.0
        for layer in owners:
            if layer in layer_multipliers:
                factor *= layer_multipliers[layer]
                found.add(layer)
        factors.append(factor)
    missing = sorted(set(layer_multipliers) - found)
    if missing:
        raise SettingsError(
            f"`layer_multipliers` names {missing}, which have no trainable variables in this model"
        )
    return factors
