"""The benchmark measures what it says; its figures themselves are no test's business."""

import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import kseg

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("benchmark", ROOT / "tools" / "benchmark.py")
benchmark = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(benchmark)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder of eight 16x24 pictures and a net of one convolution in place of the real ones."""
    for number in range(8):
        for part, pixels in (
            ("images", np.full((16, 24, 3), 9 * number)),
            ("masks", np.full((16, 24), number % 2)),
        ):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / f"{number}.png"), pixels.astype(np.uint8))
    dataset = kseg.data.load("folder", tmp_path)
    monkeypatch.setattr(
        benchmark, "training_data", lambda: (dataset, (16, 16), kseg.data.Augment(mirror=True))
    )

    def build(name, num_classes):
        image = keras.Input((None, None, 3))
        return keras.Model(image, keras.layers.Conv2D(num_classes, 1)(image))

    monkeypatch.setattr("kseg.models.build", build)


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+\.\d+", text)]


def test_the_ratio_is_that_of_the_two_rates(small, capsys):
    benchmark.input_against_training(steps=4)
    reading, training, ratio = numbers(capsys.readouterr().out)[-3:]
    assert reading > 0
    assert ratio == pytest.approx(reading / training, rel=0.1, abs=0.1)


def test_the_share_is_that_of_the_two_times(small, capsys):
    benchmark.confusion_share(repeats=3)
    predicting, counting, share = numbers(capsys.readouterr().out)[-3:]
    assert share / 100 == pytest.approx(counting / (predicting + counting), rel=0.2, abs=0.01)


def test_seconds_is_the_median_without_the_first():
    naps = iter([0.2, 0.01, 0.02, 0.15])
    assert 0.02 <= benchmark.seconds(lambda: time.sleep(next(naps)), 3) < 0.1


def test_peak_memory_counts_what_was_touched():
    program = (
        f"import runpy; peak = runpy.run_path({str(ROOT / 'tools' / 'benchmark.py')!r})['peak_mebibytes'];"
        "before = peak(); block = bytearray(b'x') * (64 * 2**20); del block; print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 60 < float(done.stdout) < 80


def test_help_is_measured(capsys):
    assert benchmark.main(["help"]) == 0
    asked, bare = numbers(capsys.readouterr().out.replace("0.5 s", ""))
    assert asked > bare > 0


def test_the_ratio_of_proposals_is_that_of_the_times(small, capsys):
    benchmark.proposals_batched(boxes=12, repeats=2)
    said = capsys.readouterr().out
    batches, singly, alone = (float(found) for found in re.findall(r"(\d+\.\d+) s", said))
    ratio, against = re.search(r"ratio (\d+\.\d+) .*, (\d+\.\d+) against", said).groups()
    assert float(ratio) == pytest.approx(singly / batches, rel=0.5, abs=0.5)
    assert float(against) == pytest.approx(alone / batches, rel=0.5, abs=1)


def test_an_unknown_measurement_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(["nosuch"])
    assert "input, evaluation, help, memory" in capsys.readouterr().err
