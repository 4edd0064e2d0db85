"""The samples of an epoch, read and changed by threads and NumPy."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np

from kseg.data.augment import Augment
from kseg.data.plain.augment import augmented, centre
from kseg.data.plain.draws import fold_in, index_shuffle
from kseg.io.bands import BYTES

Sample = tuple[np.ndarray, np.ndarray]


def sampler(
    samples: Callable[[int], Sample],
    count: int,
    size: tuple[int, int] | None,
    augment: Augment | None,
    seed: int,
    shuffle: bool,
    ignore_label: int,
    value_range: tuple[float, float] = BYTES,
) -> Callable[[int], Sample]:
    """As `kseg.data.batches.sampler`: from a sample's place in the endless row of epochs to its image and label."""

    def sample(position: int) -> Sample:
        epoch, place = divmod(position, count)
        image, label = samples(index_shuffle(place, (seed, epoch), count - 1) if shuffle else place)
        if tuple(value_range) != BYTES:
            image = image.astype(np.float32)
        if augment is not None:
            drawn = fold_in((seed, epoch), place)
            return augmented(augment, image, label, size, drawn, ignore_label, value_range)
        return (image, label) if size is None else centre(image, label, size, ignore_label, value_range)

    return sample


def batches(
    sample: Callable[[int], Sample], positions: Iterable[int], batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stacked images and labels, in order; the next samples are made in threads while a batch is used."""
    positions, threads = iter(positions), os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque(pool.submit(sample, p) for p in islice(positions, 2 * batch_size + threads))
        try:
            while ahead:
                batch = []
                while ahead and len(batch) < batch_size:
                    batch.append(ahead.popleft().result())
                    ahead.extend(pool.submit(sample, p) for p in islice(positions, 1))
                images, labels = zip(*batch, strict=True)
                yield np.stack(images), np.stack(labels)
        finally:
            for future in ahead:
                future.cancel()
