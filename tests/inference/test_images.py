"""Predicting files: names, resuming, and what happens with what cannot be read."""

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from kseg.data.reading.files import read_image, read_mask
from kseg.errors import DataError, SettingsError
from kseg.inference import DenseCRF, Predictor, predict_files
from kseg.inference.images import find_pictures, plan, write_jpeg

CLASSES = ("red", "green", "blue")
PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


@pytest.fixture(scope="module")
def predictor():
    """Labels every pixel with its strongest colour channel: the identity as a network."""
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(3, 1)(image))
    model.layers[-1].kernel.assign(np.eye(3)[None, None])
    return Predictor(model)


def save(path, height=9, width=14, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(predictor, inputs, out, **settings):
    return predict_files(predictor, inputs, out, classes=CLASSES, palette=PALETTE, **settings)


def test_one_file(predictor, tmp_path):
    path = save(tmp_path / "in" / "a.png", 31, 45)
    summary = run(predictor, path, tmp_path / "out")
    assert names(tmp_path / "out") == ["a.png", "a_overlay.jpg"]
    assert summary.masks == (tmp_path / "out" / "a.png",)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a.png"), read_image(path).argmax(-1))
    colours = read_image(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(colours, np.array(PALETTE)[read_image(path).argmax(-1)])
    assert read_image(tmp_path / "out" / "a_overlay.jpg").shape[1] >= 240


@pytest.mark.parametrize("pattern", ["", "*.*", "*.[jp][pn]g", "../**/*.*"])
def test_folder_and_globs(predictor, tmp_path, pattern):
    for name in ("a.png", "b.jpg", "notes.txt", ".hidden.png"):
        save(tmp_path / "in" / name) if not name.endswith("txt") else (tmp_path / "in" / name).write_text("x")
    found = find_pictures(str(tmp_path / "in" / pattern), tmp_path / "out")
    assert [path.name for path in found] == ["a.png", "b.jpg"]
    seen = []
    run(predictor, found, tmp_path / "out", overlay=False, progress=lambda *args: seen.append(args))
    assert names(tmp_path / "out") == ["a.png", "b.png"]
    assert seen == [(1, 2), (2, 2)]


def test_a_file_whose_name_looks_like_a_pattern(predictor, tmp_path):
    path = save(tmp_path / "photo [1].png")
    assert find_pictures(path, tmp_path / "out") == [path]


def test_skip_existing_resumes(predictor, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        save(folder / name, seed=i)
    run(predictor, folder, out)
    (out / "b.png").unlink()
    (out / "c_overlay.jpg").unlink()
    before = (out / "a.png").stat().st_mtime_ns
    summary = run(predictor, folder, out, skip_existing=True)
    assert [path.name for path in summary.masks] == ["b.png", "c.png"]
    assert [path.name for path in summary.skipped] == ["a.png"]
    assert (out / "a.png").stat().st_mtime_ns == before
    assert len(names(out)) == 6


def test_a_broken_file_stops_and_leaves_nothing_half_written(predictor, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "a.png")
    data = save(folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(data[: len(data) // 2])
    save(folder / "c.png")
    with pytest.raises(DataError, match=r"b\.png"):
        run(predictor, folder, out)
    assert names(out) == ["a.png", "a_overlay.jpg"]
    summary = run(predictor, folder, out, keep_going=True, skip_existing=True)
    assert [path.name for path in summary.masks] == ["c.png"]
    assert len(summary.failures) == 1
    assert "b.png" in summary.failures[0]


def test_a_picture_too_large_for_the_crf_is_named_and_the_others_go_on(predictor, tmp_path):
    save(tmp_path / "in" / "a.png", 9, 14)
    save(tmp_path / "in" / "b.png", 10, 15)
    crf = DenseCRF(iterations=1, memory_limit=DenseCRF().memory(9, 14, 3))
    predictor = Predictor(predictor.model, crf=crf)
    summary = run(predictor, tmp_path / "in", tmp_path / "out", keep_going=True)
    assert [path.name for path in summary.masks] == ["a.png"]
    assert len(summary.failures) == 1
    assert "b.png: a CRF on" in summary.failures[0]
    with pytest.raises(SettingsError, match=r"b\.png"):
        run(predictor, tmp_path / "in", tmp_path / "out")


def test_duplicate_stems_get_distinct_names(tmp_path):
    files = ("in/a.png", "in/a.jpg", "in/b.png", "x/c.png", "y/c.png", "x/d.png", "y/D.jpg")
    expected = ("a_png.png", "a_jpg.png", "b.png", "x_c.png", "y_c.png", "d_png.png", "D_jpg.png")
    paths = [save(tmp_path / name) for name in files]
    for order in (paths, paths[::-1]):
        jobs = {job.image: job.mask.name for job in plan(order, tmp_path / "out")}
        assert tuple(jobs[path] for path in paths) == expected


def test_names_that_collide_with_made_up_names(tmp_path):
    files = ("a.png", "a.jpg", "a_png.bmp", "1/x/e.png", "2/x/e.png", "3/x/e.png")
    paths = [save(tmp_path / name) for name in files]
    masks = [job.mask.name.casefold() for job in plan(paths, tmp_path / "out")]
    assert len(set(masks)) == len(paths)


@pytest.mark.parametrize("what", ["a.png", "."])
def test_an_input_is_never_overwritten(predictor, tmp_path, what):
    path = save(tmp_path / "a.png")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="another folder"):
        run(predictor, tmp_path / what, tmp_path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.png"]


def test_a_jpeg_beside_its_mask_is_fine(predictor, tmp_path):
    path = save(tmp_path / "a.jpg")
    run(predictor, path, tmp_path)
    assert names(tmp_path) == ["a.jpg", "a.png", "a_overlay.jpg"]


@pytest.mark.parametrize("what", ["absent.png", "empty", "empty/*.jpg"])
def test_nothing_to_predict(predictor, tmp_path, what):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=what.split("/", maxsplit=1)[0]):
        run(predictor, tmp_path / what, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_classes_that_do_not_fit_are_refused(predictor, tmp_path):
    path = save(tmp_path / "a.png")
    with pytest.raises(SettingsError, match="3 classes; got 2 class names"):
        predict_files(predictor, path, tmp_path / "out", classes=CLASSES[:2])
    with pytest.raises(SettingsError, match="3 classes; got 2 palette"):
        predict_files(predictor, path, tmp_path / "out", palette=PALETTE[:2])


def test_a_picture_above_the_limit_is_refused_by_name(predictor, tmp_path):
    with pytest.raises(DataError, match=r"a\.png"):
        run(predictor, save(tmp_path / "a.png"), tmp_path / "out", max_pixels=100)


def test_more_than_255_classes_become_16_bits(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(300, 1)(image))
    path = save(tmp_path / "a.jpg")
    predict_files(Predictor(model), path, tmp_path / "out")
    mask = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint16
    np.testing.assert_array_equal(mask, Predictor(model)(read_image(path)))


def test_a_jpeg_too_long_for_the_format_is_made_smaller(tmp_path):
    write_jpeg(tmp_path / "a.jpg", np.zeros((2, 70_000, 3), np.uint8))
    assert read_image(tmp_path / "a.jpg").shape[1] <= 65_000
