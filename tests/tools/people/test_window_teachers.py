"""Presets that teach: their scores put together by hand, and a training that takes them for its targets."""

import sys
from pathlib import Path

import numpy as np
import pytest

import kseg

torch = pytest.importorskip("torch")
TOOLS = Path(__file__).parents[3] / "tools" / "people"
PRESETS = Path(kseg.models.__file__).parent / "presets"
FILES = [str(PRESETS / f"{name}_int8.tflite") for name in ("people", "people_portrait")]


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("window_teachers", "teacher", "train", "data", "objective", "augment", "cameras", "network"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import train
    import window_teachers

    return train, window_teachers


def windows(count=2):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.uniform(-5, 260, (count, 3, 16, 24)).astype("float32"))


def test_scores_and_those_of_the_mirror_are_averaged(tools, monkeypatch):
    """Two presets of different sizes, one with a score that depends on the place, one with the same everywhere."""
    seen = []

    class Left:
        size = (16, 24)

        def __call__(self, image):
            seen.append(image.dtype)
            ramp = np.linspace(0, 1, 24)[None] * (image[..., 0] / 255.0)
            return np.stack([np.zeros((16, 24)), ramp], -1).astype("float32")

    class Small:
        size = (8, 12)

        def __call__(self, image):
            assert image.shape == (8, 12, 3)
            return np.stack([np.full((8, 12), 1.0), np.full((8, 12), 3.0)], -1).astype("float32")

    presets = iter([Left(), Small()])
    monkeypatch.setattr(tools[1], "Reference", lambda file, threads: next(presets))
    found = tools[1].WindowTeachers(["a", "b"])(windows()).numpy()
    red = np.round(np.clip(windows().numpy()[:, 0], 0, 255)) / 255
    ramp = np.linspace(0, 1, 24)
    score = (red * ramp + red * ramp[::-1] + 2 + 2) / 4
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-score)), rtol=1e-5)
    assert set(seen) == {np.dtype("uint8")}


def test_a_mirrored_window_has_the_mirrored_target(tools):
    """The presets of the package, one of which is of another size inside; they are not symmetrical themselves."""
    teachers = tools[1].WindowTeachers(FILES, threads=2)
    image = torch.from_numpy(np.random.default_rng(1).uniform(0, 255, (1, 3, 256, 256)).astype("float32"))
    image = torch.nn.functional.avg_pool2d(image, 9, 1, 4)
    found, mirrored = teachers(image), teachers(image.flip(3))
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    torch.testing.assert_close(mirrored.flip(2), found)


def test_a_training_takes_them_where_a_mask_alone_taught(tools, monkeypatch):
    """The loss is told what they see; who taught becomes mask and teacher, and stays the teacher where no mask is."""
    train, told = tools[0], {}
    args = train.parser().parse_args(["--data", "d", "--network", "n", "--out", "o", "--teacher-weight", "0.4"])
    training = object.__new__(train.Training)
    training.args, training.format = args, torch.channels_last
    training.network = torch.nn.Conv2d(3, 2, 1)
    training.optimizer = torch.optim.SGD(training.network.parameters(), 0.1)
    training.optimizer.param_groups[0]["base"] = 0.1
    training.average = train.MovingAverage(training.network, 0.9)
    kinds = torch.tensor([train.MASK, 2, 3])
    masks = torch.ones(3, 16, 24, dtype=torch.uint8)
    packed, outlines = torch.full((3, 16, 24), 0.1), torch.full((3, 16, 24), -1.0)
    images = windows(3)

    class Batch:
        def next(self):
            return images, masks, packed, kinds, outlines

    training.batches, training.teachers = Batch(), lambda given: given[:, 0] / 300
    exact = train.loss_of

    def loss_of(logits, *rest):
        told["teachers"], told["taught"] = rest[1], rest[2].tolist()
        return exact(logits, *rest)

    monkeypatch.setattr(train, "loss_of", loss_of)
    before = training.network.weight.detach().clone()
    assert np.isfinite(training.step(1.0))
    torch.testing.assert_close(told["teachers"], images[:, 0] / 300)
    assert told["taught"] == [train.BOTH, 2, 3]
    assert (training.network.weight != before).any()
    training.teachers = None
    training.step(1.0)
    assert told["teachers"] is packed
    assert told["taught"] == [train.MASK, 2, 3]
