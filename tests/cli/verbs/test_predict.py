import cv2
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from kseg.cli.main import main


def expected_labels(model_file, picture) -> np.ndarray:
    image = cv2.imread(str(picture))[..., ::-1].astype(np.float32)
    return np.asarray(keras.models.load_model(model_file)(image[None]))[0].argmax(-1)


def test_masks_hold_the_class_of_the_highest_logit(labelled, model_file, tmp_path, capsys):
    out = tmp_path / "out"
    pictures = labelled / "images" / "val"
    assert main(["predict", str(pictures), "--model", str(model_file), "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["v0.png", "v0_overlay.jpg", "v1.png", "v1_overlay.jpg"]
    # Read without the palette: an indexed PNG's pixels are the class ids.
    from kseg.data import read_mask

    for name in ("v0.png", "v1.png"):
        assert_array_equal(read_mask(out / name), expected_labels(model_file, pictures / name))
    assert capsys.readouterr().out == f"2 predicted, 0 failed: {out}\n"


def test_how_opaque_the_overlay_is(model_file, tmp_path):
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((300, 300, 3), 119, np.uint8))
    for alpha in ("0", "1"):
        words = ["predict", picture, "--model", model_file, "--out", tmp_path / alpha, "--alpha", alpha]
        assert main([str(word) for word in words]) == 0
    bare, painted = (
        cv2.imread(str(tmp_path / alpha / "grey_overlay.jpg"))[10:290, 10:290].astype(float)
        for alpha in ("0", "1")
    )
    assert np.abs(bare - 119).max() < 4  # JPEG's loss
    labels = cv2.imread(str(tmp_path / "1" / "grey.png"), cv2.IMREAD_UNCHANGED)
    assert (np.abs(painted - 119).max() > 60) == bool(labels.any())


def test_skip_existing_goes_on_where_it_was(labelled, model_file, tmp_path, capsys):
    out, pattern = tmp_path / "out", str(labelled / "images" / "t*" / "*.png")
    command = ["predict", pattern, "--model", str(model_file), "--out", str(out), "--no-overlay"]
    assert main(command) == 0
    (out / "t2.png").unlink()
    kept = (out / "t1.png").stat().st_mtime_ns
    assert main([*command, "--skip-existing"]) == 0
    assert "1 predicted, 3 were there already, 0 failed" in capsys.readouterr().out
    assert (out / "t1.png").stat().st_mtime_ns == kept
    assert sorted(p.name for p in out.iterdir()) == ["t0.png", "t1.png", "t2.png", "t3.png"]


def truncated(path):
    ok, data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    assert ok
    path.write_bytes(data.tobytes()[: len(data) // 2])


def huge(path):
    header = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR" + (40000).to_bytes(4, "big") * 2
    import zlib

    chunk = header[12:] + bytes([8, 2, 0, 0, 0])
    path.write_bytes(header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("cut.jpg", truncated),
        ("huge.png", huge),
        ("text.png", lambda path: path.write_text("not a picture")),
        ("empty.jpg", lambda path: path.write_bytes(b"")),
    ],
)
def test_a_bad_picture_is_named_and_leaves_nothing(name, write, model_file, tmp_path, capsys):
    write(tmp_path / name)
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / name), "--model", str(model_file), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kseg: {tmp_path / name}: ")
    assert not out.exists()


def test_the_good_pictures_of_a_folder_are_predicted(labelled, model_file, tmp_path, capsys):
    bad = labelled / "images" / "val" / "bad.png"
    bad.write_bytes(b"nonsense")
    out = tmp_path / "out"
    assert main(["predict", str(bad.parent), "--model", str(model_file), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == f"2 predicted, 1 failed: {out}\n"
    assert str(bad) in said.err
    assert sorted(p.name for p in out.glob("*.png")) == ["v0.png", "v1.png"]


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((9, 11), 77, np.uint8),
        np.full((9, 11, 4), 77, np.uint8),
        np.full((9, 11, 3), 7700, np.uint16),
        np.full((1, 1, 3), 7, np.uint8),
    ],
    ids=["grey", "rgba", "16-bit", "one pixel"],
)
def test_pictures_of_every_kind(pixels, model_file, tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    out = tmp_path / "out"
    command = ["predict", str(tmp_path / "a.png"), "--model", str(model_file), "--out", str(out)]
    assert main([*command, "--flip", "--scales", "1", "1.5"]) == 0
    assert cv2.imread(str(out / "a.png"), cv2.IMREAD_UNCHANGED).shape[:2] == pixels.shape[:2]


def test_mistakes(labelled, model_file, tmp_path, mistake):
    out, picture = tmp_path / "out", labelled / "images" / "val" / "v0.png"

    def wrong(inputs, model=model_file, *more):
        return mistake("predict", inputs, "--model", model, "--out", out, *more)

    (tmp_path / "none").mkdir()
    assert str(tmp_path / "none") in wrong(tmp_path / "none")
    assert "nowhere.jpg" in wrong(tmp_path / "nowhere.jpg")
    assert "no.keras" in wrong(picture, tmp_path / "no.keras")
    (tmp_path / "fake.keras").write_text("zip it is not")
    assert "fake.keras" in wrong(picture, tmp_path / "fake.keras")
    classifier = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    classifier.save(tmp_path / "classifier.keras")
    assert "classifier.keras: not a segmentation model" in wrong(picture, tmp_path / "classifier.keras")
    assert "--window" in wrong(picture, model_file, "--window", 1, 2, 3)
    assert not out.exists()


def test_a_video_becomes_a_video(model_file, tmp_path, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for value in (50, 120, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    words = ["predict", tmp_path / "in.avi", "--model", model_file, "--out", tmp_path / "out.mp4"]
    assert main([str(word) for word in [*words, "--masks", tmp_path / "masks"]]) == 0
    assert capsys.readouterr().out == f"3 frames of 64x48 at 10 fps: {tmp_path}/out.mp4\n"
    assert [p.name for p in sorted((tmp_path / "masks").iterdir())] == [
        "000000.png",
        "000001.png",
        "000002.png",
    ]
    assert main([str(word) for word in [*words, tmp_path / "other.png"]]) == 2
    assert main(["predict", str(tmp_path / "no.mp4"), "--model", str(model_file), "--out", "x.mp4"]) == 2
    assert "no such video" in capsys.readouterr().err


def test_a_video_that_breaks_off_is_exit_2(model_file, tmp_path, capsys):
    source = tmp_path / "in.avi"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(20):
        writer.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    words = ["predict", str(source), "--model", str(model_file), "--out"]
    assert main([*words, str(tmp_path / "out.mp4")]) == 2
    said = capsys.readouterr()
    assert "speaks of 20 frames and holds" in said.err
    assert "fps:" in said.out
    (tmp_path / "folder.mp4").mkdir()
    assert main([*words, str(tmp_path / "folder.mp4")]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_results_beside_the_masks_and_ids_of_benchmarks(labelled, model_file, tmp_path, capsys, mistake):
    pictures = str(labelled / "images" / "val")
    words = ["predict", pictures, "--model", str(model_file), "--no-overlay", "--out"]
    assert main([*words, str(tmp_path / "out"), "--save", "csv, geojson"]) == 0
    assert "2 predicted" in capsys.readouterr().out
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["areas.csv", "v0.geojson", "v0.png", "v1.geojson", "v1.png"]
    assert "got xml" in mistake(*words, tmp_path / "no", "--save", "csv,xml")
    assert "cityscapes has 19 classes" in mistake(*words, tmp_path / "no", "--ids", "cityscapes")
    assert "holds all images" in mistake(*words, tmp_path / "no", "--save", "coco", "--skip-existing")
    assert not (tmp_path / "no").exists()
