import os
import subprocess
import sys

import numpy as np
import pytest

from kseg.data import load
from kseg.data.sources.shapes import _VERSION, CLASSES, SPLITS, draw_scene
from kseg.errors import DataError


def test_scene_is_a_function_of_its_seed():
    first, again, other = (draw_scene(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    assert first[0].shape == (128, 128, 3)
    assert first[0].dtype == first[1].dtype == np.uint8


def test_every_class_occurs_and_the_ground_dominates():
    masks = np.stack([draw_scene(np.random.default_rng(seed))[1] for seed in range(40)])
    share = np.bincount(masks.ravel(), minlength=len(CLASSES)) / masks.size
    assert len(share) == 7
    assert (share[1:] > 0.01).all()
    assert 0.5 < share[0] < 0.9


def test_colour_does_not_tell_the_class():
    """A class looks different every time."""
    colours = []
    for seed in range(60):
        image, mask = draw_scene(np.random.default_rng(seed))
        if (mask == 1).sum() > 100:
            colours.append(image[mask == 1].mean(axis=0))
    assert np.std(colours, axis=0).min() > 25


def test_edges_are_antialiased():
    """Across an outline, pixels lie between the two surfaces: few steps are as high as the full edge."""
    image, mask = draw_scene(np.random.default_rng(1))
    edge = mask[:, 1:] != mask[:, :-1]
    assert edge.any()
    grey = image.astype(float).mean(axis=-1)
    step = np.abs(grey[:, 1:] - grey[:, :-1])[edge]
    far = np.abs(grey[:, 3:] - grey[:, :-3])[edge[:, 1:-1]]
    assert np.mean(step) < 0.9 * np.mean(far)


def test_prepared_once_then_reused(shapes_cache):
    train, val = (load("shapes", shapes_cache, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (14, 6)
    assert train.classes == CLASSES
    assert [entry.name for entry in shapes_cache.iterdir()] == ["kseg_shapes"]  # nothing half-drawn stays
    scenes = [draw_scene(np.random.default_rng([0, index])) for index in range(14)]
    image, mask = train.load(5)
    matches = [index for index, scene in enumerate(scenes) if (scene[0] == image).all()]
    assert len(matches) == 1
    np.testing.assert_array_equal(scenes[matches[0]][1], mask)


def test_drawn_again_equals_itself(tmp_path, shapes_cache, monkeypatch):
    monkeypatch.setattr("kseg.data.sources.shapes.SPLITS", {"train": 14, "val": 6})
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "new"))
    left = tmp_path / "new" / "kseg_shapes" / _VERSION
    left.mkdir(parents=True)
    (left / "rubbish").write_text("of a drawing that was cut off")
    again, first = load("shapes"), load("shapes", shapes_cache)
    assert not (left / "rubbish").exists()
    for index in range(14):
        np.testing.assert_array_equal(again.load(index)[0], first.load(index)[0])


def test_no_such_split_and_no_place(tmp_path, monkeypatch):
    assert SPLITS == {"train": 960, "val": 96, "test": 96}
    with pytest.raises(DataError, match="no split 'all'; found train, val, test"):
        load("shapes", tmp_path, "all")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set KSEG_CACHE"):
        load("shapes", tmp_path / "file" / "cache")


@pytest.mark.slow
def test_needs_no_network(tmp_path):
    """In a process where any socket fails."""
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('network used')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from kseg.data.sources import shapes\n"
        "shapes.SPLITS = {'train': 2, 'val': 1}\n"
        f"print(len(shapes.load_shapes({str(tmp_path)!r})))\n"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "2", done.stderr[-2000:]
