"""Each failure says its own sentence, throws nothing, and Start works afterwards."""

import shutil

import pytest

MODEL = "model_int8.tflite"


def test_a_refused_camera(tab, url):
    one = tab(url, camera=False)
    one.page.click("#start")
    one.wait("The camera was not allowed")
    one.context.grant_permissions(["camera"])
    one.run()


def test_no_camera_but_a_file(tab, launch, url, frame_file):
    one = tab(url, browser=launch(camera=False))
    one.page.click("#start")
    one.wait("No camera was found")
    one.page.set_input_files("#file", frame_file)
    one.until(lambda: "ms" in one.page.inner_text("#rate"))
    assert one.status == ""


def test_an_unplugged_camera_comes_back(tab, launch, url, processes):
    one = tab(url, browser=launch()).run()
    found = processes("video_capture.mojom")
    assert found
    for process in found:
        process.kill()
    one.wait("The camera was disconnected")
    assert one.page.inner_text("#start") == "Start camera"
    one.run()


def test_an_insecure_name(tab, launch, serve, site, frame_file):
    browser = launch("--host-resolver-rules=MAP kseg.test 127.0.0.1")
    address = serve(site, plain=True).replace("127.0.0.1", "kseg.test")
    one = tab(address, browser=browser, camera=False, status="only to pages opened by https://")
    one.page.click("#start")
    one.wait("only to pages opened by https://")
    one.page.set_input_files("#file", frame_file)  # needs no camera
    one.until(lambda: "ms" in one.page.inner_text("#rate"))


def test_a_page_opened_as_a_file(tab, site):
    one = tab((site / "index.html").as_uri(), status="opened as a file")
    assert "kseg webcam --browser" in one.status


def test_no_simd(tab, url):
    one = tab()
    one.page.add_init_script("WebAssembly.validate = () => false")
    one.open(url, "has no SIMD")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (MODEL, None, f"The file {MODEL} is missing"),
        (MODEL, b"<!doctype html>", f"The file {MODEL} is not the one"),
        (MODEL, "flipped", f"The file {MODEL} is not the one"),
        ("model.json", None, "The file model.json is missing"),
        ("model.json", b"<!doctype html>", "The file model.json is not the one"),
        ("model.json", b"{}", "The file model.json is not the one"),
        ("runtime/2.5.3/litert_wasm_threaded_internal.wasm", b"", "The model could not be started"),
        ("worker.js", None, "The model could not be started"),
    ],
)
def test_a_file_that_is_missing_or_changed(tab, serve, copied, site, name, content, sentence):
    url = serve(copied)
    file = copied / name
    file.unlink()
    if content == "flipped":
        content = bytearray((site / name).read_bytes())
        content[len(content) // 2] ^= 1
    if content is not None:
        file.write_bytes(content)
    one = tab(url, status=sentence)
    file.unlink(missing_ok=True)
    shutil.copy(site / name, file)  # the host mends it
    one.run()
    assert one.status == ""


@pytest.mark.parametrize("name", ["engine.mjs", "app.mjs"])
def test_a_part_of_the_page_that_is_missing(tab, serve, copied, name):
    url = serve(copied)
    (copied / name).unlink()
    tab(url, status="A part of this page is missing or is not served as JavaScript")


def test_modules_served_as_text(tab, serve, site):
    tab(serve(site, plain={".mjs": "text/plain"}), status="is not served as JavaScript")


def test_a_model_that_stops(tab, serve, copied):
    """As when a graphics device is lost or the memory ends: told, and loaded anew at the next start."""
    worker = (copied / "worker.js").read_text()
    (copied / "worker.js").unlink()
    changed = worker.replace(
        "async function frame({ bitmap, view }) {",
        "self.calls = 0;\nasync function frame({ bitmap, view }) {\n"
        "  if (++self.calls > 30) throw new Error('device lost');",
    )
    assert changed != worker
    (copied / "worker.js").write_text(changed)
    one = tab(serve(copied)).run()
    one.wait("The model stopped (device lost)")
    one.run()
    one.wait("The model stopped (device lost)")


def test_a_file_that_is_no_image(tab, url, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    one = tab(url)
    one.page.set_input_files("#file", tmp_path / "notes.txt")
    one.wait("notes.txt is neither an image nor a video")
    one.run()


def test_a_tab_in_the_background(tab, url):
    """Headless browsers hide no tab, so the page is told that it is hidden."""
    one = tab(url).run()
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    count = "document.getElementById('canvas').getContext('2d').drawn"
    one.evaluate(
        """() => {
            const context = document.getElementById("canvas").getContext("2d");
            const draw = context.drawImage;
            context.drawn = 0;
            context.drawImage = function (...given) {
                this.drawn++;
                draw.apply(this, given);
            };
        }"""
    )
    one.evaluate(hide, True)
    one.wait("in the background")
    one.page.wait_for_timeout(500)
    before = one.evaluate(count)
    one.page.wait_for_timeout(500)
    assert one.evaluate(count) == before
    one.evaluate(hide, False)
    one.until(lambda: one.evaluate(count) > before)
    assert one.status == ""


def test_webgpu_that_is_not_there(tab, url):
    one = tab(f"{url}?backend=webgpu", status="does not run on this device's graphics processor")
    one.page.select_option("#backend", "wasm")
    one.run()


def test_a_frozen_page_goes_on(tab, url):
    one = tab(url).run()
    session = one.context.new_cdp_session(one.page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    session.send("Page.setWebLifecycleState", {"state": "active"})
    one.until(lambda: "fps" in one.page.inner_text("#rate"))
    assert one.status == ""
