"""`History`: what `fit` returns, Keras's History and the rows of metrics.csv at once."""

import keras


class History(keras.callbacks.History, list):
    """The scores of a training by epoch.

    As a list it holds one dict an epoch, the rows of `metrics.csv`, those of earlier starts included. As Keras's
    History it has `history`, a list of values for each name (None in epochs without it), and `epoch`, from 0.

    Args:
        rows: one dict an epoch, with "epoch" counted from 1.

    Example:

    >>> found = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> found[-1]["loss"], found.history["loss"], found.epoch
    (0.25, [0.5, 0.25], [0, 1])
    """

    def __init__(self, rows: list[dict[str, float]]) -> None:
        keras.callbacks.History.__init__(self)
        list.__init__(self, rows)
        names = dict.fromkeys(name for row in rows for name in row if name != "epoch")
        self.history = {name: [row.get(name) for row in rows] for name in names}
        self.epoch = [row["epoch"] - 1 for row in rows]
