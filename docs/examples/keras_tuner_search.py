"""KerasTuner's Hyperband: many learning rates for an epoch, the better half of them for longer."""

import keras_tuner

import kseg

train, val = (kseg.data.load("folder", root="my_data", split=split) for split in ("train", "val"))


def build(trial):
    model = kseg.models.build("lraspp_efficientnetlite0", train.num_classes)
    rate, backbone = trial.Float("rate", 1e-4, 1e-2, sampling="log"), trial.Choice("backbone", [0.1, 1.0])
    model.compile(kseg.optimizers.AdamW(rate), learning_rates={"backbone": backbone})
    return model


goal = keras_tuner.Objective("val_mean_iou", "max")
tuner = keras_tuner.Hyperband(build, goal, max_epochs=2, factor=2, directory="trials", overwrite=True)  # yours: 30, 3
batches = kseg.data.Loader(train, batch_size=2, size=(64, 64))
tuner.search(batches, validation_data=kseg.data.Loader(val, batch_size=1, shuffle=False), verbose=0)
print(tuner.get_best_hyperparameters()[0].values)
