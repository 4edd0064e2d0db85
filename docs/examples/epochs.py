"""Epochs that never repeat, and a run that goes on as if it had not been broken off."""

import numpy as np

import kseg

train = kseg.data.load("folder", "my_data", "train")
augment = kseg.data.Augment(scale=(0.8, 1.25), mirror=True)
settings = {"batch_size": 2, "size": (64, 64), "augment": augment, "seed": 7}
model = kseg.models.build("fcn32s_efficientnetlite0", train.num_classes)
model.compile()
model.fit(kseg.data.Loader(train, **settings), epochs=2, verbose=2)
model.fit(kseg.data.Loader(train, **settings), epochs=3, initial_epoch=2, verbose=2)  # the third epoch

unbroken = kseg.data.Loader(train, **settings)
for _ in range(3):
    batches = list(unbroken)
resumed = kseg.data.Loader(train, first_epoch=2, **settings)
print(all(np.array_equal(one[0], other[0]) for one, other in zip(batches, resumed, strict=True)))
