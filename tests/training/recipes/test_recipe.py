"""Recipes: JSON there and back, and what they refuse."""

import dataclasses
import json

import pytest

from kseg.errors import SettingsError
from kseg.training import Recipe


def unusual():
    return Recipe(
        name="n",
        model="m",
        data="d",
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


def test_json_round_trip_of_every_field():
    recipe = unusual()
    default = Recipe()
    same = [f.name for f in dataclasses.fields(Recipe) if getattr(recipe, f.name) == getattr(default, f.name)]
    assert same == ["ohem_threshold", "auxiliary_weight"]  # excluded by ohem_fraction and input_scales
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.size == (17, 33)
    assert isinstance(again.rotate, float)
    whole = Recipe(size=None, ohem_threshold=0.7, auxiliary_weight=0.4)
    assert Recipe.from_json(whole.to_json()) == whole


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
