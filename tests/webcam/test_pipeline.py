import time

import numpy as np
import pytest

from kseg.webcam.capture import Capture
from kseg.webcam.pipeline import Pipeline
from kseg.webcam.timing import Timings


class File:
    """Frames 1 to 8, as values."""

    live, fps = False, 25.0

    def __init__(self):
        self.number = 0

    def read(self):
        self.number += 1
        return np.full((4, 4, 3), self.number, np.uint8) if self.number <= 8 else None

    def release(self):
        pass


def value(frame):
    return np.full((2, 2, 2), float(frame[0, 0, 0]), np.float32)


def started(opener, model, newest):
    capture = Capture(opener, newest=newest)
    pipeline = Pipeline(capture, model, Timings())
    capture.start()
    pipeline.start()
    return pipeline


def test_files_come_out_whole_and_in_order():
    pipeline = started(File, value, newest=False)
    found = []
    while not pipeline.finished:
        if (result := pipeline.take()) is not None:
            found.append((result.frame.number, int(result.output[0, 0, 0])))
    pipeline.stop()
    assert found == [(i, i) for i in range(1, 9)]
    assert {"grab", "infer"} == set(pipeline.timings.percentiles())


def test_live_results_are_the_newest(camera):
    def slow(frame):
        time.sleep(0.05)
        return value(frame)

    pipeline = started(camera(), slow, newest=True)
    numbers = []
    while len(numbers) < 4:
        if (result := pipeline.take()) is not None:
            numbers.append(result.frame.number)
            assert time.monotonic() - result.frame.time < 0.5
            time.sleep(0.15)  # a screen slower than the model: results in between are dropped
    pipeline.stop()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] > 6


def test_an_error_of_the_model_is_raised_where_results_are_taken(camera):
    def broken(frame):
        raise RuntimeError("out of memory")

    pipeline = started(camera(), broken, newest=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        pipeline.take(10)
    pipeline.stop()
