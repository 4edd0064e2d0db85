"""One class beside the background: a U-Net with one sigmoid channel; disks are found with an IoU above 0.9."""

import numpy as np

import kseg

rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:64, :64]
centre, radius = rng.uniform(20, 44, (64, 2, 1, 1)), rng.uniform(8, 15, (64, 1, 1))
masks = ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < radius**2).astype("uint8")
images = rng.normal(90, 25, (64, 64, 64, 3)) + masks[..., None] * np.array([60, 0, -40])
data = kseg.data.from_arrays(images.clip(0, 255).astype("uint8"), masks, classes=["ground", "disk"])
train, test = data[:56], data[56:]

model = kseg.models.build("unet", num_classes=1)
model.classes = data.classes
model.compile(kseg.optimizers.AdamW(2e-3), kseg.losses.CrossEntropy(), metrics=[kseg.metrics.IoU(["disk"])])
model.fit(kseg.data.Loader(train, batch_size=8, augment=kseg.data.Augment(mirror=True)), epochs=8, verbose=2)

score = kseg.evaluation.evaluate(model, test).class_iou[1]
found = kseg.predict(model, test[0][0], threshold=0.5)
print(f"IoU of the disks {score:.3f}; the first has {found.areas().get('disk', 0)} pixels")
assert score > 0.9
