"""The recipes of PSPNet on ADE20K, PASCAL VOC and Cityscapes, with the scores that its authors publish for them."""

from kseg.data import Augment
from kseg.training.recipes.parts import OptimizerSettings, ScheduleSettings
from kseg.training.recipes.recipe import Recipe

# Settings and scores are those of the authors' second release, hszhao/semseg (config/ade20k/ade20k_pspnet50.yaml and
# so on): losses at full size, batches of 16 with synchronised normalisation (kseg train --strategy mirrored), from
# ImageNet's weights (--weights FILE; Keras has none for the deep stem). Scores are mean IoU on the validation split,
# one scale, in windows of the crop's size, the longer side of an image resized to 512 pixels (Cityscapes 2048):
#     kseg evaluate --window 473 --pad --long-side 512          (Cityscapes: --window 713 --pad --long-side 2048)
# The second number of `source` is with --scales 0.5 0.75 1 1.25 1.5 1.75 --flip. semseg mirrors for both.
# There, half of the images are rotated and the blur is always of 1.1 pixels; here all are, and up to 1.1.
PSPNET_ADE20K = Recipe(
    name="pspnet_ade20k",
    model="pspnet_resnet50",
    data="ade20k",
    backbone="ResNet 50",
    optimizer=OptimizerSettings("sgd", momentum=0.9, weight_decay=1e-4, head_multiplier=10.0),
    schedule=ScheduleSettings("poly", learning_rate=0.01, power=0.9),
    epochs=100,
    batch_size=16,
    size=(473, 473),
    augment=Augment(scale=(0.5, 2.0), mirror=True, rotate=10.0, blur=1.1),
    auxiliary_weight=0.4,
    validate_every=10,
    expected_score=0.4189,
    source="hszhao/semseg: 41.89, multi-scale 42.84; the paper's own network 41.68, 42.78 (150,000 steps)",
)
PSPNET_ADE20K_101 = PSPNET_ADE20K.replace(
    name="pspnet_ade20k_101",
    model="pspnet_resnet101",
    backbone="ResNet 101",
    expected_score=0.431,
    source="hszhao/semseg: 43.10, multi-scale 44.15; the paper's own network 41.96, 43.29",
)
# --train-split train_aug
PSPNET_VOC = PSPNET_ADE20K.replace(
    name="pspnet_voc",
    data="voc",
    epochs=50,
    validate_every=5,
    expected_score=0.7705,
    source="hszhao/semseg, on the split train_aug: 77.05, multi-scale 78.02; the paper trains 30,000 steps",
)
PSPNET_VOC_101 = PSPNET_VOC.replace(
    name="pspnet_voc_101",
    model="pspnet_resnet101",
    backbone="ResNet 101",
    expected_score=0.7907,
    source="hszhao/semseg, on the split train_aug: 79.07, multi-scale 79.63; the paper's own 82.6 on VOC's test",
)
PSPNET_CITYSCAPES = PSPNET_ADE20K.replace(
    name="pspnet_cityscapes",
    data="cityscapes",
    epochs=200,
    size=(713, 713),
    expected_score=0.773,
    source="hszhao/semseg: 77.30, multi-scale 78.38; the paper trains 90,000 steps",
)
PSPNET_CITYSCAPES_101 = PSPNET_CITYSCAPES.replace(
    name="pspnet_cityscapes_101",
    model="pspnet_resnet101",
    backbone="ResNet 101",
    expected_score=0.7863,
    source="hszhao/semseg: 78.63, multi-scale 79.29; the paper's own network 79.70, 80.91, and 78.4 on the test split",
)

PSPNET_RECIPES = (
    PSPNET_ADE20K,
    PSPNET_ADE20K_101,
    PSPNET_VOC,
    PSPNET_VOC_101,
    PSPNET_CITYSCAPES,
    PSPNET_CITYSCAPES_101,
)
