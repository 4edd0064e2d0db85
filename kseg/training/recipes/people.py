"""Recipes of the preset `people_portrait`, for webcams; tools/people/portrait.py trains by them on framed images."""

from kseg.data import Augment
from kseg.training.recipes.parts import OptimizerSettings, ScheduleSettings
from kseg.training.recipes.recipe import Recipe

PEOPLE_LITE0 = Recipe(
    name="people_lite0",
    model="deeplabv3plus_efficientnetlite0_fast",
    data="people",
    backbone="EfficientNetLite lite0",
    optimizer=OptimizerSettings("adamw", weight_decay=1e-2, head_multiplier=4.0),
    schedule=ScheduleSettings("poly", learning_rate=5e-4, warmup_steps=150),
    frozen_stages="stage2",
    epochs=4,
    steps_per_epoch=500,
    batch_size=16,
    size=(256, 256),
    augment=Augment(mirror=True, rotate=8.0, brightness=0.15, contrast=0.25, saturation=0.3, hue=0.02),
    ema=0.998,
    source="the framed images of VOC people and Clothing Co-Parsing; made for the preset people_portrait",
)

PEOPLE_LITE0_LONGER = PEOPLE_LITE0.replace(
    name="people_lite0_longer",
    starts_from="people_lite0",
    learning_rate=4e-4,
    warmup_steps=100,
    epochs=8,
    validate_every=2,
    seed=1,
    source="people_lite0 gone on with (--init-from); made for the preset people_portrait",
)

PEOPLE_RECIPES = (PEOPLE_LITE0, PEOPLE_LITE0_LONGER)
