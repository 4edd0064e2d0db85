"""Recipes of the preset `people`, for webcams."""

from kseg.training.recipes.recipe import Recipe

PEOPLE_LITE0 = Recipe(
    name="people_lite0",
    model="deeplabv3plus_efficientnetlite0_slim",
    data="people",
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=1e-2,
    schedule="poly",
    warmup_steps=200,
    epochs=30,
    steps_per_epoch=250,
    batch_size=16,
    size=(256, 256),
    scale=(0.75, 1.25),
    mirror=True,
    rotate=8.0,
    jitter=24.0,
    blur=0.8,
    brightness=0.25,
    contrast=0.25,
    saturation=0.3,
    hue=0.02,
    ema=0.999,
    validate_every=2,
    source="the framed pictures of VOC people and Clothing Co-Parsing; made for the preset people",
)

PEOPLE_RECIPES = (PEOPLE_LITE0,)
