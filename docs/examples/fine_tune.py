"""Fine-tune a preset on your own classes: its decoder is kept, and the scores of classes that it knows."""

import kseg

train, val = (kseg.data.load("folder", root="my_data", split=split) for split in ("train", "val"))
model = kseg.models.from_preset("people", train.num_classes, classes=train.classes)
model.freeze("stage1", "stage2")
model.compile(learning_rates={"backbone": 0.3})  # AdamW, cross-entropy, mean IoU
model.fit(kseg.data.Loader(train, batch_size=2, size=(64, 64)), epochs=1)
print(kseg.evaluation.evaluate(model, val).table())
model.save_to_preset("mine", description="Things on the ground", data="my_data", licence="CC BY 4.0")
again = kseg.models.from_preset("mine")
print(again.classes, kseg.inference.Predictor(again)(kseg.data.read_image("photo.jpg")).shape)
