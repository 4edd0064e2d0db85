"""`Recipe`: the settings of one training, composed of parts, and their way to and from JSON."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from kseg.data import Augment
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, MapLoss
from kseg.losses import named as losses
from kseg.training.recipes.fields import HUGE, check_fields, in_json, wrong
from kseg.training.recipes.parts import PARTS, OptimizerSettings, ScheduleSettings, part_of


@dataclass(frozen=True, init=False, eq=False)
class Recipe:
    """Everything that decides what a training does, but for the model, the data set and the folder.

    A recipe is composed of parts, each an object: `Augment`, a loss, `OptimizerSettings` and `ScheduleSettings`. The
    settings of a part may also be given, changed and read by their own names:
    `recipe.replace(learning_rate=0.01, mirror=True)`, `recipe.mirror`. The names are those of recipe.json and of
    `kseg train --set NAME=VALUE`; `augment.mirror` means the same. `optimizer` and `schedule` take a name too ("sgd").

    Args:
        **settings: the attributes below by their names, and settings of parts by theirs.

    Attributes:
        name: what the recipe is called.
        model: the catalog's name of the model it was made for; any other may be trained with it.
        data: the data set it was made for.
        backbone: the backbone it was made for, as `kseg.training.recipes.default.backbone_name` calls it, such as
            "EfficientNetLite lite0": the recipe serves other models on it too. "" where it serves its model only.
        augment: changes of the images: scale, mirror, rotate, jitter, blur, brightness, contrast, saturation, hue.
        loss: a `kseg.losses` loss, any Keras loss of integer labels, or a name ("cross_entropy", "dice"). The data's
            ignored label, the class weights and the seed are filled in by `fit`. Of a `CrossEntropy`, reduction,
            ohem_fraction, ohem_threshold, ohem_min_kept, sampling and label_smoothing are settings. With `sampling`, a
            batch has 1 / sampling times as many images, as in the FCN paper.
        class_weights: None, "median_frequency", a number a class, or a dict from class id or name to number;
            classes that the dict does not name have 1.
        optimizer: name ("sgd", "adamw"), momentum, weight_decay, head_multiplier, bias_multiplier.
        schedule: name ("poly", "step", "constant"), learning_rate, power, step_every, warmup_steps.
        epochs, steps_per_epoch: length; None steps means once through the data.
        batch_size: images a step.
        size: (height, width) of the crops; None trains on whole images.
        label_stride: losses on every n-th label in both directions, as `objective_of` says (8 in the released
            DeepLab networks), or None.
        input_scales: DeepLab v2's multi-scale inputs, such as (0.5, 0.75, 1), trained by `objective_of`, or None.
        auxiliary_weight: weight of the loss of PSPNet's second head (0.4 in the paper), or None: no such head.
        freeze_backbone: train the head only; BatchNorm statistics of the backbone stay too.
        frozen_stages: the backbone's layers up to this stage ("stage2") stay as they are, BatchNorm statistics too:
            half the time of a step where a pre-trained network's first maps serve. None trains all.
        freeze_normalization: batch normalisation that keeps its stored statistics, scale and offset: None; "all", for
            small batches on a trained network; or "single_value", the layers to which a batch of one image leaves a
            single value a channel, such as the image level of PSPNet and DeepLabV3+. Without it, a training that has
            such layers is refused.
        crops: None (whole images, or random windows of `size`), "objects" or "proposals": the training is on
            `kseg.data.object_crops` or `kseg.data.proposal_crops` of the images, 250/224 of `size` large.
        remat: stages of the backbone, such as ("stage1", "stage2"), or "all", that the gradient computes once more: a
            step keeps none of the maps inside of them, which takes less memory and more time. The results are the same.
        accumulate: batches of `batch_size` that make one optimizer step, as one batch of them all would.
        ema: decay of the moving averages of the weights, such as 0.999, or None. Validation scores the averages
            and `best.keras` holds them.
        mixed_precision: None, "mixed_float16" or "mixed_bfloat16"; the model must be built with it.
        validate_every: epochs between two validations; the last epoch is always validated.
        seed: of data order, augmentation, sampling and initial weights.
        deterministic: TensorFlow's deterministic operations, for bit-equal repetition; slower.
        expected_score, expected_minutes: what was measured with this recipe (mean IoU; 2 CPU cores), or None.
        starts_from: the recipe of the stage before, whose network `init_from` gives; "" for none.
        source: where the settings come from.

    Raises:
        SettingsError: a value of the wrong type or out of range, or a name that is not a setting.

    Example:

    >>> recipe = Recipe(optimizer="sgd", learning_rate=0.01, augment=Augment(mirror=True), epochs=3)
    >>> recipe.optimizer.name, recipe.schedule.learning_rate, recipe.mirror
    ('sgd', 0.01, True)
    """

    name: str = "custom"
    model: str = ""
    data: str = ""
    backbone: str = ""
    augment: Augment = field(default_factory=Augment)
    loss: MapLoss = field(default_factory=CrossEntropy)
    class_weights: str | tuple[float, ...] | dict[str, float] | None = None
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    epochs: int = 20
    steps_per_epoch: int | None = None
    batch_size: int = 8
    size: tuple[int, int] | None = (256, 256)
    label_stride: int | None = None
    input_scales: tuple[float, ...] | None = None
    auxiliary_weight: float | None = None
    freeze_backbone: bool = False
    frozen_stages: str | None = None
    freeze_normalization: str | None = None
    crops: str | None = None
    remat: tuple[str, ...] | None = None
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

    def __init__(self, **settings: Any) -> None:
        own, inside = _sorted(settings)
        for each in dataclasses.fields(Recipe):
            default = each.default_factory() if each.default is dataclasses.MISSING else each.default
            value = own.get(each.name, default)
            if each.name in PARTS:
                value = part_of(each.name, value, default, inside[each.name])
            object.__setattr__(self, each.name, value)
        check_fields(self, _RANGES, _CHOICES)
        if isinstance(self.class_weights, str) and self.class_weights != "median_frequency":
            raise wrong("class_weights", self.class_weights, 'null, "median_frequency" or a list of numbers')
        weights = self.class_weights.values() if isinstance(self.class_weights, dict) else self.class_weights
        if isinstance(self.class_weights, tuple | dict) and not (
            min(weights, default=0) >= 0 and sum(weights)
        ):
            raise wrong("class_weights", self.class_weights, "numbers from 0 on, at least one above 0")
        if not (self.sampling or 1) >= 1e-3:  # a batch has 1 / sampling times as many images
            raise wrong("sampling", self.sampling, "between 0.001 and 1")
        if self.size is not None and min(self.size) < 1:
            raise wrong("size", self.size, "a positive height and width")
        if self.input_scales is not None and (1 not in self.input_scales or min(self.input_scales) <= 0):
            raise wrong("input_scales", self.input_scales, "numbers above 0 with 1 among them")
        if self.input_scales is not None and self.auxiliary_weight is not None:
            raise SettingsError("Recipe: give input_scales or auxiliary_weight, not both.")
        if self.input_scales is not None and self.remat:
            raise SettingsError("Recipe: give input_scales or remat, not both.")

    def __getattr__(self, name: str) -> Any:
        """A setting of a part by its own name."""
        for part, names in PARTS.items():
            if name in names and part in self.__dict__:
                return getattr(self.__dict__[part], name, None)
        raise AttributeError(f"A recipe has no setting {name!r}.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def augmentation(self) -> Augment | None:
        """The changes of images; None where there are none, so that whole images keep their sizes."""
        return None if self.size is None and self.augment == Augment() else self.augment

    def replace(self, **changes: Any) -> "Recipe":
        """Copy the recipe with other values.

        Args:
            **changes: settings by their names, those of a part too (`learning_rate=0.01`, or
                `**{"augment.rotate": 5}`), or whole parts.

        Returns:
            A `Recipe`; this one is not changed.

        Raises:
            SettingsError: a value of the wrong type or out of range, or a name that is not a setting.
        """
        own, inside = _sorted(changes)
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        for part in PARTS:
            values[part] = part_of(part, own.pop(part, values[part]), values[part], inside[part])
        return Recipe(**values | own)

    def to_dict(self) -> dict[str, Any]:
        """Give all settings in JSON's types, each part as a dict of its own.

        Returns:
            A dict from setting to value, as recipe.json holds it.
        """
        found = {each.name: in_json(getattr(self, each.name)) for each in dataclasses.fields(self)}
        for name in ("augment", "optimizer", "schedule"):
            part = found[name]
            found[name] = {each.name: in_json(getattr(part, each.name)) for each in dataclasses.fields(part)}
        return {**found, "loss": losses.to_dict(self.loss)}

    def to_flat(self) -> dict[str, Any]:
        """Give all settings by their own names, without parts, to compare two recipes.

        Returns:
            A dict from setting to value, in JSON's types.
        """
        found = self.to_dict()
        for part in ("augment", "optimizer", "schedule"):
            inside = found.pop(part)
            if "name" in inside:
                inside[part] = inside.pop("name")
            found |= inside
        loss = found.pop("loss")
        ours = type(self.loss) is CrossEntropy
        inside = {name: value for name, value in loss["config"].items() if name not in _FILLED_IN}
        return {**found, "loss": loss["class"], **{n if ours else f"loss.{n}": v for n, v in inside.items()}}

    def to_json(self) -> str:
        """Write the recipe as text.

        Returns:
            A JSON object, which `from_json` reads.
        """
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Make a recipe of a dict.

        Args:
            values: setting to value, parts as dicts (`to_dict`) or all settings beside each other (`to_flat`). What
                is missing keeps its default.

        Returns:
            A `Recipe`.

        Raises:
            SettingsError: not a dict, a name that is not a setting, or a value of the wrong type or out of range.
        """
        if not isinstance(values, dict):
            raise SettingsError(f"A recipe is a JSON object of settings, got {type(values).__name__}.")
        return cls(**{str(name): value for name, value in values.items()})

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Read a recipe from text.

        Args:
            text: a JSON object, written by `to_json` or by hand with some of its settings.

        Returns:
            A `Recipe`.

        Raises:
            SettingsError: not JSON, a name that is not a setting, or a value of the wrong type or out of range.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"This recipe is not valid JSON: {error}.") from None
        return cls.from_dict(values)


_FILLED_IN = {"ignore_label", "class_weights", "from_logits", "seed", "name"}  # of a loss, by `fit`
_CHOICES = {
    "crops": (None, "objects", "proposals"),
    "freeze_normalization": (None, "single_value", "all"),
    "mixed_precision": (None, "mixed_float16", "mixed_bfloat16"),
}
_RANGES = {
    "epochs": (1, HUGE),
    "steps_per_epoch": (1, HUGE),
    "batch_size": (1, HUGE),
    "accumulate": (1, HUGE),
    "ema": (0, 1),
    "label_stride": (1, HUGE),
    "auxiliary_weight": (0, HUGE),
    "validate_every": (1, HUGE),
    "seed": (0, 2**31 - 1),
}


def settings() -> list[str]:
    """The names of all settings."""
    own = [each.name for each in dataclasses.fields(Recipe)]
    return own + [name for names in PARTS.values() for name in names]


def _sorted(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Settings of the recipe itself, and those inside of each part."""
    own: dict[str, Any] = {}
    inside: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    known = {each.name for each in dataclasses.fields(Recipe)}
    for name, value in given.items():
        part, dot, within = name.partition(".")
        if dot and part in PARTS:
            inside[part][within] = value
        elif name in known:
            own[name] = value
        else:
            part = next((part for part, names in PARTS.items() if name in names), None)
            if part is None:
                raise SettingsError(
                    f"Recipe: no setting is called {name}; there are {', '.join(settings())}."
                )
            inside[part][name] = value
    return own, inside
