"""How time and memory of a training step grow with pixels, classes and batch: slopes of lines through logarithms."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROUNDS = 3
LEAST = "growth.step 2 32 2"  # its peak is what the libraries and the network take


@dataclass(frozen=True)
class Growth:
    """One line: a step at several sizes.

    Args:
        work: what grows.
        points: (batch, side of the square images, classes) of each measurement.
        size: what of a point the slope is over.
    """

    work: str
    points: tuple[tuple[int, int, int], ...]
    size: Callable[[int, int, int], float]


GROWTHS = (
    Growth("pixels", ((4, 128, 11), (4, 192, 11), (4, 288, 11)), lambda batch, side, classes: side**2),
    Growth("classes", ((2, 256, 25), (2, 256, 75), (2, 256, 225)), lambda batch, side, classes: classes),
    Growth("batch", ((2, 192, 11), (4, 192, 11), (8, 192, 11)), lambda batch, side, classes: batch),
)
LIMIT = 1.1


def step(batch: int, side: int, classes: int) -> Callable[[], object]:
    """A side of the table: a training step of DeepLabV3+ on EfficientNet-Lite0."""
    from sides import noise

    import kseg

    kseg.training.memory.keep_freed_memory()
    model = kseg.models.build("deeplabv3plus_efficientnetlite0", classes)
    model.compile(kseg.training.AdamW(1e-3), kseg.losses.CrossEntropy(), metrics=[], jit_compile=False)
    images, labels = noise(batch, (side, side), classes)
    return lambda: model.train_on_batch(images, labels)


def line(growth: Growth, opened: Any) -> str:
    """Measure a growth; its line of the table. `opened` starts sides, as `table.opened`."""
    with opened(LEAST) as (side,):
        least = side.peak()
    sizes, times, peaks = [], [], []
    for point in growth.points:
        with opened(" ".join(map(str, ("growth.step", *point)))) as (side,):
            for _ in range(ROUNDS):
                side.run()
            sizes.append(growth.size(*point))
            times.append(statistics.median(side.times))
            peaks.append(side.peak() - least)
    time, memory = slope(sizes, times), slope(sizes, peaks)
    return (
        f"| growth of a training step with {growth.work}, {sizes[0]:,} to {sizes[-1]:,} | | time: {time:.2f} "
        f"| memory: {memory:.2f} | **{max(time, memory):.2f}** | up to {LIMIT:g} |"
    )


def slope(sizes: list[float], values: list[float]) -> float:
    """The power of the size that values grow with."""
    values = [math.log(max(value, 1e-9)) for value in values]
    return statistics.linear_regression([math.log(size) for size in sizes], values).slope
