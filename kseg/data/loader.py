"""Epochs as Keras counts them: a loader that draws every epoch again, always the same for its number."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from keras.src.trainers.data_adapters import data_adapter_utils
from keras.src.trainers.data_adapters.data_adapter import DataAdapter

from kseg.checks import pair, whole
from kseg.data.augment import Augment, check_augment
from kseg.data.batches import CACHE_BYTES, SampleCache, read_ahead, sampler, user_errors
from kseg.data.masks import kind_of
from kseg.data.plain.batches import batches
from kseg.data.sources.as_dataset import as_dataset
from kseg.errors import DataError
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


class Loader(DataAdapter):
    """Batches of a data set for `fit`, on any backend of Keras: `len()` is known, and epochs never repeat.

    Order and augmentation are pure functions of `seed`, the epoch and the place in it, so that epoch 7 is the same in
    an unbroken run and in one that resumes with `initial_epoch=7`, and the same as in `kseg train` with that seed.
    Indexed, `loader[i]` is batch `i` of the present epoch; iterated, each iteration is the next epoch.

    (Keras shuffles the order in which it asks a `keras.utils.PyDataset` for batches with Python's own random numbers,
    so that no such run can be resumed. A data adapter, the form that Keras turns every other data into, is asked in
    order.)

    Args:
        dataset: a `kseg.data.Dataset`, `(x, y)`, or what else `as_dataset` takes.
        batch_size: samples in a batch.
        size: (height, width) of the results; None keeps every image's size. See `pipeline`.
        augment: an `Augment`, or None for the samples as they are stored.
        seed: of order and augmentation.
        shuffle: another order in every epoch. Batches are then always full: an epoch has `len(dataset) // batch_size`
            of them, and the samples left over begin the next. Without, an epoch is every sample once, in order, and
            its last batch may be smaller.
        first_epoch: the number of the first epoch, where no `fit` tells it.
        cache: keep decoded samples in memory, as in `pipeline`.

    Raises:
        SettingsError: for settings that cannot work.
        DataError: the data set is empty; while batches are made, a file that cannot be used.

    Example:

    ```python
    loader = kseg.data.Loader(train, batch_size=8, size=(256, 256), augment=kseg.data.Augment(mirror=True))
    model.fit(loader, epochs=50, validation_data=kseg.data.Loader(val, batch_size=1, shuffle=False))
    model.fit(loader, epochs=80, initial_epoch=50)
    ```
    """

    def __init__(
        self,
        dataset: Any,
        *,
        batch_size: int,
        size: tuple[int, int] | None = None,
        augment: Augment | None = None,
        seed: int = 0,
        shuffle: bool = True,
        first_epoch: int = 0,
        cache: bool = True,
    ) -> None:
        dataset = as_dataset(dataset)
        self._settings = {"batch_size": batch_size, "size": size, "augment": augment, "seed": seed}
        self._settings |= {"shuffle": shuffle, "cache": cache}
        if len(dataset) == 0:
            raise DataError(f"data set {dataset.name}: the split {dataset.split!r} is empty")
        size = None if size is None else pair(size, "size")
        check_augment(augment, kind_of(dataset).channels)
        self.dataset, self.shuffle = dataset, shuffle
        self._batch_size = whole(batch_size, "batch_size")
        self.epoch = whole(first_epoch, "first_epoch", 0)
        self._begun = False
        samples = SampleCache(
            dataset, cache_bytes=CACHE_BYTES if cache else 0, one_size=size is None and self._batch_size > 1
        )
        self._sample = sampler(dataset, samples, size, augment, whole(seed, "seed", None), shuffle)
        self._ahead: tuple[int, int, Iterator] | None = None

    def __reduce__(self) -> tuple[Callable[[], Loader], tuple[()]]:
        """In another process the loader stands at the same epoch."""
        return partial(Loader, self.dataset, **self._settings, first_epoch=self.epoch), ()

    def __len__(self) -> int:
        if self.shuffle:
            return max(len(self.dataset) // self._batch_size, 1)
        return math.ceil(len(self.dataset) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index` of the present epoch: images uint8 (B, H, W, 3), labels uint8 (B, H, W)."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of an epoch of {len(self)}")
        if self._ahead is None or self._ahead[:2] != (self.epoch, index):
            self._ahead = self.epoch, index, self._arrays(index)
        stream = self._ahead[2]
        with user_errors():
            batch = next(stream)
        self._ahead = self.epoch, index + 1, stream
        return batch

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One epoch, and with every further iteration the next one."""
        self.on_epoch_begin()
        yield from self.get_numpy_iterator()

    def on_epoch_begin(self) -> None:
        """Called by Keras at the beginning of every epoch."""
        told = _epoch_of_fit()
        self.epoch = self.epoch + self._begun if told is None else told
        self._begun = True

    @property
    def num_batches(self) -> int:
        return len(self)

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def has_partial_batch(self) -> bool:
        return not self.shuffle and len(self.dataset) % self._batch_size > 0

    @property
    def partial_batch_size(self) -> int | None:
        return len(self.dataset) % self._batch_size if self.has_partial_batch else None

    def get_tf_dataset(self) -> tf.data.Dataset:
        """Give the current epoch, whichever that is when it is iterated.

        Returns:
            A `tf.data.Dataset`.
        """
        return self._stream(lambda: self.epoch)

    def get_numpy_iterator(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the current epoch as NumPy arrays.

        Returns:
            An iterator of (images, labels).
        """
        with user_errors():
            yield from self._arrays()

    get_jax_iterator = get_numpy_iterator

    def get_torch_dataloader(self) -> Any:
        """Give the current epoch as batches for PyTorch.

        Returns:
            An iterable of (images, labels).
        """
        return data_adapter_utils.get_torch_dataloader(self.get_numpy_iterator())

    def _arrays(self, index: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of the current epoch from number `index` on."""
        if tf.installed():
            return self._stream(lambda: self.epoch, index).as_numpy_iterator()
        begin = self.epoch * self._samples
        positions = range(begin + index * self._batch_size, begin + self._samples)
        return batches(self._sample, positions, self._batch_size)

    @property
    def _samples(self) -> int:
        """How many samples an epoch has."""
        return len(self) * self._batch_size if self.shuffle else len(self.dataset)

    def _stream(self, epoch: Callable[[], int], index: int = 0) -> tf.data.Dataset:
        """The batches of an epoch from number `index` on, read ahead in parallel."""
        samples, skipped = self._samples, index * self._batch_size

        def first() -> np.int64:
            return np.int64(epoch() * samples)

        with tf.device("CPU"):
            stream = tf.data.Dataset.from_tensors(0)
            stream = stream.map(lambda _: tf.numpy_function(first, [], tf.int64, stateful=True))
            stream = stream.map(lambda start: tf.ensure_shape(start, ()))
            stream = stream.flat_map(lambda start: tf.data.Dataset.range(start + skipped, start + samples))
            stream = stream.apply(tf.data.experimental.assert_cardinality(samples - skipped))
            return read_ahead(stream, self._sample, self._batch_size)


def _epoch_of_fit() -> int | None:
    """The epoch that the `fit` around this call is in, None outside of one.

    Keras tells its callbacks the epoch, but not its data; with `initial_epoch` a count of epochs begun would be wrong.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit" and {"initial_epoch", "epoch"} <= set(frame.f_locals):
            epoch = frame.f_locals["epoch"]
            return epoch if isinstance(epoch, int) else None
        frame = frame.f_back
    return None
