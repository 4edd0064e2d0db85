"""Arrays into everything: fit, evaluate, a CRF's settings, an exported file's check."""

import numpy as np

import kseg

y = np.zeros((8, 64, 96), np.uint8)
y[:, 16:48, 24:72] = 1
x = (y[..., None] * 120 + np.random.default_rng(0).integers(0, 100, (8, 64, 96, 3))).astype(np.uint8)

model = kseg.models.build("fcn32s_efficientnetlite0", 2)
model.compile()  # cross-entropy, mean IoU and the IoU of each class
model.fit(x, y, batch_size=4, epochs=2, verbose=2)
print(kseg.evaluation.evaluate(model, (x, y)).table())
found = kseg.evaluation.tune_crf(model, (x, y), limit=2, weights=[4], xy_stds=[30], rgb_stds=[9], refinements=0)
kseg.export.tflite(model, "model.tflite", size=(64, 96), precision="int8", calibration=(x, y), min_agreement=0)
print(kseg.export.check(model, "model.tflite", (x, y), min_agreement=0).table(), found.mean_iou)
