"""`TensorBoard`: scalars, and pictures of image, truth and prediction, for TensorBoard."""

from pathlib import Path

import keras
import numpy as np

from kseg.data import Dataset
from kseg.errors import SettingsError
from kseg.training.optimization.schedules import rate_of_last_step


class TensorBoard(keras.callbacks.Callback):
    """Writes every number of Keras's logs, and after each validation a picture a sample, for TensorBoard.

    A picture shows the image, its true labels and the predicted labels side by side in the data set's
    palette; ignored pixels are white.

    Args:
        folder: where the event files go.
        dataset: where the sample pictures come from; None writes scalars only.
        samples: how many of them, spread over the data set.

    Raises:
        SettingsError: when TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path, dataset: Dataset | None = None, samples: int = 4):
        super().__init__()
        try:
            import tensorboard  # noqa: F401 (tf.summary needs it and says so only in a traceback)
        except ImportError:
            raise SettingsError(
                "TensorBoard is not installed: run `pip install tensorboard`, or train without its files."
            ) from None
        self.folder, self.dataset = str(folder), dataset
        count = 0 if dataset is None else min(samples, len(dataset))
        self.samples = [int(index) for index in np.linspace(0, len(dataset) - 1, count)] if count else []
        self._writer = None

    def on_epoch_end(self, epoch, logs=None):
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.folder)
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, float(value))
            tf.summary.scalar("learning_rate", rate_of_last_step(self.model.optimizer))
            if any(name.startswith("val_") for name in logs or {}):
                for index in self.samples:
                    tf.summary.image(self.dataset.name_of(index), self._picture(index)[None])
            self._writer.flush()

    def _picture(self, index: int) -> np.ndarray:
        image, labels = self.dataset.load(index)
        predicted = self.model.predict_on_batch(image[None])[0].argmax(-1)
        return np.concatenate([image, self._coloured(labels), self._coloured(predicted)], axis=1)

    def _coloured(self, labels: np.ndarray) -> np.ndarray:
        colours = np.full((256, 3), 255, "uint8")
        colours[: self.dataset.num_classes] = self.dataset.palette
        return colours[labels]
