"""What the page's controls do."""

import base64
import json

import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.export.page.hosting import HEADERS
from kseg.models import preset_file

GREEN = np.array([40, 200, 120])  # of person, RGB


def canvas(tab):
    """What the canvas shows, RGB."""
    text = tab.evaluate("document.getElementById('canvas').toDataURL('image/png')").split(",")[1]
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture
def still(tab, url, frame_file):
    """A tab with one frame of the clip, opened as an image."""
    one = tab(url)
    one.page.set_input_files("#file", frame_file)
    one.until(lambda: "ms" in one.page.inner_text("#rate"))
    return one


def settled(tab, condition, seconds=20):
    """The canvas once a condition of its pixels holds."""
    tab.until(lambda: condition(canvas(tab)), seconds, lambda: tab.status)
    return canvas(tab)


def test_paint_is_the_palette_s_and_alpha_mixes_it(still, frames):
    frame = frames[0][..., ::-1].astype(float)
    face, wall = np.s_[110:160, 250:290], np.s_[20:60, 20:60]
    half = canvas(still).astype(float)
    np.testing.assert_allclose(half[face], (frame[face] + GREEN) / 2, atol=3)
    np.testing.assert_allclose(half[wall], frame[wall], atol=3)
    for _ in range(5):
        still.page.keyboard.press("-")
    np.testing.assert_allclose(canvas(still), frame, atol=3)
    for _ in range(10):
        still.page.keyboard.press("+")
    np.testing.assert_allclose(canvas(still)[face], np.broadcast_to(GREEN, (50, 40, 3)), atol=3)
    assert still.evaluate("document.getElementById('alpha').value") == "1"


def test_backgrounds(still, frames, tmp_path):
    frame = frames[0][..., ::-1].astype(float)
    face, wall = np.s_[110:160, 250:290], np.s_[20:60, 20:60]
    still.evaluate(
        "(e => { e.value = 0; e.dispatchEvent(new Event('input')) })(document.getElementById('alpha'))"
    )
    still.page.keyboard.press("b")
    blurred = settled(still, lambda image: np.abs(image[60:330, 540:630] - frame[60:330, 540:630]).mean() > 5)
    np.testing.assert_allclose(blurred[face], frame[face], atol=3)
    rough = [
        np.abs(np.diff(image[60:330, 540:630].astype(float), axis=1)).mean() for image in (frame, blurred)
    ]
    assert rough[1] < rough[0] / 2
    still.page.keyboard.press("b")
    still.evaluate(
        "(e => { e.value = '#0000ff'; e.dispatchEvent(new Event('input')) })(document.getElementById('colour'))"
    )
    replaced = settled(still, lambda image: image[wall].mean(axis=(0, 1))[2] > 250)
    np.testing.assert_allclose(replaced[wall], np.broadcast_to([0, 0, 255], (40, 40, 3)), atol=1)
    np.testing.assert_allclose(replaced[face], frame[face], atol=3)
    cv2.imwrite(str(tmp_path / "red.png"), np.full((10, 50, 3), (0, 0, 255), np.uint8))
    still.page.keyboard.press("b")
    still.page.set_input_files("#behind", tmp_path / "red.png")
    settled(still, lambda image: (image[wall].mean(axis=(0, 1)) == [255, 0, 0]).all())
    (tmp_path / "no.png").write_text("no image")
    still.page.set_input_files("#behind", tmp_path / "no.png")
    still.wait("no.png is neither an image")


def test_mirror_and_one_class(still, frames):
    frame = frames[0][..., ::-1].astype(float)
    before = canvas(still).astype(float)
    still.page.keyboard.press("m")
    np.testing.assert_allclose(canvas(still)[:, ::-1], before, atol=1)
    still.page.keyboard.press("m")
    still.page.keyboard.press("c")  # background alone
    face, wall = np.s_[110:160, 250:290], np.s_[20:60, 20:60]
    only = settled(still, lambda image: np.abs(image[face] - frame[face]).mean() < 2)
    np.testing.assert_allclose(only[wall], frame[wall] / 2, atol=3)  # its colour is black
    assert still.page.get_attribute("#classes li:first-child button", "aria-pressed") == "true"
    still.page.click("#classes li:nth-child(2) button")
    settled(still, lambda image: np.abs(image[wall] - frame[wall]).mean() < 2)
    still.page.keyboard.press("c")  # after the last class, all
    assert still.page.get_attribute("#classes li:nth-child(2) button", "aria-pressed") == "false"


def test_pause_holds_the_frame_and_one_step(tab, url):
    one = tab(url).run()
    one.page.keyboard.press(" ")
    one.wait("Paused")
    one.page.wait_for_timeout(400)
    held = canvas(one)
    one.page.wait_for_timeout(400)
    np.testing.assert_array_equal(canvas(one), held)
    one.page.keyboard.press(".")
    moved = settled(one, lambda image: (image != held).any())
    one.page.wait_for_timeout(400)
    np.testing.assert_array_equal(canvas(one), moved)
    one.page.keyboard.press(" ")
    settled(one, lambda image: (image != moved).any())
    one.page.keyboard.press("q")
    one.wait("Stopped")


def test_a_camera_is_mirrored_and_named(tab, url):
    one = tab(url).run()
    assert one.page.is_checked("#mirror")
    assert one.page.locator("#camera option").count() == 2
    assert one.page.input_value("#camera") != ""
    one.page.keyboard.press("t")
    one.page.keyboard.press("e")
    one.page.keyboard.press("l")
    assert not one.page.is_checked("#smoothing")
    assert not one.page.is_checked("#edges")
    assert not one.page.is_visible("#legend")
    one.page.keyboard.press("h")
    assert one.page.is_visible("#keys")
    one.page.click("#close")
    assert not one.page.is_visible("#keys")


def test_snapshot_and_recording(tab, url, tmp_path):
    one = tab(url).run()
    with one.page.expect_download() as saved:
        one.page.keyboard.press("s")
    assert saved.value.suggested_filename.startswith("kseg-")
    saved.value.save_as(tmp_path / "shot.png")
    assert cv2.imread(str(tmp_path / "shot.png")).shape == (480, 640, 3)
    one.page.click("#record")
    one.page.wait_for_timeout(1500)
    assert one.page.inner_text("#record") == "End recording"
    with one.page.expect_download() as saved:
        one.page.click("#record")
    name = saved.value.suggested_filename
    saved.value.save_as(tmp_path / name)
    video = cv2.VideoCapture(str(tmp_path / name))
    read = [video.read()[1] for _ in range(3)]
    assert all(frame is not None and frame.shape == (480, 640, 3) for frame in read)
    assert one.page.inner_text("#record") == "Record"


def test_a_host_without_headers_and_below_a_path(tab, serve, site, tmp_path):
    (tmp_path / "some" / "path").mkdir(parents=True)
    (tmp_path / "some" / "path" / "people").symlink_to(site)
    one = tab(serve(tmp_path, plain=True) + "some/path/people/")
    assert not one.evaluate("crossOriginIsolated")
    assert one.page.inner_text("#running") == "int8, 1 thread"
    one.run()
    assert not [
        url for url in one.requests if "/some/path/people/" not in url and not url.startswith("data:")
    ]


def test_isolated_and_threaded(tab, url):
    one = tab(url).run()
    assert one.evaluate("crossOriginIsolated")
    threads = one.evaluate("Math.min(4, navigator.hardwareConcurrency)")
    assert one.page.inner_text("#running") == f"int8, {threads} thread" + "s" * (threads > 1)
    loaded = [url for url in one.requests if url.endswith(".wasm") or url.endswith(".tflite")]
    assert all("threaded" in url or "model_int8" in url for url in loaded)  # no variant that is not run


def test_every_control_has_a_name(tab, url):
    one = tab(url)
    nameless = one.evaluate("""() => [...document.querySelectorAll("button, select, input, canvas, section, dialog")]
        .filter((e) => !(e.ariaLabel || e.labels?.length || e.innerText?.trim() || e.getAttribute("aria-labelledby")))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    assert one.page.get_attribute("html", "lang") == "en"
    assert one.page.get_attribute("#status", "role") == "status"
    one.page.keyboard.press("Tab")
    assert one.evaluate("document.activeElement.id") == "start"
    one.page.keyboard.press("Enter")
    one.until(lambda: "fps" in one.page.inner_text("#rate"))
    assert "person" in one.page.get_attribute("#canvas", "aria-label")


def bright(classes=2):
    """A network that gives bright pixels the last class."""
    image = keras.Input((48, 64, 3))
    layer = keras.layers.Conv2D(classes, 1)
    model = keras.Model(image, layer(image), name="bright")
    weights = np.zeros((1, 1, 3, classes), np.float32)
    weights[..., -1] = 1 / 30
    layer.set_weights([weights, np.array([0.0] * (classes - 1) + [-12.8])])
    model.classes = ("background", *(f"kind {i}" for i in range(1, classes)))
    return model


def test_the_mask_lies_on_its_own_frame(tab, launch, serve, runtime, tmp_path):
    """A white square that moves fast: wherever it is white in the canvas, it is painted."""
    kseg.export.web(bright(), tmp_path / "site")
    parts = []
    for number in range(40):
        frame = np.zeros((480, 640, 3), np.uint8)
        frame[160:320, (number * 29) % 480 :][:, :160] = 255
        parts.append(cv2.imencode(".jpg", frame)[1].tobytes())
    (tmp_path / "square.mjpeg").write_bytes(b"".join(parts))
    browser = launch(f"--use-file-for-fake-video-capture={tmp_path}/square.mjpeg")
    one = tab(serve(tmp_path / "site"), browser=browser).run()
    colour = np.array(json.loads((tmp_path / "site" / "model.json").read_text())["palette"][1], float)
    one.page.keyboard.press("t")  # without smoothing, which may leave a soft trail
    one.page.wait_for_timeout(300)
    places = set()
    for _ in range(8):
        image = canvas(one).astype(float)
        painted = np.abs(image - (255 + colour) / 2).max(-1) < 30
        white = (image > 235).all(-1)
        assert painted.sum() > 20000
        assert white.sum() < 0.03 * painted.sum()
        places.add(int(np.flatnonzero(painted.any(0))[0]) // 4)
        one.page.wait_for_timeout(110)
    assert len(places) > 3  # it has moved


def test_150_classes(tab, serve, runtime, tmp_path, frame_file, frames):
    kseg.export.web(bright(150), tmp_path / "site")
    one = tab(serve(tmp_path / "site"))
    one.page.set_input_files("#file", frame_file)
    one.until(lambda: "ms" in one.page.inner_text("#rate"))
    expected = (cv2.resize(frames[0], (64, 48), interpolation=cv2.INTER_LINEAR).sum(-1) > 384).mean()
    assert abs(one.share(149) - expected) < 0.03
    assert one.page.locator("#classes li:visible").count() == 2
    one.page.click("#classes li:nth-child(150) button")
    one.until(lambda: one.page.get_attribute("#classes li:nth-child(150) button", "aria-pressed") == "true")


def test_streets(tab, serve, runtime, tmp_path, frame_file):
    """The preset with eleven classes, none of them background, from its int8 file alone."""
    kseg.export.web(preset_file("camvid", "int8"), tmp_path / "site", name="Streets")
    one = tab(serve(tmp_path / "site"))
    assert one.page.inner_text("#title") == "kseg: Streets"
    one.page.set_input_files("#file", frame_file)
    one.until(lambda: "ms" in one.page.inner_text("#rate"))
    shares = [one.share(number) for number in range(11)]
    assert abs(sum(shares) - 1) < 0.05


def test_the_headers_file_is_what_the_server_sends(site):
    lines = (site / "_headers").read_text().splitlines()
    assert lines[1:] == [f"  {name}: {value}" for name, value in HEADERS.items()]
