"""Satellite images: six bands of uint16, and a model for them made of an RGB encoder; mean IoU above 0.9."""

import numpy as np

import kseg

RANGE = (0, 10000)  # of reflectances, as the files store them; nothing is scaled by hand
rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:64, :64]
edge = rng.uniform(16, 48, (64, 2, 1, 1))
masks = ((rows > edge[:, 0]) + (columns > edge[:, 1])).astype("uint8")  # 0 soil, 1 one crop, 2 another
bands = [900, 1100, 1500, 1900, 2300, 2600], [500, 800, 700, 3600, 2100, 1200], [400, 900, 500, 5200, 1800, 900]
images = (np.array(bands)[masks] + rng.normal(0, 300, (64, 64, 64, 6))).clip(*RANGE).astype("uint16")
kind = {"channels": 6, "value_range": RANGE}
data = kseg.data.from_arrays(images, masks, classes=["soil", "wheat", "maize"], **kind)
train, test = data[:56], data[56:]

model = kseg.models.build("unet", 3, **kind, mean=images.mean((0, 1, 2)), std=images.std((0, 1, 2)))
model.classes = data.classes
model.compile(kseg.optimizers.AdamW(1e-3), kseg.losses.CrossEntropy())
model.fit(kseg.data.Loader(train, batch_size=8, augment=kseg.data.Augment(mirror=True)), epochs=8, verbose=2)

score = kseg.evaluation.evaluate(model, test).mean_iou
print(f"mean IoU {score:.3f}; {kseg.predict(model, images[-1])}")
assert score > 0.9
