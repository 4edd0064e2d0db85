"""Optuna tries learning rates, and ends a trial early that is worse than the others were (pruning)."""

import optuna

import kseg

train, val = (kseg.data.load("folder", root="my_data", split=split) for split in ("train", "val"))


def objective(trial):
    model = kseg.models.build("lraspp_efficientnetlite0", train.num_classes)
    rate = trial.suggest_float("rate", 1e-4, 1e-2, log=True)
    model.compile(kseg.optimizers.AdamW(rate), learning_rates={"backbone": trial.suggest_float("backbone", 0.1, 1)})
    loader = kseg.data.Loader(train, batch_size=2, size=(64, 64))
    for epoch in range(2):  # yours: 30
        model.fit(loader, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
        score = kseg.evaluation.evaluate(model, val).mean_iou
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1))
study.optimize(objective, n_trials=3)
print(study.best_params, study.best_value, [trial.state.name for trial in study.trials])
