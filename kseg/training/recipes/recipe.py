"""`Recipe`: the settings of one training, flat, and their way to and from JSON."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from typing import Any

from kseg.data import Augment
from kseg.errors import SettingsError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training does, but for the model, the data set and the folder.

    Args:
        name: what the recipe is called.
        model: the catalog's name of the model it was made for; any other may be trained with it.
        data: the data set it was made for.
        optimizer: "sgd" (Caffe's: L2 through the momentum) or "adamw" (decoupled decay).
        learning_rate: the highest rate.
        momentum: of sgd.
        weight_decay: on kernels; sgd's L2 factor or adamw's decay.
        schedule: "poly", "step" or "constant".
        power: of poly.
        step_every: optimizer steps between two reductions (x 0.1) of "step".
        warmup_steps: steps of linear warm-up.
        epochs, steps_per_epoch: length; None steps means once through the data.
        batch_size: pictures a step.
        size: (height, width) of the crops; None trains on whole pictures.
        scale, mirror, rotate, jitter, blur, brightness, contrast, saturation, hue: `kseg.data.Augment`.
        class_weights: None, "median_frequency", a number a class, or a dict from class id or name to number;
            classes that the dict does not name have 1.
        reduction, ohem_fraction, ohem_threshold, ohem_min_kept, sampling: `kseg.losses.CrossEntropy`. With
            `sampling`, a batch has 1 / sampling times as many pictures, as in the FCN paper.
        label_stride: losses on every so many-th label in both directions, as `training_twin` says (8 in the released
            DeepLab nets), or None.
        input_scales: DeepLab v2's multi-scale inputs, such as (0.5, 0.75, 1), trained by `training_twin`, or None.
        auxiliary_weight: weight of the loss of PSPNet's second head (0.4 in the paper), or None: no such head.
        head_multiplier: factor on the learning rate of all layers that are not the backbone's.
        bias_multiplier: factor on the learning rate of biases.
        freeze_backbone: train the head only; BatchNorm statistics of the backbone stay too.
        frozen_stages: the backbone's layers up to this stage ("stage2") stay as they are, BatchNorm statistics too:
            half the time of a step where a pre-trained network's first maps serve. None trains all.
        freeze_normalization: batch normalisation that keeps its stored statistics, scale and offset: None; "all", for
            small batches on a trained network; or "single_value", the layers to which a batch of one image leaves a
            single value a channel, such as the image level of PSPNet and DeepLabV3+. Without it, a training that has
            such layers is refused.
        crops: None (whole pictures, or random windows of `size`), "objects" or "proposals": `kseg train` makes
            `kseg.data.object_crops` or `kseg.data.proposal_crops` of the pictures, 250/224 of `size` large. `fit`
            trains on what it is given.
        accumulate: batches of `batch_size` that make one optimizer step, as one batch of them all would.
        ema: decay of the moving averages of the weights, such as 0.999, or None. Validation scores the averages
            and `best.keras` holds them.
        mixed_precision: None, "mixed_float16" or "mixed_bfloat16"; the model must be built with it.
        validate_every: epochs between two validations; the last epoch is always validated.
        seed: of data order, augmentation, sampling and initial weights.
        deterministic: TensorFlow's deterministic operations, for bit-equal repetition; slower.
        expected_score, expected_minutes: what was measured with this recipe (mean IoU; 2 CPU cores), or None.
        starts_from: the recipe of the stage before, whose net `--init-from` gives; "" for none.
        source: where the settings come from.

    Raises:
        SettingsError: a value of the wrong type or out of range.
    """

    name: str = "custom"
    model: str = ""
    data: str = ""
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    schedule: str = "poly"
    power: float = 0.9
    step_every: int | None = None
    warmup_steps: int = 0
    epochs: int = 20
    steps_per_epoch: int | None = None
    batch_size: int = 8
    size: tuple[int, int] | None = (256, 256)
    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = False
    rotate: float = 0.0
    jitter: float = 0.0
    blur: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    class_weights: str | tuple[float, ...] | dict[str, float] | None = None
    reduction: str = "mean"
    ohem_fraction: float | None = None
    ohem_threshold: float | None = None
    ohem_min_kept: int = 1
    sampling: float | None = None
    label_stride: int | None = None
    input_scales: tuple[float, ...] | None = None
    auxiliary_weight: float | None = None
    head_multiplier: float = 1.0
    bias_multiplier: float = 1.0
    freeze_backbone: bool = False
    frozen_stages: str | None = None
    freeze_normalization: str | None = None
    crops: str | None = None
    accumulate: int = 1
    ema: float | None = None
    mixed_precision: str | None = None
    validate_every: int = 1
    seed: int = 0
    deterministic: bool = False
    expected_score: float | None = None
    expected_minutes: float | None = None
    starts_from: str = ""
    source: str = ""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _typed(field, getattr(self, field.name)))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise _wrong(name, getattr(self, name), "one of " + ", ".join(map(str, choices)))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise _wrong(name, value, f"between {low:g} and {high:g}")
        if isinstance(self.class_weights, str) and self.class_weights != "median_frequency":
            raise _wrong("class_weights", self.class_weights, 'null, "median_frequency" or a list of numbers')
        weights = self.class_weights.values() if isinstance(self.class_weights, dict) else self.class_weights
        if isinstance(self.class_weights, tuple | dict) and not (
            min(weights, default=0) >= 0 and sum(weights)
        ):
            raise _wrong("class_weights", self.class_weights, "numbers from 0 on, at least one above 0")
        if self.size is not None and min(self.size) < 1:
            raise _wrong("size", self.size, "a positive height and width")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise _wrong("scale", self.scale, "a smallest and a largest factor, above 0")
        if self.schedule == "step" and self.step_every is None:
            raise SettingsError(
                'Recipe: the schedule "step" needs step_every, the steps between two reductions.'
            )
        if self.ohem_fraction is not None and self.ohem_threshold is not None:
            raise SettingsError("Recipe: give ohem_fraction or ohem_threshold, not both.")
        if self.input_scales is not None and (1 not in self.input_scales or min(self.input_scales) <= 0):
            raise _wrong("input_scales", self.input_scales, "numbers above 0 with 1 among them")
        if self.input_scales is not None and self.auxiliary_weight is not None:
            raise SettingsError("Recipe: give input_scales or auxiliary_weight, not both.")

    @property
    def augmentation(self) -> Augment | None:
        """The changes of images; None where there are none, so that whole images keep their sizes."""
        names = [field.name for field in dataclasses.fields(Augment)]
        found = Augment(**{name: getattr(self, name) for name in names})
        return None if self.size is None and found == Augment() else found

    def replace(self, **changes: Any) -> "Recipe":
        """A copy with other values; SettingsError for a name that is no setting."""
        return Recipe.from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON has them."""
        return {
            field.name: list(value) if isinstance(value := getattr(self, field.name), tuple) else value
            for field in dataclasses.fields(self)
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """The recipe of such a dict; what is missing keeps its default."""
        if not isinstance(values, dict):
            raise SettingsError(f"A recipe is a JSON object of settings, got {type(values).__name__}.")
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            raise SettingsError(
                f"Recipe: no setting is called {', '.join(unknown)}; there are {', '.join(known)}."
            )
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe written by `to_json`, or one written by hand with some of its fields."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"This recipe is not valid JSON: {error}.") from None
        return cls.from_dict(values)


_CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("poly", "step", "constant"),
    "reduction": ("mean", "sum"),
    "crops": (None, "objects", "proposals"),
    "freeze_normalization": (None, "single_value", "all"),
    "mixed_precision": (None, "mixed_float16", "mixed_bfloat16"),
}
_TINY, _HUGE = 1e-30, 1e9
_RANGES = {
    "learning_rate": (_TINY, _HUGE),
    "momentum": (0, 1),
    "weight_decay": (0, _HUGE),
    "power": (0, 100),
    "step_every": (1, _HUGE),
    "warmup_steps": (0, _HUGE),
    "epochs": (1, _HUGE),
    "steps_per_epoch": (1, _HUGE),
    "batch_size": (1, _HUGE),
    "accumulate": (1, _HUGE),
    "ema": (0, 1),
    "ohem_fraction": (_TINY, 1),
    "ohem_threshold": (_TINY, 1),
    "ohem_min_kept": (1, _HUGE),
    "sampling": (1e-3, 1),
    "label_stride": (1, _HUGE),
    "auxiliary_weight": (0, _HUGE),
    "head_multiplier": (0, _HUGE),
    "bias_multiplier": (0, _HUGE),
    "validate_every": (1, _HUGE),
    "seed": (0, 2**31 - 1),
}


def _wrong(name: str, value: Any, expected: str) -> SettingsError:
    return SettingsError(f"Recipe: {name} is {value!r}, but must be {expected}.")


def _typed(field: dataclasses.Field, value: Any) -> Any:
    """The value in the field's own type: JSON has no tuples, and writes 1.0 as 1."""
    kinds = str(field.type)
    if value is None and "None" in kinds:
        return None
    if "dict" in kinds and isinstance(value, dict):
        return {str(key): _number(field.name, item, False) for key, item in value.items()}
    if "tuple" in kinds and isinstance(value, list | tuple):
        whole, pair = "int" in kinds, "..." not in kinds
        if pair and len(value) != 2:
            raise _wrong(field.name, value, "two numbers")
        return tuple(_number(field.name, item, whole) for item in value)
    if "str" in kinds and isinstance(value, str):
        return value
    if kinds.startswith("<class 'bool'") or kinds == "bool":
        if isinstance(value, bool):
            return value
        raise _wrong(field.name, value, "true or false")
    if "str" in kinds or "tuple" in kinds:
        raise _wrong(field.name, value, "a text" if "tuple" not in kinds else "a list of numbers")
    return _number(field.name, value, "int" in kinds)


def _number(name: str, value: Any, whole: bool) -> int | float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # An int beyond the floats is compared, not converted: JSON may hold hundreds of digits.
    if (
        not number
        or not -sys.float_info.max <= value <= sys.float_info.max
        or (whole and value != int(value))
    ):
        raise _wrong(name, value, "a whole number" if whole else "a number")
    return int(value) if whole else float(value)
