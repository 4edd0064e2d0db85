"""How time and memory of a training step grow with pixels, classes and batch: slopes of lines through logarithms."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

ROUNDS = 3
LIMIT = 1.1
Point = tuple[int, int, int]  # batch, side of the square images, classes


@dataclass(frozen=True)
class Growth:
    """One line: a step at several sizes.

    Args:
        work: what grows.
        least: a point whose time and memory are subtracted, as the others' are on top of them: libraries, weights,
            what a step costs whatever its size; of classes, the network itself.
        points: each measurement.
        size: what of a point the slope is over.
    """

    work: str
    least: Point
    points: tuple[Point, ...]
    size: Callable[[int, int, int], float]


GROWTHS = (
    Growth("pixels", (2, 32, 11), ((4, 128, 11), (4, 192, 11), (4, 288, 11)), lambda batch, side, _: side**2),
    Growth("batch", (2, 32, 11), ((2, 192, 11), (4, 192, 11), (8, 192, 11)), lambda batch, *_: batch),
    Growth("classes", (2, 192, 11), ((2, 192, 100), (2, 192, 200), (2, 192, 400)), lambda *point: point[2]),
)


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
    least_time, least_memory = measured(growth.least, opened)
    sizes = [growth.size(*point) for point in growth.points]
    times, peaks = zip(*(measured(point, opened) for point in growth.points), strict=True)
    slopes = [
        slope(sizes, [value - least for value in values])
        for values, least in ((times, least_time), (peaks, least_memory))
    ]
    time, memory = ("no more than the least" if one is None else f"{one:.2f}" for one in slopes)
    worst = max((one for one in slopes if one is not None), default=0.0)
    return (
        f"| growth of a training step with {growth.work}, {sizes[0]:,} to {sizes[-1]:,} | | time: {time} "
        f"| memory: {memory} | **{worst:.2f}** | up to {LIMIT:g} |"
    )


@cache  # growths share points, and a process takes most of its time to get ready
def measured(point: Point, opened: Any) -> tuple[float, float]:
    """Seconds of a step, and the peak memory of its process in MiB."""
    with opened(" ".join(map(str, ("growth.step", *point)))) as (side,):
        for _ in range(ROUNDS):
            side.run()
        return statistics.median(side.times), side.peak()


def slope(sizes: list[float], values: list[float]) -> float | None:
    """The power of the size that values grow with; None where one is not above zero, so that it has no logarithm."""
    if min(values) <= 0:
        return None
    x, y = ([math.log(one) for one in many] for many in (sizes, values))
    return statistics.linear_regression(x, y).slope
