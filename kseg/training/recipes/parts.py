"""The parts of a recipe: optimizer and schedule, made once a training's length is known; and any part by its name."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras

from kseg.data import Augment
from kseg.errors import SettingsError
from kseg.losses import MapLoss
from kseg.losses import named as losses
from kseg.optimizers.optimizers import SGD, AdamW
from kseg.optimizers.schedules import Poly, Step
from kseg.training.recipes.fields import HUGE, TINY, check_fields


@dataclass(frozen=True)
class OptimizerSettings:
    """How the weights move.

    Args:
        name: "sgd" (Caffe's: L2 through the momentum) or "adamw" (decoupled decay).
        momentum: of sgd.
        weight_decay: on kernels; sgd's L2 factor or adamw's decay.
        head_multiplier: factor on the learning rate of all layers that are not the backbone's.
        bias_multiplier: factor on the learning rate of biases.

    Raises:
        SettingsError: a value of the wrong type or out of range.

    Example:

    >>> OptimizerSettings("sgd", momentum=0.9, weight_decay=5e-4).build(0.01, {}).l2
    0.0005
    """

    name: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-2
    head_multiplier: float = 1.0
    bias_multiplier: float = 1.0

    def __post_init__(self) -> None:
        numbers = ("weight_decay", "head_multiplier", "bias_multiplier")
        ranges = {"momentum": (0, 1), **dict.fromkeys(numbers, (0, HUGE))}
        if self.name not in ("sgd", "adamw"):
            raise SettingsError(f"Recipe: optimizer is {self.name!r}, but must be one of sgd, adamw.")
        check_fields(self, ranges, {})

    def build(self, rate: Any, layer_multipliers: dict[str, float]) -> keras.optimizers.Optimizer:
        """Build the optimizer.

        Args:
            rate: learning rate, a float or a `LearningRateSchedule`.
            layer_multipliers: dict from layer name to a factor on the learning rate of that layer's
                variables.

        Returns:
            A Keras optimizer.
        """
        factors = {"layer_multipliers": layer_multipliers, "bias_multiplier": self.bias_multiplier}
        if self.name == "sgd":
            return SGD(rate, self.momentum, l2=self.weight_decay, **factors)
        return AdamW(rate, weight_decay=self.weight_decay, **factors)


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate changes over a training.

    Args:
        name: "poly", "step" or "constant".
        learning_rate: the highest rate.
        power: of poly.
        step_every: optimizer steps between two reductions (x 0.1) of "step".
        warmup_steps: steps of linear warm-up; at most a fifth of the training.

    Raises:
        SettingsError: a value of the wrong type or out of range.

    Example:

    >>> ScheduleSettings("poly", 0.5, power=2.0).over(40).get_config()["steps"]
    40
    """

    name: str = "poly"
    learning_rate: float = 1e-3
    power: float = 0.9
    step_every: int | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if self.name not in ("poly", "step", "constant"):
            raise SettingsError(
                f"Recipe: schedule is {self.name!r}, but must be one of poly, step, constant."
            )
        ranges = {
            "learning_rate": (TINY, HUGE),
            "power": (0, 100),
            "step_every": (1, HUGE),
            "warmup_steps": (0, HUGE),
        }
        check_fields(self, ranges, {})
        if self.name == "step" and self.step_every is None:
            raise SettingsError(
                'Recipe: the schedule "step" needs step_every, the steps between two reductions.'
            )

    def over(self, steps: int) -> keras.optimizers.schedules.LearningRateSchedule | float:
        """Give the learning rate as a function of the optimizer's step.

        Args:
            steps: number of optimizer steps of the training.

        Returns:
            A Keras `LearningRateSchedule`, or a float for a constant rate.
        """
        warmup = min(self.warmup_steps, steps // 5)  # a few images make a run shorter than the warm-up
        if self.name == "poly":
            return Poly(self.learning_rate, steps, self.power, warmup)
        if self.name == "step":
            return Step(self.learning_rate, self.step_every, warmup_steps=warmup)
        return Poly(self.learning_rate, steps, 0.0, warmup) if warmup else self.learning_rate


def changed(part: Any, changes: dict[str, Any]) -> Any:
    """A copy of a frozen dataclass with other values; SettingsError for a name that it does not have."""
    known = [field.name for field in dataclasses.fields(part)]
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise SettingsError(
            f"Recipe: {type(part).__name__} has no setting {', '.join(unknown)}; there are {', '.join(known)}."
        )
    try:
        return dataclasses.replace(part, **changes)
    except TypeError:
        given = ", ".join(f"{name} {value!r}" for name, value in changes.items())
        raise SettingsError(f"Recipe: {given} has another type than expected.") from None


# Part -> the settings inside of it that a recipe knows by their own names.
PARTS: dict[str, tuple[str, ...]] = {
    "augment": tuple(each.name for each in dataclasses.fields(Augment)),
    "loss": ("reduction", "ohem_fraction", "ohem_threshold", "ohem_min_kept", "sampling", "label_smoothing"),
    "optimizer": ("momentum", "weight_decay", "head_multiplier", "bias_multiplier"),
    "schedule": ("learning_rate", "power", "step_every", "warmup_steps"),
}


def part_of(name: str, value: Any, before: Any, changes: dict[str, Any]) -> Any:
    """A part of a recipe from an object, its name or its dict, with changes to its settings."""
    if name == "loss":
        return _loss(value, changes)
    kind = type(before)
    if isinstance(value, dict):
        value = changed(kind(), value)
    elif isinstance(value, str) and kind is not Augment:
        value, changes = before, {"name": value, **changes}
    if not isinstance(value, kind):
        expected = "" if kind is Augment else " or a name"
        raise SettingsError(f"Recipe: {name} is a {kind.__name__}{expected}, got {value!r}.")
    value = changed(value, changes) if changes else value
    check_fields(value, {}, {})
    return value


def _loss(value: Any, changes: dict[str, Any]) -> MapLoss:
    loss = losses.from_dict(value) if isinstance(value, dict) else losses.get(value)
    if not changes:
        return loss
    config = loss.get_config()
    unknown = [name for name, given in changes.items() if name not in config and given is not None]
    if unknown:
        raise SettingsError(f"Recipe: the loss {type(loss).__name__} has no setting {', '.join(unknown)}.")
    try:
        return type(loss).from_config(config | {name: changes[name] for name in changes if name in config})
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name} {value!r}" for name, value in changes.items())
        raise SettingsError(
            f"Recipe: the loss {type(loss).__name__} cannot have {given}: {error}."
        ) from error
