"""Recipes: JSON there and back, and what they refuse."""

import json

import keras
import pytest

from kseg.data import Augment
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy
from kseg.training import OptimizerSettings, Recipe, ScheduleSettings
from kseg.training.recipes.recipe import settings


def unusual():
    return Recipe(
        name="n",
        model="m",
        data="d",
        backbone="b",
        augment=Augment(mirror=True),
        loss=CrossEntropy(reduction="sum"),
        optimizer="sgd",
        learning_rate=3e-10,
        momentum=0.5,
        weight_decay=0.25,
        schedule="step",
        power=0.7,
        step_every=11,
        warmup_steps=3,
        epochs=2,
        steps_per_epoch=7,
        batch_size=3,
        size=(17, 33),
        scale=(0.5, 2),
        mirror=True,
        rotate=10,
        jitter=4,
        blur=1.5,
        brightness=0.1,
        contrast=0.2,
        saturation=0.3,
        hue=0.04,
        class_weights=(1, 2.5),
        freeze_normalization="all",
        reduction="sum",
        ohem_fraction=0.5,
        ohem_min_kept=100,
        sampling=0.5,
        label_smoothing=0.1,
        label_stride=8,
        input_scales=(0.5, 1),
        head_multiplier=10,
        bias_multiplier=2,
        freeze_backbone=True,
        frozen_stages="stage2",
        crops="objects",
        mixed_precision="mixed_bfloat16",
        validate_every=3,
        seed=5,
        deterministic=True,
        expected_score=0.5,
        expected_minutes=12,
        accumulate=2,
        ema=0.99,
        starts_from="the one before",
        source="s",
    )


def test_json_round_trip_of_every_setting():
    recipe, default = unusual(), Recipe()
    same = [name for name in settings() if getattr(recipe, name) == getattr(default, name)]
    assert same == ["auxiliary_weight", "remat", "ohem_threshold"]  # excluded by input_scales and ohem_fraction
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert again.size == (17, 33)
    assert isinstance(again.rotate, float)
    whole = Recipe(size=None, ohem_threshold=0.7, auxiliary_weight=0.4, remat=("stage1", "stage2"))
    assert Recipe.from_json(whole.to_json()) == whole
    assert whole != recipe


def test_a_recipe_of_the_first_house_with_all_settings_beside_each_other():
    old = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.5,
        "weight_decay": 0.0,
        "schedule": "step",
        "power": 0.9,
        "step_every": 4,
        "scale": [0.5, 2],
        "mirror": True,
        "reduction": "sum",
        "ohem_fraction": None,
        "ohem_min_kept": 1,
        "sampling": 0.25,
        "class_weights": "median_frequency",
        "epochs": 3,
    }
    recipe = Recipe.from_dict(old)
    assert recipe.augment == Augment(scale=(0.5, 2.0), mirror=True)
    assert recipe.optimizer == OptimizerSettings("sgd", 0.5, 0.0)
    assert recipe.schedule == ScheduleSettings("step", 0.1, 0.9, 4)
    assert (recipe.loss.reduction, recipe.loss.sampling) == ("sum", 0.25)
    flat = recipe.to_flat()
    assert {name: flat[name] for name in old} == old


def test_settings_of_parts_have_three_ways_in():
    one = Recipe(augment=Augment(mirror=True), schedule=ScheduleSettings(learning_rate=0.5))
    two = Recipe(mirror=True, learning_rate=0.5)
    three = Recipe().replace(**{"augment.mirror": True, "schedule": {"learning_rate": 0.5}})
    assert one == two == three
    assert two.replace(mirror=False).augment == Augment()
    assert two.replace(schedule="constant").schedule == ScheduleSettings("constant", 0.5)
    with pytest.raises(AttributeError, match="no_such"):
        one.no_such  # noqa: B018


@keras.saving.register_keras_serializable(package="test_recipe")
class Own(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def test_losses_are_parts():
    for loss in (keras.losses.SparseCategoricalCrossentropy(from_logits=True), Own(name="own")):
        recipe = Recipe(loss=loss, epochs=3)
        assert Recipe.from_json(recipe.to_json()) == recipe
        assert recipe.sampling is None
    with pytest.raises(SettingsError, match="KerasLoss has no setting sampling"):
        recipe.replace(sampling=0.5)
    with pytest.raises(SettingsError, match="from_logits=True"):
        Recipe(loss=keras.losses.SparseCategoricalCrossentropy())
    with pytest.raises(SettingsError, match="is not known"):
        Recipe.from_json(Recipe(loss=lambda labels, logits: 0.0).to_json())
    hostile = recipe.to_dict()
    hostile["loss"]["config"]["loss"] |= {"module": "os", "class_name": "system", "registered_name": "system"}
    for loss in (hostile["loss"], {"class": "os>system", "config": {}}, {"class": 3}):
        with pytest.raises(SettingsError, match="is not known"):
            Recipe(loss=loss)


def test_missing_fields_keep_their_defaults():
    assert Recipe.from_json('{"epochs": 3}') == Recipe(epochs=3)


def test_replace():
    assert unusual().replace(epochs=9, size=None).epochs == 9
    with pytest.raises(SettingsError, match="epoch_count"):
        unusual().replace(epoch_count=9)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": "3"},
        {"epochs": True},
        {"epochs": None},
        {"learning_rate": -1},
        {"learning_rate": float("nan")},
        {"learning_rate": [1]},
        {"optimizer": "adam"},
        {"schedule": "cosine"},
        {"schedule": "step"},
        {"mirror": 1},
        {"size": 256},
        {"size": [256]},
        {"size": [0, 5]},
        {"size": [10.5, 20]},
        {"scale": [2, 1]},
        {"scale": "wide"},
        {"class_weights": "balanced"},
        {"class_weights": ["a"]},
        {"class_weights": [1, -1]},
        {"class_weights": [0, 0]},
        {"class_weights": []},
        {"sampling": 0},
        {"ohem_fraction": 2},
        {"ohem_fraction": 0.5, "ohem_threshold": 0.5},
        {"mixed_precision": "float16"},
        {"label_stride": 0},
        {"label_stride": 2.5},
        {"input_scales": []},
        {"input_scales": [0.5, 0.75]},
        {"input_scales": [0, 1]},
        {"auxiliary_weight": -1},
        {"auxiliary_weight": 0.4, "input_scales": [0.5, 1]},
        {"seed": -1},
        {"name": 3},
    ],
)
def test_wrong_values_are_refused_by_name(changes):
    with pytest.raises(SettingsError, match=next(iter(changes))):
        Recipe.from_json(json.dumps(changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"lr": 1}', "null", "[" * 100000])
def test_other_texts_are_refused(text):
    with pytest.raises(SettingsError, match=r"JSON|lr"):
        Recipe.from_json(text)
