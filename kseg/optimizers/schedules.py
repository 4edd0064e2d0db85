"""Learning-rate schedules: `Poly` (DeepLab, PSPNet) and `Step` (Caffe)."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError


def rate_of_last_step(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate that an optimizer used last; its own `learning_rate` is that of the step to come."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    rate = optimizer._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(ops.maximum(ops.cast(optimizer.iterations, "int32") - 1, 0))
    return float(ops.cast(rate, "float32"))  # a cast, as a variable on several devices is no number


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule after a linear warm-up; a subclass gives the rate without it, `_decayed(step)`."""

    def __init__(self, learning_rate: float, warmup_steps: int, **positive: int) -> None:
        for name, value in positive.items():
            if value < 1 or warmup_steps < 0:
                raise SettingsError(
                    f"`{name}` must be positive and `warmup_steps` not negative: {value}, {warmup_steps}."
                )
        self.learning_rate = float(learning_rate)
        self.warmup_steps = int(warmup_steps)

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rate = self._decayed(step)
        return rate * ops.minimum((step + 1.0) / self.warmup_steps, 1.0) if self.warmup_steps else rate


@keras.saving.register_keras_serializable(package="kseg")
class Poly(_Schedule):
    """`learning_rate * (1 - step / steps) ** power`, after a linear warm-up.

    Args:
        learning_rate: the rate that the warm-up leads to, or the first rate if there is no warm-up.
        steps: step at which the rate arrives at 0; it stays there.
        power: exponent, 0.9 in DeepLab v2 and PSPNet.
        warmup_steps: over these first steps the polynomial is multiplied by a ramp, `(step + 1) / warmup_steps`.

    Raises:
        SettingsError: `steps` below 1, or negative `warmup_steps`.

    Reference:
        Chen et al., "DeepLab", TPAMI 2018, section 4.1.2 ("poly").

    Example:

    >>> float(kseg.training.Poly(0.5, steps=10, power=2.0)(5))
    0.125
    """

    def __init__(self, learning_rate: float, steps: int, power: float = 0.9, warmup_steps: int = 0) -> None:
        super().__init__(learning_rate, warmup_steps, steps=steps)
        self.steps, self.power = int(steps), float(power)

    def _decayed(self, step: Any) -> Any:
        return self.learning_rate * ops.power(ops.maximum(1.0 - step / self.steps, 0.0), self.power)

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "power": self.power,
            "warmup_steps": self.warmup_steps,
        }


@keras.saving.register_keras_serializable(package="kseg")
class Step(_Schedule):
    """`learning_rate * factor ** floor(step / every)`, after a linear warm-up.

    Args:
        learning_rate: the first rate.
        every: number of steps between two reductions.
        factor: factor of each reduction.
        warmup_steps: over these first steps the rate is multiplied by a ramp, `(step + 1) / warmup_steps`.

    Raises:
        SettingsError: `every` below 1, or negative `warmup_steps`.

    Reference:
        Caffe's `lr_policy: "step"`; DeepLab v1 and DeconvNet use it with factor 0.1.

    Example:

    >>> float(kseg.training.Step(0.5, every=10, factor=0.5)(25))
    0.125
    """

    def __init__(self, learning_rate: float, every: int, factor: float = 0.1, warmup_steps: int = 0) -> None:
        super().__init__(learning_rate, warmup_steps, every=every)
        self.every, self.factor = int(every), float(factor)

    def _decayed(self, step: Any) -> Any:
        return self.learning_rate * ops.power(self.factor, ops.floor(step / self.every))

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "every": self.every,
            "factor": self.factor,
            "warmup_steps": self.warmup_steps,
        }
