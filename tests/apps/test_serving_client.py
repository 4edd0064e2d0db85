import errno
import json
import os

import cv2
import numpy as np
import pytest


@pytest.fixture
def app(programs):
    import serving_client

    return serving_client


@pytest.fixture
def files(tmp_path, png):
    """A folder of two images, and a letter that is called an image."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(png)
    (folder / "b.JPG").write_bytes(cv2.imencode(".jpg", np.full((20, 30, 3), 200, np.uint8))[1].tobytes())
    (folder / "notes.txt").write_text("x")
    (tmp_path / "letter.jpg").write_text("Dear Sir")
    return folder


EXPECTED = np.repeat([[0, 1, 2]], 24, axis=0).repeat(12, axis=1)


@pytest.mark.parametrize("way", ["--rest", "--grpc"])
def test_a_folder_becomes_masks_and_overlays(app, request, files, tmp_path, capsys, way):
    server = request.getfixturevalue("rest" if way == "--rest" else "grpc_address")
    out = tmp_path / "out"
    assert app.main([str(files), "--model", "streets", way, server, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "a_overlay.jpg", "b.png", "b_overlay.jpg"]
    from kseg.data.reading.files import read_mask

    np.testing.assert_array_equal(read_mask(out / "a.png"), EXPECTED)
    assert cv2.imread(str(out / "a_overlay.jpg")).shape[1] >= 36
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert "12x18" in said[0]


def test_names_and_colours_of_the_export(app, rest, files, tmp_path):
    side = tmp_path / "1" / "assets.extra" / "kseg.json"
    side.parent.mkdir(parents=True)
    side.write_text(json.dumps({"classes": list("xyz"), "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}))
    command = [str(files / "a.png"), "--model", "streets", "--rest", rest, "--out", str(tmp_path / "o")]
    assert app.main([*command, "--export", str(tmp_path / "1")]) == 0
    shown = cv2.imread(str(tmp_path / "o" / "a.png"), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(np.unique(shown.reshape(-1, 3), axis=0), [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    side.write_text(json.dumps({"classes": ["x"], "palette": [[1, 2, 3]]}))
    assert app.main([*command, "--export", str(tmp_path / "1")]) == 2
    assert app.main([*command, "--export", str(tmp_path)]) == 2
    for text in ("[]", '{"palette": 5, "classes": []}', '{"palette": [[1, 2]], "classes": ["x"]}'):
        side.write_text(text)
        assert app.main([*command, "--export", str(tmp_path / "1")]) == 2


def test_a_refused_image_does_not_stop_the_others(app, rest, files, tmp_path, capsys):
    images = [str(tmp_path / "letter.jpg"), str(files / "a.png")]
    assert app.main([*images, "--model", "streets", "--rest", rest, "--out", str(tmp_path / "o")]) == 1
    said = capsys.readouterr()
    assert "letter.jpg: the server refuses the image" in said.err
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["a.png", "a_overlay.jpg"]


def test_a_folder_with_bad_files(app, rest, files, tmp_path, capsys):
    """A letter, a file that cannot be read, a JPEG of 4290 megapixels, a folder that is named like an image."""
    (files / "c.png").symlink_to("gone.png")
    (files / "d.png").mkdir()
    exif = b"\xff\xe1\0\x0eExif\0\0II*\0\0\0"
    frame = b"\xff\xc0\0\x11\x08" + 2 * (65500).to_bytes(2, "big") + b"\3\1\x22\0\2\x11\1\3\x11\1"
    (tmp_path / "e.jpg").write_bytes(b"\xff\xd8" + exif + frame + bytes(50))
    images, out = [str(files), str(tmp_path / "letter.jpg")], tmp_path / "o"
    assert app.main([*images, "--model", "streets", "--rest", rest, "--out", str(out)]) == 1
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "a_overlay.jpg", "b.png", "b_overlay.jpg"]
    said = capsys.readouterr().err
    assert f"c.png: cannot be read ({os.strerror(errno.ENOENT)})" in said
    assert "letter.jpg: the server refuses the image" in said
    assert app.upright((tmp_path / "e.jpg").read_bytes())[:2] == b"\xff\xd8"


def test_a_mask_never_takes_a_images_place(app, rest, files, capsys):
    before = (files / "a.png").read_bytes()
    assert app.main([str(files), "--model", "streets", "--rest", rest, "--out", str(files)]) == 2
    assert "a.png is one of the images" in capsys.readouterr().err
    assert (files / "a.png").read_bytes() == before
    assert len(list(files.iterdir())) == 3


def test_a_thread_that_dies_is_no_success(app, models, rest, files, monkeypatch, capsys):
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    asked, original = [], app.ask

    def dies(*arguments):
        asked.append(1)
        if len(asked) == 2:
            raise MemoryError
        return original(*arguments)

    monkeypatch.setattr(app, "ask", dies)
    assert app.main([str(files / "a.png"), "--model", "streets", "--rest", rest, "--requests", "3"]) == 1
    assert "0 of 3 answered" in capsys.readouterr().out


def test_mistakes_are_told_in_a_line(app, rest, files, tmp_path, capsys):
    image = str(files / "a.png")

    def said(*argv):
        assert app.main([*argv, "--retries", "0"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "knows no model 'roads'" in said(image, "--model", "roads", "--rest", rest)
    assert "no server answers" in said(image, "--model", "streets", "--rest", "http://127.0.0.1:9")
    assert "no such file" in said(str(tmp_path / "gone.jpg"), "--model", "streets", "--rest", rest)
    (tmp_path / "blocked").write_text("x")
    blocked = str(tmp_path / "blocked")
    assert "blocked" in said(image, "--model", "streets", "--rest", rest, "--out", blocked)
    (tmp_path / "empty").mkdir()
    assert "holds no" in said(str(tmp_path / "empty"), "--model", "streets", "--rest", rest)
    assert "named a" in said(str(files), image, "--model", "streets", "--rest", rest)
    assert "camera" in said("--camera", str(tmp_path / "none.avi"), "--model", "streets", "--rest", rest)
    for wrong in ([], [image, "--camera", "0"], [image, "--parallel", "-1"], [image, "--timeout", "0"]):
        with pytest.raises(SystemExit) as left:
            app.main([*wrong, "--model", "streets"])
        assert left.value.code == 2


def test_a_frame_of_a_camera(app, rest, tmp_path, image):
    film = cv2.VideoWriter(
        str(tmp_path / "f.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (144, 96)
    )  # a file stands for the camera
    film.write(cv2.resize(image, (144, 96), interpolation=cv2.INTER_NEAREST)[..., ::-1].copy())
    film.release()
    command = ["--camera", str(tmp_path / "f.avi"), "--model", "streets", "--rest", rest]
    assert app.main([*command, "--out", str(tmp_path / "o")]) == 0
    from kseg.data.reading.files import read_mask

    found = read_mask(tmp_path / "o" / "camera.png")
    assert found.shape == (96, 144)
    np.testing.assert_array_equal(found[48, [20, 72, 124]], [0, 1, 2])


def test_a_camera_that_hangs_is_given_up(app, monkeypatch):
    import threading

    stop = threading.Event()

    class Hanging:
        def __init__(self, _):
            stop.wait()

        def read(self):
            return False, None

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Hanging)
    with pytest.raises(app.ServingError, match=r"within 0\.1 s"):
        app.camera_frame("0", seconds=0.1)
    stop.set()


@pytest.mark.parametrize("way", ["--rest", "--grpc"])
def test_throughput(app, request, models, files, capsys, way):
    server = request.getfixturevalue("rest" if way == "--rest" else "grpc_address")
    command = [str(files), "--model", "streets", way, server, "--parallel", "3", "--requests", "5", "--json"]
    assert app.main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["answered"], found["differing"], found["failures"]) == (15, 15, 0, {})
    assert models.asked == 16  # one to see whether it answers
    assert 0 < found["median_ms"] <= found["p95_ms"]
    assert found["per_second"] > 0


def test_throughput_tells_of_failures(app, models, rest, files, capsys):
    command = [
        str(files / "a.png"),
        "--model",
        "streets",
        "--rest",
        rest,
        "--retries",
        "0",
        "--requests",
        "4",
    ]
    answer, count = models.predict, []

    def worse(*args):
        count.append(1)
        if len(count) == 3:
            raise models.refused(13, "out of luck")
        found = answer(*args)
        if len(count) == 4:
            found["mask_bytes"] = [cv2.imencode(".png", np.zeros((12, 18), np.uint8))[1].tobytes()]
        return found

    models.predict = worse
    assert app.main(command) == 1
    said = capsys.readouterr()
    assert "3 of 4 answered, 1 unlike the others" in said.out
    assert "out of luck" in said.err


def test_a_photo_that_its_exif_turns_is_sent_upright(app, image):
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    tag = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
    block = b"Exif\0\0" + tag
    turned = jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]
    assert app.upright(jpeg) is jpeg
    sent = cv2.imdecode(np.frombuffer(app.upright(turned), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_allclose(sent, np.rot90(image, -1), atol=40)
    assert app.upright(b"Exif\0\0 no image") == b"Exif\0\0 no image"
