"""The measurements of training measure what they say; their figures themselves are no test's business."""

import importlib.util
import re
from pathlib import Path

import keras
import pytest

import kseg

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("benchmark_training", ROOT / "tools" / "benchmark_training.py")
benchmark = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(benchmark)


@pytest.fixture(autouse=True)
def _small(few_images, monkeypatch):
    """Nine 16x24 images and a network of one convolution in place of the real ones."""
    monkeypatch.setattr(
        benchmark, "training_data", lambda: (few_images, (16, 16), kseg.data.Augment(mirror=True))
    )

    def trainer(num_classes):
        image = keras.Input((None, None, 3))
        model = keras.Model(image, keras.layers.Conv2D(num_classes, 1)(image))
        model.compile(
            kseg.training.AdamW(1e-3), kseg.losses.CrossEntropy(), metrics=[kseg.metrics.MeanIoU(num_classes)]
        )
        return model

    monkeypatch.setattr(benchmark, "trainer", trainer)


def numbers(capsys) -> list[float]:
    return [float(found) for found in re.findall(r"\d+\.\d+(?:e-\d+)?", capsys.readouterr().out)]


def test_a_step_is_timed_on_one_device(capsys):
    benchmark._step("none", None, repeats=2)
    assert 0 < numbers(capsys)[-1] < 60


def test_the_share_is_that_of_the_two_times(monkeypatch, capsys):
    times = iter([0.5, 2.0])
    monkeypatch.setattr(benchmark, "seconds", lambda function, repeats: (function(), next(times))[1])
    benchmark.checkpoint_share()
    assert numbers(capsys)[-3:] == [2.0, 0.5, 400.0]  # nine images are one step of eight


def test_the_first_batch_is_waited_for(monkeypatch, capsys):
    times = iter([10.0, 11.0, 20.0, 20.5, 30.0, 32.25])
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr("kseg.data.pipeline", lambda *_, start_step, **__: [starts.append(start_step)])
    starts = []
    benchmark.skip_ahead()
    assert starts == [0, 0, 50]
    assert numbers(capsys)[-2:] == [2.25, 0.5]


def test_reading_is_counted(capsys):
    benchmark._reading(steps=2)
    benchmark._reading_in_any_order()
    ordered, unordered = numbers(capsys)
    assert ordered > 0
    assert unordered > 0


def test_ratios_are_of_what_the_processes_say(monkeypatch, capsys):
    said = {"_one": 2.0, "_two": 3.0, "_any": 90.0, "_order": 60.0, "_deterministic": 30.0}
    monkeypatch.setattr(benchmark, "figures", lambda program, name: (said[name],))
    assert benchmark.main(["mirrored", "order"]) == 0
    found = numbers(capsys)
    assert found[:3] == [3.0, 2.0, 1.5]
    assert found[-2:] == [1.5, 3.0]
