"""The recipes of DeconvNet: two stages as published, and the same for its small forms and two CPU cores."""

from kseg.data import Augment
from kseg.training.recipes.parts import OptimizerSettings, ScheduleSettings
from kseg.training.recipes.recipe import Recipe

# Some 1.7 times the square roots of CamVid's median-frequency weights, fences a little more.
CAMVID_CLASS_WEIGHTS = (0.88, 0.75, 3.6, 0.64, 1.7, 1.15, 3.3, 3.4, 1.5, 4.5, 5.0)

# 20,000 and 40,000 steps, each of eight batches of eight (iter_size).
DECONVNET_STAGE1 = Recipe(
    name="deconvnet_stage1",
    model="deconvnet_vgg16",
    data="voc",
    backbone="VGG16BatchNorm",
    optimizer=OptimizerSettings("sgd", momentum=0.9, weight_decay=5e-4, bias_multiplier=2.0),
    schedule=ScheduleSettings("step", learning_rate=0.01, step_every=9000),
    epochs=20,
    steps_per_epoch=1000,
    batch_size=8,
    accumulate=8,
    size=(224, 224),
    augment=Augment(mirror=True),
    crops="objects",
    source="Noh et al. 2015, section 5.1, and the released stage 1 solver; on ImageNet's VGG16 (--weights imagenet)",
)
DECONVNET_STAGE2 = DECONVNET_STAGE1.replace(
    name="deconvnet_stage2",
    starts_from="deconvnet_stage1",
    step_every=10_000,
    epochs=40,
    crops="proposals",
    source="Noh et al. 2015, section 5.1, and the released stage 2 solver; from stage 1 (--init-from)",
)

DECONVNET_SMALL_STAGE1 = Recipe(
    name="deconvnet_small_stage1",
    model="deconvnet_small",
    data="voc",
    optimizer=OptimizerSettings("adamw", weight_decay=1e-2),
    schedule=ScheduleSettings("poly", learning_rate=3e-3, warmup_steps=100),
    epochs=20,
    steps_per_epoch=200,
    batch_size=8,
    size=(112, 112),
    augment=Augment(mirror=True, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
    crops="objects",
    validate_every=10,
    source="the published stages at half the crop size, with AdamW and colour changes, from random weights",
)
DECONVNET_SMALL_STAGE2 = DECONVNET_SMALL_STAGE1.replace(
    name="deconvnet_small_stage2",
    starts_from="deconvnet_small_stage1",
    learning_rate=1.5e-3,
    epochs=15,
    crops="proposals",
    validate_every=5,
    source="as deconvnet_small_stage1, from which it starts (--init-from)",
)
# Whole streets have no objects to centre on: random windows of images at half their size, where `--size 180 240`
# evaluates them too. Many more steps than FCN (SegNet, TPAMI 2017, table 3).
DECONVNET_SMALL_CAMVID = Recipe(
    name="deconvnet_small_camvid",
    model="deconvnet_small",
    data="camvid",
    optimizer=OptimizerSettings("adamw", weight_decay=1e-2),
    schedule=ScheduleSettings("poly", learning_rate=3e-3, warmup_steps=100),
    epochs=90,
    batch_size=8,
    size=(96, 128),
    augment=Augment(scale=(0.27, 0.6), mirror=True, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
    validate_every=45,
    source="windows of small images instead of objects; from random weights",
)
DECONVNET_SMALL_CAMVID_FINISH = DECONVNET_SMALL_CAMVID.replace(
    name="deconvnet_small_camvid_finish",
    starts_from="deconvnet_small_camvid",
    learning_rate=1.5e-3,
    epochs=40,
    batch_size=6,
    size=(128, 176),
    scale=(0.38, 0.65),
    class_weights=CAMVID_CLASS_WEIGHTS,
    validate_every=20,
    seed=1,
    expected_score=0.322,
    source="larger windows and class weights; from deconvnet_small_camvid (--init-from); evaluated with --size 180 240",
)

DECONVNET_LITE0_CAMVID = DECONVNET_SMALL_CAMVID.replace(
    name="deconvnet_lite0_camvid",
    model="deconvnet_efficientnetlite0",
    backbone="EfficientNetLite lite0",
    learning_rate=2e-3,
    warmup_steps=50,
    epochs=30,
    size=(192, 256),
    scale=(0.5, 1.25),
    validate_every=6,
    expected_score=0.480,
    expected_minutes=47,
    source="CamVid's validation split on two busy CPU cores; camvid_lite0 on smaller crops",
)
# Poles, signs, pedestrians and bicyclists are still at 0 before.
DECONVNET_LITE0_CAMVID_FINISH = DECONVNET_LITE0_CAMVID.replace(
    name="deconvnet_lite0_camvid_finish",
    starts_from="deconvnet_lite0_camvid",
    learning_rate=1.5e-3,
    warmup_steps=30,
    epochs=8,
    scale=(0.6, 1.4),
    class_weights=CAMVID_CLASS_WEIGHTS,
    validate_every=4,
    seed=1,
    expected_score=0.508,
    expected_minutes=15,
    source="CamVid's validation split on two busy CPU cores; from deconvnet_lite0_camvid (--init-from)",
)
# On a backbone that knows images: fewer steps, and crops large enough for maps at stride 32.
DECONVNET_LITE0_STAGE1 = DECONVNET_SMALL_STAGE1.replace(
    name="deconvnet_lite0_stage1",
    model="deconvnet_efficientnetlite0",
    backbone="EfficientNetLite lite0",
    learning_rate=2e-3,
    warmup_steps=50,
    epochs=4,
    steps_per_epoch=150,
    size=(160, 160),
    validate_every=2,
    source="deconvnet_small_stage1 on EfficientNet-Lite0 with ImageNet's weights",
)
DECONVNET_LITE0_STAGE2 = DECONVNET_LITE0_STAGE1.replace(
    name="deconvnet_lite0_stage2",
    starts_from="deconvnet_lite0_stage1",
    learning_rate=1e-3,
    epochs=3,
    crops="proposals",
    validate_every=3,
    source="as deconvnet_lite0_stage1, from which it starts (--init-from)",
)

DECONVNET_RECIPES = (
    DECONVNET_STAGE1,
    DECONVNET_STAGE2,
    DECONVNET_SMALL_STAGE1,
    DECONVNET_SMALL_STAGE2,
    DECONVNET_SMALL_CAMVID,
    DECONVNET_SMALL_CAMVID_FINISH,
    DECONVNET_LITE0_STAGE1,
    DECONVNET_LITE0_STAGE2,
    DECONVNET_LITE0_CAMVID,
    DECONVNET_LITE0_CAMVID_FINISH,
)
