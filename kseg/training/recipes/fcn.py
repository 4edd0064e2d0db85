"""Recipes of FCN: the demo, CamVid on a fast backbone, and the paper's (Long et al. 2015)."""

from kseg.data import Augment
from kseg.losses import CrossEntropy
from kseg.training.recipes.parts import OptimizerSettings, ScheduleSettings
from kseg.training.recipes.recipe import Recipe

SHAPES_DEMO = Recipe(
    name="shapes_demo",
    model="fcn8s_efficientnetlite0",
    data="shapes",
    backbone="EfficientNetLite lite0",
    optimizer=OptimizerSettings("adamw", weight_decay=1e-2),
    schedule=ScheduleSettings("poly", learning_rate=2e-3, warmup_steps=20),
    epochs=5,
    batch_size=8,
    size=(128, 128),
    augment=Augment(mirror=True, brightness=0.2, saturation=0.2, hue=0.1),
    validate_every=5,
    expected_score=0.812,
    expected_minutes=3.3,
    source="kseg demo: small enough for two CPU cores",
)

CAMVID_LITE0 = Recipe(
    name="camvid_lite0",
    model="fcn8s_efficientnetlite0",
    data="camvid",
    backbone="EfficientNetLite lite0",
    optimizer=OptimizerSettings("adamw", weight_decay=1e-2),
    schedule=ScheduleSettings("poly", learning_rate=2e-3, warmup_steps=50),
    epochs=30,
    batch_size=8,
    size=(256, 352),
    augment=Augment(scale=(0.6, 1.6), mirror=True, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
    validate_every=3,
    expected_score=0.735,
    expected_minutes=59,
    source="CamVid's validation split on two busy CPU cores; the same recipe serves FCN-32s and 16s",
)

# From a network of camvid_lite0: harder images, averaged weights, the first maps as they are; for what generalises.
CAMVID_LITE0_FINISH = CAMVID_LITE0.replace(
    name="camvid_lite0_finish",
    learning_rate=8e-4,
    warmup_steps=30,
    frozen_stages="stage2",
    epochs=8,
    size=(288, 384),
    scale=(0.5, 2.0),
    rotate=3.0,
    blur=0.8,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    hue=0.03,
    ema=0.99,
    validate_every=4,
    starts_from="camvid_lite0",
    expected_score=0.733,
    expected_minutes=28,
    source="CamVid's validation split, on two busy CPU cores; DeepLab v2 reaches 0.741",
)

# For the ensemble with DeconvNet: VOC's people against the rest, images as they are.
VOC_PEOPLE_LITE0 = CAMVID_LITE0.replace(
    name="voc_people_lite0",
    data="people",
    learning_rate=5e-4,
    head_multiplier=4.0,
    epochs=4,
    steps_per_epoch=140,
    size=(224, 224),
    scale=(0.5, 1.25),
    validate_every=2,
    expected_score=0.876,
    expected_minutes=13,
    source="VOC's validation images with people (--val-split val_plain), two busy CPU cores",
)

# The papers' solver instead of AdamW: Caffe's momentum and L2, new layers at ten times the rate, biases at twice.
CAMVID_LITE0_SGD = CAMVID_LITE0.replace(
    name="camvid_lite0_sgd",
    optimizer="sgd",
    learning_rate=5e-3,
    weight_decay=5e-4,
    head_multiplier=10.0,
    bias_multiplier=2.0,
    expected_score=None,
    expected_minutes=None,
    source="camvid_lite0 under DeepLab v2's solver (poly 0.9, head x10, biases x2), rate chosen for batches of 8",
)

# The released networks: whole images one at a time, the summed loss (hence the tiny rates), Caffe's momentum
# and decay, biases at twice the rate. 25 rounds of 4,000 steps are the 100,000 of `solve.py`.
FCN_PAPER_32S = Recipe(
    name="fcn_paper_32s",
    model="fcn32s_vgg16",
    data="voc",
    backbone="VGG16",
    optimizer=OptimizerSettings("sgd", momentum=0.99, weight_decay=5e-4, bias_multiplier=2.0),
    schedule=ScheduleSettings("constant", learning_rate=1e-10),
    epochs=25,
    steps_per_epoch=4000,
    batch_size=1,
    size=None,
    loss=CrossEntropy(reduction="sum"),
    expected_score=0.636,
    source="fcn.berkeleyvision.org voc-fcn32s: solver.prototxt; 63.6 on seg11valid after training on SBD",
)
FCN_PAPER_16S = FCN_PAPER_32S.replace(
    name="fcn_paper_16s",
    model="fcn16s_vgg16",
    backbone="VGG16",
    learning_rate=1e-12,
    starts_from="fcn_paper_32s",
    expected_score=0.65,
    source="fcn.berkeleyvision.org voc-fcn16s, started from 32s (--init-from); 65.0 on seg11valid",
)
FCN_PAPER_8S = FCN_PAPER_32S.replace(
    name="fcn_paper_8s",
    model="fcn8s_vgg16",
    backbone="VGG16",
    learning_rate=1e-14,
    starts_from="fcn_paper_16s",
    expected_score=0.655,
    source="fcn.berkeleyvision.org voc-fcn8s, started from 16s (--init-from); 65.5 on seg11valid",
)
FCN_PAPER_8S_ATONCE = FCN_PAPER_32S.replace(
    name="fcn_paper_8s_atonce",
    model="fcn8s_atonce_vgg16",
    backbone="VGG16",
    epochs=75,
    expected_score=0.654,
    source="fcn.berkeleyvision.org voc-fcn8s-atonce: 300,000 steps from VGG16; 65.4 on seg11valid",
)

FCN_RECIPES = (
    SHAPES_DEMO,
    CAMVID_LITE0,
    CAMVID_LITE0_FINISH,
    CAMVID_LITE0_SGD,
    VOC_PEOPLE_LITE0,
    FCN_PAPER_32S,
    FCN_PAPER_16S,
    FCN_PAPER_8S,
    FCN_PAPER_8S_ATONCE,
)
