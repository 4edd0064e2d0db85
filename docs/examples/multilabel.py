"""Classes that overlap: a sigmoid for each, a mask for each; disks and bands are found with an IoU above 0.9."""

import numpy as np

import kseg

rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:48, :48]
centre, radius = rng.uniform(14, 34, (64, 2, 1, 1)), rng.uniform(7, 12, (64, 1, 1))
left = rng.uniform(3, 36, (64, 1, 1))
disk = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < radius**2
masks = np.stack([disk, (columns >= left) & (columns < left + 9)], axis=-1).astype("uint8")
images = 90 + rng.normal(0, 20, (64, 48, 48, 3)) + masks[..., :1] * [99, 0, 0] + masks[..., 1:] * [0, 0, 99]
images = images.clip(0, 255).astype("uint8")
data = kseg.data.from_arrays(images, masks, classes=["disk", "band"], multilabel=True)
train, test = data[:56], data[56:]

model = kseg.models.build("unet", 2, multilabel=True)
model.classes = data.classes
model.compile(kseg.optimizers.AdamW(4e-3))
model.fit(kseg.data.Loader(train, batch_size=4, augment=kseg.data.Augment(mirror=True)), epochs=8, verbose=2)

report, found = kseg.evaluation.evaluate(model, test), kseg.predict(model, images[-1])
print(report.table(), found.masks.shape, found.areas(), sep="\n")
assert report.class_iou.min() > 0.9
