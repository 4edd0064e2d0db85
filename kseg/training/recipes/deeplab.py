"""The recipes of DeepLab v1 and v2 on PASCAL VOC, as released, and of the preset `camvid`."""

from kseg.data import Augment
from kseg.training.recipes.fcn import CAMVID_LITE0_FINISH
from kseg.training.recipes.parts import OptimizerSettings, ScheduleSettings
from kseg.training.recipes.recipe import Recipe

# The released solver and train.prototxt of DeepLab-LargeFOV, on the 10,582 images of train_aug from VGG16's ImageNet
# weights (--train-split train_aug --weights imagenet): 6,000 steps of 30 crops, the score layer at ten times the rate,
# the loss on every 8th label. That is days on a CPU, and was not run here. A CPU's size of it, to see the loss fall:
#   kseg train --model deeplabv1_vgg16 --data camvid --root camvid --recipe deeplabv1_voc --weights imagenet \
#     --batch-size 2 --size 161 161 --epochs 3 --steps-per-epoch 100
DEEPLABV1_VOC = Recipe(
    name="deeplabv1_voc",
    model="deeplabv1_vgg16",
    data="voc",
    backbone="DeepLabVGG16",
    optimizer=OptimizerSettings(
        "sgd", momentum=0.9, weight_decay=5e-4, head_multiplier=10.0, bias_multiplier=2.0
    ),
    schedule=ScheduleSettings("step", learning_rate=1e-3, step_every=2000),
    epochs=6,
    steps_per_epoch=1000,
    batch_size=30,
    size=(321, 321),
    augment=Augment(mirror=True),
    label_stride=8,
    expected_score=0.6225,
    source="DeepLab-LargeFOV, arXiv v3 and its train.prototxt: 62.25 on VOC12 val, 67.64 with CRF (4 / 49 / 5, 3 / 3)",
)
# The second stage of the paper: only the weights that MSc adds are trained, on the network of the first stage. Its
# score layer is new as a whole, as it reads 640 channels more.
DEEPLABV1_VOC_MSC = DEEPLABV1_VOC.replace(
    name="deeplabv1_voc_msc",
    model="deeplabv1_vgg16_msc",
    backbone="DeepLabVGG16",
    freeze_backbone=True,
    starts_from="deeplabv1_voc",
    expected_score=0.6421,
    source="DeepLab-MSc-LargeFOV, started from LargeFOV (--init-from): 64.21 on VOC12 val, 68.70 with CRF",
)
DEEPLABV2_VOC_VGG16 = DEEPLABV1_VOC.replace(
    name="deeplabv2_voc_vgg16",
    model="deeplabv2_vgg16",
    backbone="DeepLabVGG16",
    schedule="poly",
    power=0.9,
    step_every=None,
    epochs=20,
    batch_size=10,
    expected_score=0.6896,
    source="DeepLab v2, ASPP-L on VGG16: 68.96 on VOC12 val, 71.57 with CRF (4 / 65 / 3, 2 / 2)",
)
DEEPLABV2_VOC_VGG16_S = DEEPLABV2_VOC_VGG16.replace(
    name="deeplabv2_voc_vgg16_s",
    model="deeplabv2_vgg16_aspp_s",
    backbone="DeepLabVGG16",
    expected_score=0.6698,
    source="DeepLab v2, ASPP-S on VGG16: 66.98 on VOC12 val, 69.73 with CRF",
)
# Batches of 10 as two of 5. Test as trained: kseg evaluate --scales 0.5 0.75 1 --fuse max. The paper's 76.35 starts
# from weights trained on MS-COCO; it has no figure for ASPP from ImageNet's.
DEEPLABV2_VOC_RESNET101 = DEEPLABV2_VOC_VGG16.replace(
    name="deeplabv2_voc_resnet101",
    model="deeplabv2_resnet101",
    backbone="ResNet 101",
    learning_rate=2.5e-4,
    batch_size=5,
    accumulate=2,
    scale=(0.5, 1.5),
    input_scales=(0.5, 0.75, 1.0),
    expected_score=None,
    source="DeepLab v2, ASPP-L on ResNet-101: 76.35 on VOC12 val from MS-COCO, 77.69 with CRF (4 / 67 / 3, 3 / 1)",
)

# The preset `camvid`: a decoder that sees the maps at stride 4, on the backbone of DeepLab v2 after
# camvid_lite0_finish, thin and rare classes weighed up. Then camvid_lite0_finish once more from its best.keras, with
# less weight on them, as it costs pedestrians and fences:
#   --recipe camvid_lite0_finish --learning-rate 6e-4 --class-weights 1 1 2 1 1 1 1.2 1 1 1 1
CAMVID_LITE0_DECODER = CAMVID_LITE0_FINISH.replace(
    name="camvid_lite0_decoder",
    model="deeplabv3plus_efficientnetlite0_stride8",
    backbone="EfficientNetLite lite0",
    head_multiplier=3.0,
    class_weights=(1, 1, 2.5, 1, 1, 1, 1.6, 1.1, 1.1, 1.6, 1.2),
    epochs=12,
    starts_from="camvid_lite0_finish",
    expected_score=0.741,
    expected_minutes=36,
    source="CamVid's validation split, on two busy CPU cores",
)

DEEPLAB_RECIPES = (
    CAMVID_LITE0_DECODER,
    DEEPLABV1_VOC,
    DEEPLABV1_VOC_MSC,
    DEEPLABV2_VOC_VGG16,
    DEEPLABV2_VOC_VGG16_S,
    DEEPLABV2_VOC_RESNET101,
)
