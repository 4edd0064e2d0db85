"""`TensorBoard`: scalars, and images of image, truth and prediction, for TensorBoard."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.data import as_dataset
from kseg.errors import FileError, SettingsError
from kseg.inference import inspect_model
from kseg.io.bands import shown
from kseg.optimizers.schedules import rate_of_last_step


class TensorBoard(keras.callbacks.Callback):
    """Writes every number of Keras's logs, and after each validation an image a sample, for TensorBoard.

    The sample shows the image, its true labels and the predicted labels side by side in the data set's
    palette; ignored pixels are white.

    A folder that cannot be written at the beginning ends the training. Later (when the disk is full) a
    warning is given once, and training continues without these files.

    Args:
        folder: folder of the event files.
        dataset: where the sample images come from; None writes scalars only.
        samples: number of sample images, spread over the data set.

    Raises:
        SettingsError: TensorBoard is not installed, or the folder is a file.
        FileError: the folder cannot be written (from `on_train_begin`).

    Example:

    >>> callback = kseg.training.TensorBoard("runs/a/tensorboard")
    """

    def __init__(self, folder: str | Path, dataset: Any = None, samples: int = 4) -> None:
        super().__init__()
        try:
            import tensorboard  # noqa: F401 (tf.summary needs it and says so only in a traceback)
        except ImportError:
            raise SettingsError(
                "TensorBoard is not installed: run `pip install tensorboard`, or train without its files."
            ) from None
        if Path(folder).exists() and not Path(folder).is_dir():
            raise SettingsError(f"{folder} is a file; TensorBoard's files need a folder of that name.")
        dataset = None if dataset is None else as_dataset(dataset)
        self.folder, self.dataset = str(folder), dataset
        count = 0 if dataset is None else min(samples, len(dataset))
        self.samples = [int(index) for index in np.linspace(0, len(dataset) - 1, count)] if count else []
        self._writer, self._given_up = None, False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        import tensorflow as tf

        try:
            self._open()
            self._writer.flush()
        except (tf.errors.OpError, OSError) as error:
            reason = _first_line(error)
            raise FileError(f"{self.folder}: TensorBoard's files could not be written ({reason}).") from error

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        import tensorflow as tf

        if self._given_up:
            return
        try:
            self._open()
            with self._writer.as_default(step=epoch + 1):
                for name, value in (logs or {}).items():
                    tf.summary.scalar(name, float(value))
                tf.summary.scalar("learning_rate", rate_of_last_step(self.model.optimizer))
                if any(name.startswith("val_") for name in logs or {}):
                    info = inspect_model(self.model)
                    for index in self.samples:
                        image, labels = self.dataset.load(index)
                        scores = np.asarray(info.scores(self.model.predict_on_batch(image[None])))[0]
                        predicted = scores.argmax(-1)
                        if info.multilabel:  # of the classes that a pixel has, one is shown
                            predicted = np.where((scores > info.even).any(-1), predicted, 255)
                            labels = np.where((labels == 1).any(-1), (labels == 1).argmax(-1), 255)
                        maps = [self._coloured(labels), self._coloured(predicted)]
                        panel = np.concatenate([shown(image, info.value_range), *maps], axis=1)
                        tf.summary.image(self.dataset.name_of(index), panel[None])
                self._writer.flush()
        except (tf.errors.OpError, OSError) as error:
            self._given_up = True
            print(
                f"kseg: {self.folder}: TensorBoard's files could not be written ({_first_line(error)}); the training "
                "goes on without them.",
                file=sys.stderr,
            )

    def _open(self) -> None:
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.folder)
            self._writer.init()

    def _coloured(self, labels: np.ndarray) -> np.ndarray:
        colours = np.full((256, 3), 255, "uint8")
        colours[: self.dataset.num_classes] = self.dataset.palette
        return colours[labels]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
