"""The benchmark measures what it says; its figures themselves are no test's business."""

import ast
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import kseg

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("benchmark", ROOT / "tools" / "benchmark.py")
benchmark = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(benchmark)


@pytest.fixture
def small(few_images, monkeypatch):
    """Nine 16x24 images and a network of one convolution in place of the real ones."""
    monkeypatch.setattr(
        benchmark, "training_data", lambda: (few_images, (16, 16), kseg.data.Augment(mirror=True))
    )

    def build(name, num_classes):
        image = keras.Input((None, None, 3))
        return keras.Model(image, keras.layers.Conv2D(num_classes, 1)(image))

    monkeypatch.setattr("kseg.models.build", build)


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+\.\d+", text)]


@pytest.mark.slow
def test_the_ratio_is_that_of_the_two_rates(small, capsys):
    benchmark.input_against_training(steps=4)
    reading, training, ratio = numbers(capsys.readouterr().out)[-3:]
    assert reading > 0
    assert ratio == pytest.approx(reading / training, rel=0.1, abs=0.1)


@pytest.mark.slow
def test_the_share_is_that_of_the_two_times(small, capsys):
    benchmark.confusion_share(repeats=3)
    predicting, counting, share = numbers(capsys.readouterr().out)[-3:]
    assert share / 100 == pytest.approx(counting / (predicting + counting), rel=0.2, abs=0.01)


@pytest.mark.slow
def test_help_is_measured(capsys):
    assert benchmark.main(["help"]) == 0
    asked, bare = numbers(capsys.readouterr().out.replace("0.5 s", ""))
    assert asked > bare > 0


@pytest.mark.slow
def test_the_ratio_of_proposals_is_that_of_the_times(small, capsys):
    benchmark.proposals_batched(boxes=12, repeats=2, networks=("deconvnet_small",))
    said = capsys.readouterr().out
    batches, singly, alone = (float(found) for found in re.findall(r"(\d+\.\d+) s", said))
    ratio, against = re.search(r"ratio (\d+\.\d+) .*, (\d+\.\d+) against", said).groups()
    assert float(ratio) == pytest.approx(singly / batches, rel=0.5, abs=0.5)
    assert float(against) == pytest.approx(alone / batches, rel=0.5, abs=1)


def test_every_measurement_is_there(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    called = []

    def imported(module):
        tree = ast.parse((ROOT / "tools" / f"{module.replace('.', '/')}.py").read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        return SimpleNamespace(**{name: lambda name=name: called.append(name) for name in names})

    monkeypatch.setattr(benchmark.importlib, "import_module", imported)
    elsewhere = [run for run in benchmark.MEASUREMENTS.values() if run.__name__ == "<lambda>"]
    for run in elsewhere:
        run()
    assert len(called) == len(elsewhere) >= 10
    for name in benchmark.MEASUREMENTS:
        assert f"python tools/benchmark.py {name} " in benchmark.__doc__
