"""`StopOnNaN`: ends a training whose loss is no finite number."""

import math
from collections.abc import Callable
from typing import Any

import keras

from kseg.errors import KsegError

DIVERGED = (
    "Lower the learning rate or lengthen the warm-up; if it happens at once, run `kseg check-data`; with "
    "mixed_float16, try mixed_bfloat16 or full precision."
)


class StopOnNaN(keras.callbacks.Callback):
    """Raises KsegError in the step whose loss is no finite number; the last checkpoint is from before it.

    Args:
        files: a function that gives the names of a step's images for the message, from the epoch and the step in it,
            both counted from 0; or None.

    Raises:
        KsegError: from the end of such a step.

    Example:

    >>> callback = kseg.training.StopOnNaN()
    >>> callback.on_train_batch_end(0, {"loss": 0.5})
    """

    def __init__(self, files: Callable[[int, int], list[str]] | None = None) -> None:
        super().__init__()
        self.files, self._epoch = files, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            files = self.files(self._epoch, batch) if self.files else []
            raise KsegError(
                f"The loss is no longer a finite number (step {batch + 1} of the epoch"
                f"{'; its images: ' + ', '.join(files) if files else ''}). The last checkpoint is kept. {DIVERGED}"
            )
