import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from kseg.cli.main import build_parser, main
from kseg.cli.verbs.webcam import background, coloured, settings_of
from kseg.errors import SettingsError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A .keras file that calls bright pixels class 1."""
    import keras

    path = tmp_path_factory.mktemp("model") / "m.keras"
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(2, 1)
    net = keras.Model(image, layer(image))
    layer.set_weights([np.array([[[[-1, 1]] * 3]]) / 30, np.array([12.0, -12.0])])
    net.save(path)
    return path


def test_headless_on_a_video(tmp_path, model, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, 32:] = 255
    for _ in range(4):
        writer.write(frame)
    writer.release()
    arguments = (
        f"--source {tmp_path}/in.avi --model {model} --size 24 32 --headless --output {tmp_path}/out.mp4"
    )
    report = f"--report {tmp_path}/report.json --no-legend --alpha 1"
    assert main(["webcam", *arguments.split(), *report.split()]) == 0
    assert "4 frames" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["frames"] == 4
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    frames = [capture.read()[1] for _ in range(4)]
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    assert frames[3][24, 8].max() < 60
    assert frames[3][24, 56].min() < 200  # painted
    assert not capture.read()[0]


@pytest.mark.parametrize(
    ("more", "paint"), [("", 0.5), ("--background blur", 0.0), ("--background 00a050 --alpha 0.3", 0.3)]
)
def test_what_stands_before_another_background_is_not_painted_unless_asked(more, paint):
    args = build_parser().parse_args(["webcam", "--source", "synthetic", *more.split()])
    assert settings_of(args, live=True).view.alpha == paint


def test_synthetic_with_frames_counted(tmp_path, model, capsys):
    arguments = (
        f"--source synthetic --model {model} --size 16 --headless --report {tmp_path}/r.json --max-frames 3"
    )
    assert main(["webcam", *arguments.split()]) == 0
    assert "3 frames" in capsys.readouterr().out


def test_the_threshold_reaches_the_model(tmp_path, model, monkeypatch):
    from kseg import webcam

    seen, load = [], webcam.load
    monkeypatch.setattr(webcam, "load", lambda *a, **settings: seen.append(load(*a, **settings)) or seen[-1])
    words = f"--source synthetic --model {model} --size 16 --headless --report {tmp_path}/r.json --max-frames 1"
    assert main(["webcam", *words.split(), "--threshold", "0.7"]) == 0
    assert seen[0].threshold == 0.7
    assert main(["webcam", *words.split(), "--threshold", "1"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--source 97 --headless --output x.mp4", "camera 97 cannot be opened"),
        ("--source nowhere.mp4 --headless --output x.mp4", "no such file or folder"),
        ("--source synthetic --headless", "--headless shows nothing"),
        ("--source synthetic --headless --output x.gif", "ends in"),
        ("--source synthetic --headless --report r.json --model nowhere.keras", "no such model file"),
        ("--source synthetic --headless --report r.json --model nobody", "no preset named"),
        ("--source synthetic --headless --report r.json --background nothing.png", "neither picture, blur"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_2(arguments, words, capsys):
    assert main(["webcam", *arguments.split()]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


def test_outputs_that_cannot_be_are_said_before_the_work(tmp_path, capsys):
    source = tmp_path / "in.avi"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    before = source.read_bytes()
    for more, words in (
        (f"--output {source}", "overwrite the source"),
        (f"--report {tmp_path}", "is a folder"),
        (f"--report {source}/r.json", "the system refused"),
    ):
        assert (
            main(["webcam", "--source", str(source), "--headless", "--model", "nobody", *more.split()]) == 2
        )
        assert words in capsys.readouterr().err
    assert source.read_bytes() == before


def test_a_report_gets_its_folder(tmp_path, model):
    arguments = f"--source synthetic --model {model} --size 16 --headless --max-frames 2"
    assert main(["webcam", *arguments.split(), "--report", str(tmp_path / "new" / "r.json")]) == 0
    assert json.loads((tmp_path / "new" / "r.json").read_text())["frames"] == 2


def test_no_display_hints_at_headless(monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kseg.webcam.output.sys.platform", "linux")
    assert main(["webcam", "--source", "synthetic"]) == 2
    assert "--headless" in capsys.readouterr().err


def test_backgrounds(tmp_path):
    assert background("blur")[0] == "blur"
    assert background("#0a141e") == ("replace", (10, 20, 30))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((4, 4, 3), (1, 2, 3), np.uint8))
    how, picture = background(str(tmp_path / "b.png"))
    assert how == "replace"
    np.testing.assert_array_equal(picture[0, 0], (1, 2, 3))
    with pytest.raises(SettingsError, match="hexadecimal"):
        background("green")


def test_colour_maps():
    class Model:
        classes, palette = ("a", "b", "c"), "own"

    coloured(Model, "model")
    assert Model.palette == "own"
    coloured(Model, "voc")
    assert Model.palette == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    coloured(Model, "bright")
    assert len(set(Model.palette)) == 3


def test_browser_refuses_what_the_page_sets(capsys):
    assert main(["webcam", "--browser", "--alpha", "0.3", "--source", "1"]) == 2
    assert "does not use --source, --alpha: the page takes --model" in capsys.readouterr().err
    assert main(["webcam", "--port", "8000"]) == 2
    assert "for --browser" in capsys.readouterr().err
    assert main(["webcam", "--browser", "--port", "99999"]) == 2
    assert "1 to 65535" in capsys.readouterr().err


def test_browser_without_the_runtime_says_what_to_type(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path))
    assert main(["webcam", "--browser", "--runtime", str(tmp_path / "none")]) == 2
    assert "npm pack" in capsys.readouterr().err


class Dying(BaseHTTPRequestHandler):
    """A camera's stream of JPEGs that breaks off after 30 frames, and is gone after that."""

    def do_GET(self):
        if self.server.served:
            self.send_error(503)
            return
        self.server.served = True
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(30):
            data = cv2.imencode(".jpg", np.full((48, 64, 3), 8 * number, np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            time.sleep(0.01)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_stream_that_dies_is_not_finished(tmp_path, model, capsys, monkeypatch):
    monkeypatch.setattr("kseg.webcam.app.Settings.give_up", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dying)
    server.served = False
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    arguments = (
        f"--source http://127.0.0.1:{server.server_port}/x.mjpg --model {model} --size 16 --headless "
        f"--report {tmp_path}/r.json --output {tmp_path}/o.mp4"
    )
    try:
        assert main(["webcam", *arguments.split()]) == 2
    finally:
        server.shutdown()
        server.server_close()
    said = capsys.readouterr()
    assert "given up" in said.err
    assert f"written: {tmp_path}/o.mp4 (incomplete)" in said.out
    report = json.loads((tmp_path / "r.json").read_text())
    assert not report["complete"]
    assert "given up" in report["message"]
    assert 0 < report["frames"] <= 30


def test_a_folder_with_images_that_cannot_be_read(tmp_path, model, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), np.zeros((48, 64, 3), np.uint8))
    os.mkfifo(tmp_path / "in" / "b.png")
    arguments = f"--source {tmp_path}/in --model {model} --size 16 --headless --report {tmp_path}/r.json"
    assert main(["webcam", *arguments.split()]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("2 frames")
    assert "b.png" in said.err
    assert not json.loads((tmp_path / "r.json").read_text())["complete"]
