"""Any functional classifier of keras.applications under any head: here MobileNetV2 under DeepLabv3+."""

import keras
import numpy as np

import kseg

# weights="imagenet" downloads ImageNet's; None starts from random weights.
classifier = keras.applications.MobileNetV2(input_shape=(224, 224, 3), weights=None)
backbone = kseg.backbones.from_classifier(classifier, output_stride=16)
print({name: tensor.shape[-1] for name, tensor in backbone.stages.items()})
model = kseg.models.DeepLabV3Plus(backbone, num_classes=4)
print(model(np.zeros((1, 97, 128, 3), np.float32)).shape)  # any size goes in, logits of that size come out
model.save("mobilenet.keras")
