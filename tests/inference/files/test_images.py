"""Predicting files: names, resuming, and what happens with what cannot be read."""

import errno
import os

import cv2
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from kseg.data.reading.files import read_image, read_mask
from kseg.errors import DataError, FileError, KsegWarning, SettingsError
from kseg.inference import DenseCRF, Predictor, predict_files
from kseg.inference.files.images import find_images, write_jpeg
from kseg.io.origin import Origin

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
    found = find_images(str(tmp_path / "in" / pattern), tmp_path / "out")
    assert [path.name for path in found] == ["a.png", "b.jpg"]
    seen = []
    run(predictor, found, tmp_path / "out", overlay=False, progress=lambda *args: seen.append(args))
    assert names(tmp_path / "out") == ["a.png", "b.png"]
    assert seen == [(1, 2), (2, 2)]


def test_a_file_whose_name_looks_like_a_pattern(predictor, tmp_path):
    path = save(tmp_path / "photo [1].png")
    assert find_images(path, tmp_path / "out") == [path]


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


def other_mask(path, size=(9, 14)):
    """A palette PNG of another program."""
    image = Image.fromarray(np.zeros(size, np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(path)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILT = {
    "empty": lambda mask, image: mask.write_bytes(b""),
    "half": lambda mask, image: half(mask),
    "one bit": lambda mask, image: mask.write_bytes(
        mask.read_bytes()[:-30] + bytes([mask.read_bytes()[-30] ^ 1]) + mask.read_bytes()[-29:]
    ),
    "text": lambda mask, image: mask.write_text("no picture"),
    "of another program": lambda mask, image: other_mask(mask),
    "of another size": lambda mask, image: other_mask(mask, (20, 30)),
    "newer image": lambda mask, image: save(image, seed=5),
    "another image, older": lambda mask, image: os.utime(save(image, seed=6), (1, 1)),
    "image of another size": lambda mask, image: os.utime(save(image, 50, 60), (1, 1)),
    "overlay missing": lambda mask, image: mask.with_name("a_overlay.jpg").unlink(),
    "overlay empty": lambda mask, image: mask.with_name("a_overlay.jpg").write_bytes(b""),
    "overlay half": lambda mask, image: half(mask.with_name("a_overlay.jpg")),
}


@pytest.mark.parametrize("how", SPOILT)
def test_skip_existing_believes_no_file_by_its_name(predictor, tmp_path, how):
    image, mask = save(tmp_path / "in" / "a.png"), tmp_path / "out" / "a.png"
    run(predictor, image, tmp_path / "out")
    assert run(predictor, image, tmp_path / "out", skip_existing=True).skipped == (mask,)
    SPOILT[how](mask, image)
    assert run(predictor, image, tmp_path / "out", skip_existing=True).masks == (mask,)
    np.testing.assert_array_equal(read_mask(mask), read_image(image).argmax(-1))
    assert run(predictor, image, tmp_path / "out", skip_existing=True).skipped == (mask,)


def test_skip_existing_knows_moved_and_touched_images_and_other_models(predictor, tmp_path):
    image, mask = save(tmp_path / "in" / "a.png"), tmp_path / "out" / "a.png"
    run(predictor, image, tmp_path / "out", made_by="first")
    os.utime(image, (2_000_000_000, 2_000_000_000))
    (tmp_path / "in").rename(tmp_path / "moved")
    image, settings = tmp_path / "moved" / "a.png", {"skip_existing": True}
    assert run(predictor, image, tmp_path / "out", made_by="first", **settings).skipped == (mask,)
    assert run(predictor, image, tmp_path / "out", made_by="second", **settings).masks == (mask,)


def test_one_stem_in_two_runs(predictor, tmp_path):
    """The mask of another image is not overwritten, and each run finds its own again."""
    one, two = save(tmp_path / "x" / "a.png", seed=1), save(tmp_path / "y" / "a.jpg", seed=2)
    for _ in range(2):
        run(predictor, one, tmp_path / "out")
        with pytest.warns(
            KsegWarning, match=r"a\.png .* belongs to another image; this one becomes a_jpg\.png"
        ):
            run(predictor, two, tmp_path / "out")
    assert names(tmp_path / "out") == ["a.png", "a_jpg.png", "a_jpg_overlay.jpg", "a_overlay.jpg"]
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a.png"), read_image(one).argmax(-1))
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "a_jpg.png"), read_image(two).argmax(-1))
    assert len(run(predictor, two, tmp_path / "out", skip_existing=True).skipped) == 1


def test_photos_and_labels_beside_an_image_are_not_overwritten(predictor, tmp_path):
    image, photo = save(tmp_path / "a.jpg"), save(tmp_path / "a.png", seed=3)
    other_mask(tmp_path / "b.png")
    before = [photo.read_bytes(), (tmp_path / "b.png").read_bytes()]
    with pytest.warns(KsegWarning, match="another image"):
        run(predictor, [image, save(tmp_path / "b.jpg")], tmp_path, overlay=False)
    assert [photo.read_bytes(), (tmp_path / "b.png").read_bytes()] == before
    assert names(tmp_path) == ["a.jpg", "a.png", "a_jpg.png", "b.jpg", "b.png", "b_jpg.png"]


@pytest.mark.parametrize(
    "stem", ["b" * 246, "界" * 82, "b" * 251, os.fsdecode(b"caf\xe9"), "-v", "a\nb", " "]
)
def test_every_name_is_predicted(predictor, tmp_path, stem):
    for name in ("a", stem, "z"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.png").write_bytes(save(tmp_path / "pattern.png").read_bytes())
    summary = run(predictor, tmp_path / "in", tmp_path / "out", keep_going=True)
    assert summary.failures == ()
    assert {path.name for path in summary.masks} == {"a.png", f"{stem}.png", "z.png"}
    assert len(names(tmp_path / "out")) == 6
    assert len(run(predictor, tmp_path / "in", tmp_path / "out", skip_existing=True).skipped) == 3


def test_what_the_system_refuses_of_one_file_is_that_files_failure(predictor, tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "c.png", "d.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "out" / "a.png").mkdir(parents=True)  # a folder in the mask's place
    (tmp_path / "out" / "a.png" / "kept").write_text("x")
    real = Origin.of

    def of(path, *args):
        if path.name == "b.png":
            (tmp_path / "in" / "c.png").unlink()  # meanwhile
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args)

    monkeypatch.setattr(Origin, "of", of)
    found = find_images(tmp_path / "in", tmp_path / "out")
    summary = run(predictor, found, tmp_path / "out", keep_going=True)
    assert [path.name for path in summary.masks] == ["d.png"]
    reasons = (os.strerror(errno.EISDIR), "Input/output error", os.strerror(errno.ENOENT))
    for failure, name, reason in zip(summary.failures, ("a.png", "b.png", "c.png"), reasons, strict=True):
        assert name in failure
        assert reason in failure
    assert (tmp_path / "out" / "a.png" / "kept").read_text() == "x"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_ends_the_batch_with_one_sentence(predictor, tmp_path, monkeypatch, number):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "in" / name)
    real, left = os.replace, [1]

    def fail(*paths):
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        left[0] -= 1
        real(*paths)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(
        FileError, match=r"b_overlay\.jpg: could not be written .*2 of 3 images are not predicted"
    ):
        run(predictor, tmp_path / "in", tmp_path / "out", keep_going=True)
    assert names(tmp_path / "out") == ["a.png", "a_overlay.jpg"]
