"""Train on a folder of your own images with Keras's `fit`: images/{train,val}, masks/{train,val}, classes.txt."""

import kseg

train, val = (kseg.data.load("folder", root="my_data", split=split) for split in ("train", "val"))
model = kseg.models.build("deeplabv3plus_efficientnetlite0", num_classes=train.num_classes)
model.compile(
    optimizer=kseg.training.AdamW(kseg.training.Poly(1e-3, steps=300), weight_decay=1e-2),
    loss=kseg.losses.CrossEntropy(ignore_label=255),
    metrics=[kseg.metrics.MeanIoU(train.num_classes)],
)
augment = kseg.data.Augment(scale=(0.75, 1.5), mirror=True, brightness=0.2)
model.fit(
    kseg.data.Loader(train, batch_size=4, size=(64, 64), augment=augment),
    epochs=2,
    validation_data=kseg.data.Loader(val, batch_size=1, shuffle=False),
)
model.classes, model.palette = train.classes, train.palette
model.save("mine.keras")
print(kseg.evaluation.evaluate(model, val).table())
