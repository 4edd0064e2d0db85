import sys

import numpy as np
import pytest

from kseg.webcam.timing import Timings


def test_percentiles_rate_and_report():
    timings = Timings(kept=10)
    for number in range(100):
        timings.add("infer", (number + 1) / 1000)
        timings.shown(10 + number * 0.05)
    assert timings.fps == pytest.approx(20)
    recent, overall = timings.percentiles()["infer"], timings.percentiles(recent=False)["infer"]
    np.testing.assert_allclose(recent, np.percentile(np.arange(91, 101), (50, 95)))
    np.testing.assert_allclose(overall, np.percentile(np.arange(1, 101), (50, 95)))
    report = timings.report()
    assert (report["frames"], report["fps"], report["seconds"]) == (100, 20.0, 4.95)
    assert set(report["stages"]) == {"infer"}


def test_nothing_measured():
    timings = Timings()
    assert timings.fps == 0
    assert timings.report() == {"frames": 0, "seconds": 0.0, "fps": 0.0, "stages": {}}


def test_measure():
    timings = Timings()
    with timings.measure("draw"):
        pass
    assert 0 <= timings.percentiles()["draw"][0] < 1000


def test_a_day_of_frames_stays_small():
    """Four bytes a time, and single precision is enough for milliseconds."""
    timings = Timings()
    for _ in range(10_000):
        timings.add("infer", 0.012345)
    assert sys.getsizeof(timings._all["infer"]) < 5 * 10_000
    assert timings.percentiles(recent=False)["infer"][1] == pytest.approx(12.345, rel=1e-6)
