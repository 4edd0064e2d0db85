"""From a `Dataset` to batches: parallel reading, augmentation, cache, prefetch, in a repeatable order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kseg.checks import pair, whole
from kseg.data.augment import Augment, centre, check_augment
from kseg.data.dataset import Dataset
from kseg.data.masks import kind_of
from kseg.data.plain import batches as plain
from kseg.data.plain.draws import index_shuffle
from kseg.data.sources.as_dataset import as_dataset
from kseg.errors import DataError, SettingsError, find_user_error, release_frames
from kseg.io.bands import BYTES
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf

CACHE_BYTES = 2 * 1024**3
_ENDLESS = 2**62
_ENDLESS_EPOCHS = 2**31  # more than a run has, and the positions of 2**30 samples stay below 2**63


def pipeline(
    dataset: Any,
    *,
    batch_size: int,
    size: tuple[int, int] | None = None,
    augment: Augment | None = None,
    seed: int = 0,
    shuffle: bool = False,
    epochs: int | None = 1,
    start_step: int = 0,
    cache: bool = True,
    drop_remainder: bool = False,
    parts: int = 1,
    own: range = range(1),
) -> tf.data.Dataset:
    """Batches of a data set: image uint8 (B, H, W, 3) RGB, label uint8 (B, H, W).

    Images of another range of values than 0-255 are float32, in their own values; labels of overlapping classes are
    (B, H, W, classes).

    Order and augmentation are pure functions of `seed`, the epoch and the place in the epoch: sample `k` of epoch `e`
    is `tf.random.experimental.index_shuffle(k, [seed, e], len(dataset) - 1)` with `shuffle`, else `k`; its
    augmentation is drawn from `(seed, e, k)`. Epochs follow each other without a gap, so a batch may hold the end of
    one and the start of the next. Iterated again, as Keras does in every epoch of `fit`, it goes on with epochs that
    were not there yet. Where epochs must be counted, as to resume a run, use `Loader`.

    Args:
        dataset: a `Dataset`, `(x, y)`, or what else `as_dataset` takes.
        batch_size: samples in a batch; only the very last batch may be smaller.
        size: (height, width) of the results. Without `augment`, the middle is cut out or padded (mean colour,
            ignored); with it, a random window. None keeps every image's size, which then must be the same within a
            batch.
        augment: random changes; without it samples are the stored ones.
        seed: of order and augmentation.
        shuffle: another order in every epoch.
        epochs: how often every sample comes in one iteration; None for endless.
        start_step: how many batches to skip, without reading them: the rest is what an uninterrupted run would have
            seen.
        cache: keep decoded samples in memory (uint8, up to `CACHE_BYTES`; what does not fit is read again).
        drop_remainder: leave out the last, smaller batch, so that the batch dimension is static.
        parts: how many equal parts every batch is cut into, one for each replica of a distributed training.
        own: which of these parts to give, one after another; the samples of the others are not read.

    Returns:
        A `tf.data.Dataset` of (image, label).

    Raises:
        SettingsError: at once, for settings that cannot work.
        DataError: at once, for an empty data set.
        PackageError: TensorFlow is not installed; `Loader` works without it.
        tf.errors.OpError: while iterating, where a file cannot be used; `user_errors()` turns it into the DataError
            that names the file.

    Example:

    ```python
    train = kseg.data.load("folder", "my_data", "train")
    batches = kseg.data.pipeline(train, batch_size=8, size=(256, 256), augment=kseg.data.Augment(mirror=True))
    model.fit(batches, epochs=20)
    ```
    """
    dataset = as_dataset(dataset)
    if len(dataset) == 0:
        raise DataError(f"data set {dataset.name}: the split {dataset.split!r} is empty")
    batch_size, start_step = whole(batch_size, "batch_size"), whole(start_step, "start_step", 0)
    size = None if size is None else pair(size, "size")
    epochs = None if epochs is None else whole(epochs, "epochs")
    check_augment(augment, kind_of(dataset).channels)
    share = Share(batch_size, parts, own)
    total = share.count(_ENDLESS if epochs is None else epochs * len(dataset))
    start = min(start_step * share.size, total)
    one_size = size is None and batch_size > 1
    samples = SampleCache(dataset, cache_bytes=CACHE_BYTES if cache else 0, one_size=one_size)
    sample = sampler(dataset, samples, size, augment, seed, shuffle)
    # Only what is drawn differs from one iteration to the next.
    iterations = itertools.count() if shuffle or augment is not None else itertools.repeat(0)
    each = (_ENDLESS_EPOCHS if epochs is None else epochs) * len(dataset)

    def produce(number: tf.Tensor, iteration: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return sample(share.position(number) + iteration * each)

    stream = tf.data.Dataset.from_tensors(0).map(
        lambda _: tf.numpy_function(lambda: np.int64(next(iterations)), [], tf.int64, stateful=True)
    )
    stream = stream.map(lambda iteration: tf.ensure_shape(iteration, ()))
    numbers = tf.data.Dataset.range(start, total)
    stream = stream.flat_map(lambda iteration: numbers.map(lambda number: (number, iteration)))
    stream = stream.apply(tf.data.experimental.assert_cardinality(total - start))
    return read_ahead(stream, produce, share.part, drop_remainder)


def read_ahead(
    numbers: tf.data.Dataset, sample: Callable[..., Any], batch_size: int, drop_remainder: bool = False
) -> tf.data.Dataset:
    """Batches of the samples that belong to a stream of numbers, in its order, by a thread for each core (up to 16).

    TensorFlow's own search for the best number of threads is off: ending an iteration may wait until the thread that
    searches wakes up, as long as the iteration took, up to a minute (seen with TensorFlow 2.21).
    """
    sample = tf.autograph.experimental.do_not_convert(sample)  # AutoGraph would read its source for nothing
    stream = numbers.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = stream.batch(batch_size, drop_remainder=drop_remainder)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


@dataclass(frozen=True)
class Share:
    """The samples of every batch that are one's own, where several replicas and machines read a batch together.

    Args:
        batch: samples in a batch.
        parts: equal parts that it is cut into.
        own: which of them are one's own, a range.

    Raises:
        SettingsError: parts that are not equal, or that are not there.
    """

    batch: int
    parts: int
    own: range

    def __post_init__(self) -> None:
        if self.parts < 1 or self.batch % self.parts:
            raise SettingsError(f"a batch of {self.batch} cannot be cut into {self.parts} equal parts")
        if not len(self.own) or self.own.step != 1 or self.own.start < 0 or self.own.stop > self.parts:
            raise SettingsError(f"own is a range of parts 0 to {self.parts - 1}, got {self.own}")

    @property
    def part(self) -> int:
        """Samples in one part."""
        return self.batch // self.parts

    @property
    def size(self) -> int:
        """One's own samples in a whole batch."""
        return len(self.own) * self.part

    def count(self, samples: int) -> int:
        """How many of the first `samples` are one's own; the last batch may be smaller."""
        in_last = samples % self.batch - self.own.start * self.part
        return samples // self.batch * self.size + min(max(in_last, 0), self.size)

    def position(self, number: Any) -> Any:
        """Where the sample stands that is one's own number `number`; also of a tensor."""
        return number // self.size * self.batch + self.own.start * self.part + number % self.size


def sampler(
    dataset: Dataset,
    samples: SampleCache,
    size: tuple[int, int] | None,
    augment: Augment | None,
    seed: int,
    shuffle: bool,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function from a sample's place in the endless row of epochs to its image and label."""
    kind = kind_of(dataset)
    if not tf.installed():
        ignored, values = dataset.ignore_label, kind.value_range
        return plain.sampler(samples, len(dataset), size, augment, seed, shuffle, ignored, values)
    bytes_alone = kind.value_range == BYTES
    dtype = tf.uint8 if bytes_alone else tf.float32

    def read(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        image, label = samples(index)
        return (image if bytes_alone else image.astype(np.float32)), label

    @tf.function(input_signature=[tf.TensorSpec((), tf.int64)], autograph=False)
    def sample(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, place = position // len(dataset), position % len(dataset)
        index, key = place, tf.stack([tf.constant(seed, tf.int64), epoch])
        if shuffle:
            last = tf.constant(len(dataset) - 1, tf.int64)
            index = tf.random.experimental.index_shuffle(place, key, last)
        image, label = tf.numpy_function(read, [index], [dtype, tf.uint8], stateful=True)
        image = tf.ensure_shape(image, (None, None, kind.channels))
        label = tf.ensure_shape(label, (None, None, dataset.num_classes) if kind.multilabel else (None, None))
        if augment is not None:
            drawn = tf.random.experimental.stateless_fold_in(key, place)
            return augment(image, label, size, drawn, dataset.ignore_label, kind.value_range)
        if size is None:
            return image, label
        return centre(image, label, size, dataset.ignore_label, kind.value_range)

    return sample


def samples_of_step(count: int, *, batch_size: int, seed: int, shuffle: bool, step: int) -> list[int]:
    """The numbers of the samples in batch `step` of a `pipeline` over `count` samples; nothing is read."""
    positions = range(step * batch_size, (step + 1) * batch_size)
    if not shuffle:
        return [position % count for position in positions]
    return [index_shuffle(p % count, (seed, p // count), count - 1) for p in positions]


class SampleCache:
    """Samples of a data set by number, decoded once and kept in memory as far as `cache_bytes` reach."""

    def __init__(self, dataset: Dataset, *, cache_bytes: int = CACHE_BYTES, one_size: bool = False) -> None:
        self.dataset, self.one_size = dataset, one_size
        # A source whose samples are made again each time keeps what it makes them of.
        makes = getattr(dataset.samples, "makes_samples", False)
        self._bytes_left, self._kept = 0 if makes else cache_bytes, {}
        self._first: tuple[str, tuple[int, ...]] | None = None

    def __call__(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = int(index)
        sample = self._kept.get(index)
        if sample is None:
            sample = self.dataset.load(index)
            if self.one_size:
                name, (height, width) = self.dataset.name_of(index), sample[0].shape[:2]
                first, size = self._first = self._first or (name, (height, width))
                if size != (height, width):
                    raise SettingsError(
                        f"images of different sizes cannot share a batch ({first} is {size[0]}x{size[1]}, {name} is "
                        f"{height}x{width}): give size=(height, width), or batch_size=1"
                    )
            needed = sum(part.nbytes for part in sample)
            if needed <= self._bytes_left:
                self._bytes_left -= needed
                self._kept[index] = sample
        return sample


@contextmanager
def user_errors() -> Iterator[None]:
    """Iterate a pipeline inside this context to get kseg's own DataError instead of TensorFlow's wrapping.

    TensorFlow reports an exception of Python code inside a pipeline as `UnknownError`, with the text, a
    traceback and the names of graph nodes around it.

    Returns:
        A context manager.

    Example:

    >>> images, masks = np.zeros((2, 8, 8, 3), "uint8"), np.ones((2, 8, 8), "uint8")
    >>> data = kseg.data.from_arrays(images, masks, classes=["background", "thing"])
    >>> with kseg.data.user_errors():
    ...     len(list(kseg.data.pipeline(data, batch_size=2)))
    1
    """
    if not tf.installed():
        yield
        return
    try:
        yield
    except tf.errors.OpError as error:
        found = find_user_error(error)
        if found is None:
            raise
        release_frames(error)  # the iterator too: one left until Python ends would keep it from ending
        raise found from None
